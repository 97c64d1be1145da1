"""The selective scan for CPUs: the reference's numbers, many times faster in training.

Where a C compiler is at hand, native.py does the work. Where not, `Scan` does it in torch:

Autograd through a loop over time keeps a dozen tensors of (batch, dim, state) for every position. Here the
loop runs in place over a few rows at a time, so that their states stay in cache, and the backward pass
computes the states again instead of storing them. Inside, the layout is (time, batch, state, dim): the inner
loops are long and contiguous, and the sums over dim or state are batched matrix products.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgegen.kernels import native

# Elements of state (rows * state * dim) that are worked on at a time.
CHUNK = 65_536


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
    """As `reference.selective_scan`; the state is kept in the precision of A, whatever that of the inputs."""
    precision = u.dtype
    u, delta, B, C = (x.transpose(1, 2).to(A.dtype) for x in (u, delta, B, C))
    z = None if z is None else z.transpose(1, 2)
    real = None
    if lengths is not None:
        real = (torch.arange(u.shape[1], device=u.device) < lengths[:, None])[:, :, None]
        u, delta, B, C = (torch.where(real, x, 0.0) for x in (u, delta, B, C))
        z = None if z is None else torch.where(real, z, 0.0)
    if delta_bias is not None:
        delta = delta + delta_bias
    if delta_softplus:
        delta = F.softplus(delta)
    if real is not None:
        # A step of size 0 leaves the state as it is.
        delta = torch.where(real, delta, 0.0)
    h = u.new_zeros(len(u), *A.shape) if initial_state is None else initial_state
    compiled = u.is_cpu and u.dtype == torch.float32 and native.library() is not None
    scan: Any = native.NativeScan if compiled else Scan
    y, last = scan.apply(delta * u, delta, A.t(), B, C, h.transpose(1, 2))
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * F.silu(z)
    if real is not None:
        y = torch.where(real, y, 0.0)
    y = y.transpose(1, 2).to(precision)
    return (y, last.transpose(1, 2)) if return_last_state else y


class Scan(torch.autograd.Function):
    """h_t = exp(delta_t A) h_(t-1) + x_t B_t; y_t = C_t . h_t.

    x, delta, y: (batch, time, dim); A: (state, dim); B, C: (batch, time, state); h: (batch, state, dim)
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        x, delta, B, C = (part.transpose(0, 1).contiguous() for part in (x, delta, B, C))
        ctx.save_for_backward(x, delta, A, B, C, h)
        y, last = torch.empty_like(x), torch.empty_like(h)
        for rows, decay, states in chunks(len(x), h):
            scan_states(decay, states, x[:, rows], delta[:, rows], A, B[:, rows])
            y[:, rows] = torch.matmul(C[:, rows, None], states[1:]).squeeze(2)
            last[rows] = states[-1]
        return y.transpose(0, 1), last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        x, delta, A, B, C, h = ctx.saved_tensors
        grad_y, grad_last = grads[0].transpose(0, 1).contiguous(), grads[1]
        dx, ddelta, dA, dB, dC, dh = (torch.empty_like(part) for part in (x, delta, A, B, C, h))
        dA.zero_()
        for rows, decay, states in chunks(len(x), h):
            scan_states(decay, states, x[:, rows], delta[:, rows], A, B[:, rows])
            dy = grad_y[:, rows]
            dC[:, rows] = torch.matmul(states[1:], dy.unsqueeze(-1)).squeeze(-1)
            g = grad_last[rows].clone()
            for t in reversed(range(len(x))):
                g.addcmul_(C[t, rows, :, None], dy[t, :, None])
                torch.matmul(B[t, rows, None], g, out=dx[t, rows, None])
                torch.matmul(g, x[t, rows, :, None], out=dB[t, rows, :, None])
                g.mul_(decay[t])
                # From here decay[t] holds the gradient with respect to delta_t A, and states is free.
                torch.mul(g, states[t], out=decay[t])
            dh[rows] = g
            torch.sum(torch.mul(decay, A, out=states[1:]), 2, out=ddelta[:, rows])
            dA += torch.mul(decay, delta[:, rows, None], out=states[1:]).sum((0, 1))
        dx, ddelta, dB, dC = (part.transpose(0, 1) for part in (dx, ddelta, dB, dC))
        return dx, ddelta, dA, dB, dC, dh


def chunks(time: int, h: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Rows of the batch whose states (batch, state, dim) fit a cache, with room for what `scan_states` fills.

    The room is the same memory for every chunk: fresh memory costs more than the arithmetic.
    """
    count = min(len(h), max(1, CHUNK // h[:1].numel()))
    decay = h.new_empty(time, count, *h.shape[1:])
    states = h.new_empty(time + 1, count, *h.shape[1:])
    for start in range(0, len(h), count):
        rows = slice(start, min(start + count, len(h)))
        size = rows.stop - rows.start
        states[0, :size] = h[rows]
        yield rows, decay[:, :size], states[:, :size]


def scan_states(decay: Tensor, states: Tensor, x: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> None:
    """Fill decay (time, batch, state, dim) with exp(delta A), and states (time + 1, ...) after its first."""
    torch.mul(delta[:, :, None], A, out=decay).exp_()
    for t in range(len(x)):
        torch.mul(states[t], decay[t], out=states[t + 1]).addcmul_(B[t, :, :, None], x[t, :, None])
