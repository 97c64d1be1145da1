"""The kernels in torch, for what has no compiled ones: the reference's numbers, many times faster in training.

Autograd through a loop over time keeps a dozen tensors of (batch, dim, state) for every position. Here the
loop runs in place over a few rows at a time, so that their states stay in cache, and the backward pass
computes the states again instead of storing them. Inside, the layout is (time, batch, state, dim): the inner
loops are long and contiguous, and the sums over dim or state are batched matrix products.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from edgegen.kernels.arguments import Scan, channels_last

# Elements of state (rows * state * dim) that are worked on at a time.
CHUNK = 65_536


def scan_forward(scan: Scan) -> tuple[Tensor, Tensor]:
    """y and the last state of the scan, in its precision and then in the type of u."""
    core = _core(scan)
    y, last = torch.empty_like(core.x), torch.empty_like(core.h)
    for rows, decay, states in chunks(len(core.x), core.h):
        scan_states(decay, states, core.x[:, rows], core.delta[:, rows], core.A, core.B[:, rows])
        y[:, rows] = torch.matmul(core.C[:, rows, None], states[1:]).squeeze(2)
        last[rows] = states[-1]
    y = core.skip(y)
    if core.z is not None:
        y = y * F.silu(core.z)
    return core.out(y, scan.u), last.transpose(1, 2).contiguous()


def scan_backward(scan: Scan, dy: Tensor, dlast: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D, z, delta_bias, initial_state in their types; None for what is absent."""
    core = _core(scan)
    x, delta, A, B, C, h = core.x, core.delta, core.A, core.B, core.C, core.h
    grad_y = core.take(dy)
    inside = grad_y if core.z is None else grad_y * F.silu(core.z)
    y, dx, ddelta, dA, dB, dC, dh = (torch.empty_like(part) for part in (x, x, delta, A, B, C, h))
    dA.zero_()
    for rows, decay, states in chunks(len(x), h):
        scan_states(decay, states, x[:, rows], delta[:, rows], A, B[:, rows])
        y[:, rows] = torch.matmul(C[:, rows, None], states[1:]).squeeze(2)
        dy_rows = inside[:, rows]
        dC[:, rows] = torch.matmul(states[1:], dy_rows.unsqueeze(-1)).squeeze(-1)
        g = torch.zeros_like(h[rows]) if dlast is None else dlast[rows].transpose(1, 2).to(h.dtype, copy=True)
        for t in reversed(range(len(x))):
            g.addcmul_(C[t, rows, :, None], dy_rows[t, :, None])
            dx[t, rows] = torch.matmul(B[t, rows, None], g).squeeze(1)
            dB[t, rows] = torch.matmul(g, x[t, rows, :, None]).squeeze(2)
            g.mul_(decay[t])
            # From here decay[t] holds the gradient with respect to delta_t A, and states is free.
            torch.mul(g, states[t], out=decay[t])
        dh[rows] = g
        torch.sum(torch.mul(decay, A, out=states[1:]), 2, out=ddelta[:, rows])
        dA += torch.mul(decay, delta[:, rows, None], out=states[1:]).sum((0, 1))
    dz = None
    if core.z is not None:
        gate = torch.sigmoid(core.z)
        dz = grad_y * core.skip(y) * gate * (1 + core.z * (1 - gate))
    du, ddelta = dx * delta, ddelta + dx * core.u
    if core.D is not None:
        du = du + inside * core.D
    if scan.delta_softplus:
        ddelta = ddelta * torch.sigmoid(core.raw)
    dbias = None if scan.delta_bias is None else core.real(ddelta).sum((0, 1)).to(scan.delta_bias.dtype)
    return (
        core.out(du, scan.u),
        core.out(ddelta, scan.delta),
        dA.t().contiguous().to(scan.A.dtype),
        core.out(dB, scan.B),
        core.out(dC, scan.C),
        None if scan.D is None else (inside * core.u).sum((0, 1)).to(scan.D.dtype),
        None if dz is None or scan.z is None else core.out(dz, scan.z),
        dbias,
        None if scan.initial_state is None else dh.transpose(1, 2).contiguous().to(scan.initial_state.dtype),
    )


