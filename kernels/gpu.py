"""The Triton kernels behind the operators: what they are given, how many programs, and the sums that are left."""

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from edgegen.kernels import triton_conv, triton_scan
from edgegen.kernels.arguments import Scan, channels_last

# Times of a chunk at most: up to here a row is done in one pass.
CHUNK = 128
# Channels times times that a program of the backward pass has in its registers: as many as do not spill, since fewer
# channels mean more sums over channels that are left to add up.
TILE, WARPS = 2048, 8
# Channels of a program of the forward pass, one a thread. More warps would split the states and meet at barriers.
CHANNELS, CHANNEL_WARPS = 32, 1
# Rows times channels from which the forward pass has enough to do without splitting rows.
ENOUGH = 1 << 17
CONV_TIMES, CONV_CHANNELS = 16, 128


class _Sizes(NamedTuple):
    """How the rows of a scan are split: `chunks` of `chunk` times each."""

    rows: int
    dim: int
    state: int
    time: int
    chunk: int

    @property
    def chunks(self) -> int:
        return triton.cdiv(self.time, self.chunk)

    def grid(self, channels: int) -> tuple[int, int]:
        return self.rows * self.chunks, triton.cdiv(self.dim, channels)

    def channels(self) -> dict[str, int]:
        """What the kernels that go from time to time are compiled for."""
        return {"STATE": triton.next_power_of_2(self.state), "BLOCK": CHANNELS, "num_warps": CHANNEL_WARPS}

    def states(self, like: Tensor) -> Tensor:
        """Room for one state for each chunk."""
        return like.new_empty(self.rows, self.chunks, self.dim, self.state, dtype=torch.float32)


def scan_forward(scan: Scan) -> tuple[Tensor, Tensor]:
    """y in the type of u and the last state in float32."""
    (rows, dim, time), state = scan.u.shape, scan.A.shape[1]
    whole = time <= CHUNK or rows * dim >= ENOUGH
    sizes = _Sizes(rows, dim, state, time, max(time, 1) if whole else CHUNK)
    given = _Given(scan)
    y = channels_last(scan.u)
    starts, last = given.first, None
    if sizes.chunks > 1:
        starts, last, _ = _states(given, sizes)
    ends = sizes.states(scan.A)
    _forward(given, sizes, starts, y, ends, None)
    return y, ends.squeeze(1) if last is None else last


