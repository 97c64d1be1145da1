"""The selective scan in plain PyTorch: the definition of right.

Symbols as in Mamba's paper: u input, delta step size, A, B, C, D the state space, h its state, z gate.
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
    lengths:       int (batch,); from there on a row is padding: never read, 0 in y, and the last state is
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
