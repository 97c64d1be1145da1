"""The causal convolution with its SiLU on a GPU: Triton kernels, launched by gpu.py.

A program takes a block of channels of a row for a block of times. The taps are few and unrolled; what several of them
read comes from the cache.
"""

import triton
import triton.language as tl

from edgegen.kernels.triton_maths import end_of, sigmoid, silu_slope


@triton.jit
def convolve(x_row, weight, bias, t, d, inside, end, x_dim, x_time, TAPS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The sums before their SiLU at times t (TIME,) and channels d (BLOCK,): (TIME, BLOCK)."""
    total = tl.zeros((t.shape[0], d.shape[0]), tl.float32)
    if bias is not None:
        total += tl.load(bias + d, inside, 0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        at = t - (TAPS - 1 - tap)
        there = ((at >= 0) & (at < end))[:, None] & inside[None, :]
        w = tl.load(weight + d * TAPS + tap, inside, 0.0).to(tl.float32)
        total += w[None, :] * tl.load(x_row + at[:, None] * x_time + d[None, :] * x_dim, there, 0.0).to(tl.float32)
    return total


@triton.jit
def conv_forward(  # type: ignore[no-untyped-def]
    x, weight, bias, lengths, y,
    time, dim, x_row, x_dim, x_time,
    TAPS: tl.constexpr, TIME: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """weight: (dim, taps); y: (rows, time, dim)."""
    row = tl.program_id(0).to(tl.int64)
    t = tl.program_id(1) * TIME + tl.arange(0, TIME)
    d = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    inside = d < dim
    end = end_of(lengths, row, time)
    total = convolve(x + row * x_row, weight, bias, t, d, inside, end, x_dim, x_time, TAPS)
    out = tl.where((t < end)[:, None], total * sigmoid(total), 0.0)
    there = (t < time)[:, None] & inside[None, :]
    tl.store(y + (row * time + t[:, None]) * dim + d[None, :], out.to(y.dtype.element_ty), there)


@triton.jit
def conv_backward(  # type: ignore[no-untyped-def]
    x, weight, bias, lengths, dy, dx, dweight, dbias,
    time, dim, x_row, x_dim, x_time, dy_row, dy_dim, dy_time,
    TAPS: tl.constexpr, TIME: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dx: (rows, time, dim); dweight: (rows, blocks of times, taps, dim) and dbias: (rows, blocks of times, dim), of a
    program's own times."""
    row = tl.program_id(0).to(tl.int64)
    program = row * tl.num_programs(1) + tl.program_id(1)
    t = tl.program_id(1) * TIME + tl.arange(0, TIME)
    d = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    inside = d < dim
    end = end_of(lengths, row, time)
    dx_now = tl.zeros((TIME, BLOCK), tl.float32)
    for ahead in tl.static_range(TAPS):
        after = t + ahead
        there = (after < end)[:, None] & inside[None, :]
        total = convolve(x + row * x_row, weight, bias, after, d, inside, end, x_dim, x_time, TAPS)
        slope = tl.load(dy + row * dy_row + after[:, None] * dy_time + d[None, :] * dy_dim, there, 0.0).to(tl.float32)
        slope = tl.where(there, slope * silu_slope(total, sigmoid(total)), 0.0)
        w = tl.load(weight + d * TAPS + (TAPS - 1 - ahead), inside, 0.0).to(tl.float32)
        dx_now += w[None, :] * slope
        if ahead == 0:
            if dbias is not None:
                tl.store(dbias + program * dim + d, tl.sum(slope, 0), inside)
            for tap in tl.static_range(TAPS):
                at = t - (TAPS - 1 - tap)
                read = ((at >= 0) & (t < end))[:, None] & inside[None, :]
                x_at = x + row * x_row + at[:, None] * x_time + d[None, :] * x_dim
                of_tap = tl.sum(slope * tl.load(x_at, read, 0.0).to(tl.float32), 0)
                tl.store(dweight + (program * TAPS + tap) * dim + d, of_tap, inside)
    dx_now = tl.where((t < end)[:, None], dx_now, 0.0)
    there = (t < time)[:, None] & inside[None, :]
    tl.store(dx + (row * time + t[:, None]) * dim + d[None, :], dx_now.to(dx.dtype.element_ty), there)