def scan_backward(scan: Scan, dy: Tensor, dlast: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D, z, delta_bias, initial_state in their types; None for what is absent."""
    (rows, dim, time), state = scan.u.shape, scan.A.shape[1]
    width = min(CHUNK, max(16, triton.next_power_of_2(time)))
    sizes = _Sizes(rows, dim, state, time, width)
    given = _Given(scan)
    starts = given.first
    gradients = None if dlast is None else dlast.to(torch.float32).contiguous()
    if sizes.chunks > 1:
        starts, _, steps = _states(given, sizes)
        gradients = _gradients_of_ends(given, sizes, steps, dy, gradients)
    block = TILE // width
    grid = sizes.grid(block)

    def room(x: Tensor | None, *shape: int) -> Tensor | None:
        return None if x is None else given.A.new_empty(shape)

    of_rows = rows, sizes.chunks
    dA, dD, dbias = (
        room(scan.A, *of_rows, state, dim),
        room(scan.D, *of_rows, dim),
        room(scan.delta_bias, *of_rows, dim),
    )
    dB, dC = (given.A.new_empty(grid[1], rows, state, time) for _ in range(2))
    dstart = None if scan.initial_state is None else sizes.states(scan.A)
    du, ddelta = channels_last(scan.u), channels_last(scan.delta)
    dz = None if scan.z is None else channels_last(scan.z)
    triton_scan.scan_backward[grid](
        scan.u, scan.delta, given.A, scan.B, scan.C, scan.D, scan.z, scan.delta_bias, starts, scan.lengths,
        dy, gradients,
        du, ddelta, dz, dA, dB, dC, dD, dbias, dstart,
        time, dim, state, sizes.chunk, sizes.chunks, rows,
        *scan.u.stride(), *scan.delta.stride(), *_strides(scan.z), *scan.B.stride(), *scan.C.stride(), *dy.stride(),
        SOFTPLUS=scan.delta_softplus, TIME=width, BLOCK=block, num_warps=WARPS,
    )  # fmt: skip
    assert dA is not None
    return (
        du,
        ddelta,
        dA.sum((0, 1)).t().contiguous().to(scan.A.dtype),
        channels_last(scan.B).copy_(dB.sum(0)),
        channels_last(scan.C).copy_(dC.sum(0)),
        None if dD is None or scan.D is None else dD.sum((0, 1)).to(scan.D.dtype),
        dz,
        None if dbias is None or scan.delta_bias is None else dbias.sum((0, 1)).to(scan.delta_bias.dtype),
        None if dstart is None or scan.initial_state is None else dstart[:, 0].to(scan.initial_state.dtype),
    )


class _Given:
    """The arguments of a scan, and A (state, dim) and the first states (rows, dim, state) as the kernels want them."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.A = scan.A.t().to(torch.float32).contiguous()
        self.first = None if scan.initial_state is None else scan.initial_state.to(torch.float32).contiguous()


def _forward(
    given: _Given, sizes: _Sizes, starts: Tensor | None, y: Tensor | None, ends: Tensor, steps: Tensor | None
) -> None:
    scan = given.scan
    triton_scan.scan_forward[sizes.grid(CHANNELS)](
        scan.u, scan.delta, given.A, scan.B, scan.C, scan.D, scan.z, scan.delta_bias, starts, scan.lengths,
        y, ends, steps,
        sizes.time, sizes.dim, sizes.state, sizes.chunk, sizes.chunks,
        *scan.u.stride(), *scan.delta.stride(), *_strides(scan.z), *scan.B.stride(), *scan.C.stride(),
        SOFTPLUS=scan.delta_softplus, **sizes.channels(),
    )  # fmt: skip


def _states(given: _Given, sizes: _Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """The states that the chunks start from, the last state of each row, and the sum of step sizes of each chunk."""
    alone, steps = sizes.states(given.A), given.A.new_empty(sizes.rows, sizes.chunks, sizes.dim)
    _forward(given, sizes, None, None, alone, steps)
    starts, last = _join(given, sizes, steps, alone, given.first, backwards=False)
    return starts, last, steps


def _gradients_of_ends(given: _Given, sizes: _Sizes, steps: Tensor, dy: Tensor, dlast: Tensor | None) -> Tensor:
    """The gradients of the states that the chunks end in."""
    scan, alone = given.scan, sizes.states(given.A)
    triton_scan.scan_gradient_of_states[sizes.grid(CHANNELS)](
        scan.delta, given.A, scan.C, scan.z, scan.delta_bias, scan.lengths, dy, alone,
        sizes.time, sizes.dim, sizes.state, sizes.chunk, sizes.chunks,
        *scan.delta.stride(), *_strides(scan.z), *scan.C.stride(), *dy.stride(),
        SOFTPLUS=scan.delta_softplus, **sizes.channels(),
    )  # fmt: skip
    return _join(given, sizes, steps, alone, dlast, backwards=True)[0]


def _join(
    given: _Given, sizes: _Sizes, steps: Tensor, alone: Tensor, first: Tensor | None, backwards: bool
) -> tuple[Tensor, Tensor]:
    entering, final = torch.empty_like(alone), alone.new_empty(sizes.rows, sizes.dim, sizes.state)
    triton_scan.scan_join[sizes.rows, triton.cdiv(sizes.dim, CHANNELS)](
        given.A, steps, alone, first, entering, final,
        sizes.dim, sizes.state, sizes.chunks,
        BACKWARDS=backwards, **sizes.channels(),
    )  # fmt: skip
    return entering, final


def _strides(x: Tensor | None) -> tuple[int, ...]:
    return (0, 0, 0) if x is None else x.stride()


def conv_forward(x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None) -> Tensor:
    """The convolution in float32, then in the type of x."""
    y = channels_last(x)
    triton_conv.conv_forward[_conv_grid(x)](
        x, weight.contiguous(), bias, lengths, y, x.shape[2], x.shape[1], *x.stride(), **_conv_sizes(weight)
    )
    return y


def conv_backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of x, weight and bias in their types."""
    grid = _conv_grid(x)
    dx = channels_last(x)
    dim, taps = weight.shape
    dweight = x.new_empty(*grid[:2], taps, dim, dtype=torch.float32)
    dbias = None if bias is None else x.new_empty(*grid[:2], dim, dtype=torch.float32)
    triton_conv.conv_backward[grid](
        x, weight.contiguous(), bias, lengths, dy, dx, dweight, dbias,
        x.shape[2], dim, *x.stride(), *dy.stride(), **_conv_sizes(weight),
    )  # fmt: skip
    return (
        dx,
        dweight.sum((0, 1)).t().to(weight.dtype).contiguous(),
        None if dbias is None or bias is None else dbias.sum((0, 1)).to(bias.dtype),
    )


def _conv_grid(x: Tensor) -> tuple[int, int, int]:
    rows, dim, time = x.shape
    return rows, triton.cdiv(time, CONV_TIMES), triton.cdiv(dim, CONV_CHANNELS)


def _conv_sizes(weight: Tensor) -> dict[str, Any]:
    return {"TAPS": weight.shape[1], "TIME": CONV_TIMES, "BLOCK": CONV_CHANNELS}