class _Core(NamedTuple):
    """h_t = exp(delta_t A) h_(t-1) + x_t B_t; y_t = C_t . h_t, in the scan's precision, and what surrounds it.

    u, raw, delta, x, z: (time, batch, dim), raw before softplus, x = delta u; A: (state, dim);
    B, C: (time, batch, state); h: (batch, state, dim); padding: (time, batch, 1), where all of these are 0
    """

    u: Tensor
    raw: Tensor
    delta: Tensor
    x: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    h: Tensor
    padding: Tensor | None

    def real(self, x: Tensor) -> Tensor:
        return x if self.padding is None else x.masked_fill(self.padding, 0.0)

    def take(self, x: Tensor) -> Tensor:
        """A tensor (batch, n, time) of the caller as (time, batch, n)."""
        return self.real(x.permute(2, 0, 1).to(self.A.dtype)).contiguous()

    def out(self, x: Tensor, like: Tensor) -> Tensor:
        """The same the other way round."""
        return channels_last(like).copy_(self.real(x).permute(1, 2, 0))

    def skip(self, y: Tensor) -> Tensor:
        return y if self.D is None else y + self.D * self.u


def _core(scan: Scan) -> _Core:
    A = scan.A.t().to(scan.precision).contiguous()
    padding = None
    if scan.lengths is not None:
        times = torch.arange(scan.u.shape[2], device=scan.u.device)
        padding = (times[:, None] >= scan.lengths).unsqueeze(-1)
    if scan.initial_state is None:
        h = A.new_zeros(len(scan.u), *A.shape)
    else:
        h = scan.initial_state.transpose(1, 2).to(A.dtype)
    D = None if scan.D is None else scan.D.to(A.dtype)
    bare = _Core(A, A, A, A, A, A, A, D, None, h, padding)
    u, raw, B, C = (bare.take(x) for x in (scan.u, scan.delta, scan.B, scan.C))
    z = None if scan.z is None else bare.take(scan.z)
    if scan.delta_bias is not None:
        raw = raw + scan.delta_bias.to(A.dtype)
    # A step of size 0 leaves the state as it is.
    delta = bare.real(F.softplus(raw) if scan.delta_softplus else raw)
    return bare._replace(u=u, raw=raw, delta=delta, x=delta * u, B=B, C=C, z=z)


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


def conv_forward(x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None) -> Tensor:
    """The convolution in the type of x."""
    padding, _, total = _convolve(x, weight, bias, lengths)
    return channels_last(x).copy_(_real(F.silu(total), padding).transpose(1, 2))


def conv_backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of x, weight and bias in their types."""
    padding, padded, total = _convolve(x, weight, bias, lengths)
    gate, taps, time = torch.sigmoid(total), weight.shape[1], x.shape[2]
    slope = _real(dy.transpose(1, 2), padding).to(total.dtype) * gate * (1 + total * (1 - gate))
    slope = _real(slope, padding)
    dweight = torch.stack([(slope * padded[:, tap : tap + time]).sum((0, 1)) for tap in range(taps)], dim=1)
    after = F.pad(slope, (0, 0, 0, taps - 1))
    dx = torch.zeros_like(slope)
    for tap in range(taps):
        dx.addcmul_(after[:, taps - 1 - tap : taps - 1 - tap + time], weight[:, tap].to(dx.dtype))
    return (
        channels_last(x).copy_(_real(dx, padding).transpose(1, 2)),
        dweight.to(weight.dtype).contiguous(),
        None if bias is None else slope.sum((0, 1)).to(bias.dtype),
    )


def _convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Padding (batch, time, 1); x behind taps - 1 zeros and the sum before its SiLU, both (batch, time, dim)."""
    precision = torch.float64 if x.dtype == torch.float64 else torch.float32
    time, taps = x.shape[2], weight.shape[1]
    padding = None
    if lengths is not None:
        padding = (torch.arange(time, device=x.device) >= lengths[:, None]).unsqueeze(-1)
    padded = F.pad(_real(x.transpose(1, 2).to(precision), padding), (0, 0, taps - 1, 0))
    total = x.new_zeros(len(x), time, x.shape[1], dtype=precision)
    if bias is not None:
        total += bias
    for tap in range(taps):
        total.addcmul_(padded[:, tap : tap + time], weight[:, tap].to(precision))
    return padding, padded, total


def _real(x: Tensor, padding: Tensor | None) -> Tensor:
    return x if padding is None else x.masked_fill(padding, 0.0)
