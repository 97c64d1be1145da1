"""Kernels that end in a row: plain, after a norm, after a gate, after a softmax. zero: see Ending."""

from typing import Any

from tvm import tirx

from edgegen.export.maths import exp, f32, fma, sigmoid
from edgegen.export.tir.ending import Ending, ending_in
from edgegen.export.tir.lanes import Kernel, fill, largest_of, loop, reduce, scratch, store, sum_of

LOWEST = -1e30  # below any logit


def row_quantise(b: int, d: int, zero: int) -> Any:
    """x (b, d) -> q int8 (b, d), scale (b, 1), with x ~ q * scale."""
    with Kernel("row_quantise", b) as kernel:
        x = kernel.tensor("x", (b, d))
        ending = Ending(kernel, b, d, zero)
        row = scratch(d)
        with loop(kernel.rows) as i:
            fill(row, d, lambda k: x[i, k])
            ending.give(row, i)
    return kernel.function


def norm(b: int, d: int, eps: float, zero: int | None) -> Any:
    """RMSNorm of x (b, d) with gain (d,): a row of d."""
    with Kernel(ending_in(zero, "norm"), b) as kernel:
        x, gain = kernel.tensor("x", (b, d)), kernel.tensor("gain", (d,))
        ending = Ending(kernel, b, d, zero)
        row, inverse = scratch(d), scratch(1)
        with loop(kernel.rows) as i:
            squares = sum_of(d, lambda held, k: fma(x[i, k], x[i, k], held))
            store(inverse, f32(1.0) / tirx.sqrt(fma(squares, f32(1 / d), f32(eps))), 0)
            fill(row, d, lambda k: x[i, k] * inverse[0] * gain[k])
            ending.give(row, i)
    return kernel.function


def gate(b: int, f: int, zero: int | None) -> Any:
    """SwiGLU's gate: silu(x[:, :f]) * x[:, f:] of x (b, 2 f): a row of f."""
    with Kernel(ending_in(zero, "gate"), b) as kernel:
        x = kernel.tensor("x", (b, 2 * f))
        ending = Ending(kernel, b, f, zero)
        row = scratch(f)
        with loop(kernel.rows) as i:
            fill(row, f, lambda k: x[i, k] * sigmoid(x[i, k]) * x[i, f + k])
            ending.give(row, i)
    return kernel.function


def softmax(b: int, d: int, zero: int | None) -> Any:
    """e^x over the sum of all e^x, of x (b, d): a row of d."""
    with Kernel(ending_in(zero, "softmax"), b) as kernel:
        x = kernel.tensor("x", (b, d))
        ending = Ending(kernel, b, d, zero)
        row, peak, share = scratch(d), scratch(1), scratch(1)
        with loop(kernel.rows) as i:
            store(peak, largest_of(d, lambda k: x[i, k], LOWEST), 0)
            fill(row, d, lambda k: exp(x[i, k] - peak[0]))
            total = reduce(d, 0.0, lambda held, k: held + row[k], lambda left, right: left + right)
            store(share, f32(1.0) / total, 0)
            fill(row, d, lambda k: row[k] * share[0])
            ending.give(row, i)
    return kernel.function
