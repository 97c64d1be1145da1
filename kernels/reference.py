"""The kernels in plain PyTorch, in whatever precision their inputs have: the definition of right.

Symbols as in Mamba's paper (Gu and Dao 2023): u input, delta step size, A, B, C, D the state space, h its state, z the
gate.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """y_t = (C_t . h_t + D u_t) * silu(z_t), where h_t = exp(delta_t A) h_(t-1) + delta_t u_t B_t.

    u, delta, z:   (batch, dim, time)
    A:             (dim, state), negative for a state that decays
    B, C:          (batch, state, time)
    D, delta_bias: (dim,)
    initial_state: (batch, dim, state), zeros where absent
    lengths:       int64 (batch,); from there on a row is padding: never read, 0 in y, and the last state is
                   the one before it
    Returns y (batch, dim, time), and the last state (batch, dim, state) where asked for.
    """
    if lengths is not None:
        padding = torch.arange(u.shape[-1], device=u.device) >= lengths[:, None, None]
        u, delta, B, C = (x.masked_fill(padding, 0.0) for x in (u, delta, B, C))
        z = None if z is None else z.masked_fill(padding, 0.0)
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    time = u.shape[-1]
    h = u.new_zeros(len(u), *A.shape) if initial_state is None else initial_state
    outputs = []
    for t in range(time):
        decay = torch.exp(delta[:, :, t, None] * A)
        new = decay * h + (delta[:, :, t] * u[:, :, t]).unsqueeze(-1) * B[:, None, :, t]
        y = (new * C[:, None, :, t]).sum(-1)
        if D is not None:
            y = y + D * u[:, :, t]
        if z is not None:
            y = y * F.silu(z[:, :, t])
        if lengths is not None:
            real = (t < lengths)[:, None]
            y = torch.where(real, y, 0.0)
            new = torch.where(real.unsqueeze(-1), new, h)
        outputs.append(y)
        h = new
    y = torch.stack(outputs, dim=-1)
    return (y, h) if return_last_state else y


def selective_step(
    state: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> tuple[Tensor, Tensor]:
    """One time of `selective_scan`: state (batch, dim, state); u, delta, z (batch, dim); B, C (batch, state).

    Returns y (batch, dim) and the new state.
    """
    if delta_bias is not None:
        delta = delta + delta_bias
    if delta_softplus:
        delta = F.softplus(delta)
    state = torch.exp(delta.unsqueeze(-1) * A) * state + (delta * u).unsqueeze(-1) * B.unsqueeze(1)
    y = (state * C.unsqueeze(1)).sum(-1)
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * F.silu(z)
    return y, state


def causal_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
    """silu(bias + sum_k weight_k x_(t - taps + 1 + k)) for each channel, where x is 0 before its first time.

    x: (batch, dim, time); weight: (dim, taps), the newest last; bias: (dim,)
    lengths: int64 (batch,); from there on a row is padding: never read, 0 in the result
    Returns (batch, dim, time).
    """
    padding = None if lengths is None else torch.arange(x.shape[-1], device=x.device) >= lengths[:, None, None]
    if padding is not None:
        x = x.masked_fill(padding, 0.0)
    padded = F.pad(x, (weight.shape[1] - 1, 0))
    y = F.silu(F.conv1d(padded, weight.unsqueeze(1), bias, groups=len(weight)))
    return y if padding is None else y.masked_fill(padding, 0.0)
