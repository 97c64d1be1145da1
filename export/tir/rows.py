"""Kernels that end in a row of int8: plain, after a norm, after a gate.

zero: what the products that read the row want added to it, the ZERO of their instruction set.
"""

from typing import Any

from tvm import tirx

from edgegen.export.maths import f32, fma, sigmoid
from edgegen.export.tir.lanes import Buffer, Kernel, fill, loop, quantise_row, scratch, store, sum_of


def _outputs(kernel: Kernel, b: int, size: int) -> tuple[Buffer, Buffer]:
    return kernel.tensor("q", (b, size), "int8"), kernel.tensor("scale", (b, 1))


def row_quantise(b: int, d: int, zero: int) -> Any:
    """x (b, d) -> q int8 (b, d), scale (b, 1), with x ~ q * scale."""
    with Kernel("row_quantise", b) as kernel:
        x = kernel.tensor("x", (b, d))
        q, scale = _outputs(kernel, b, d)
        row = scratch(d)
        with loop(kernel.rows) as i:
            fill(row, d, lambda k: x[i, k])
            quantise_row(row, d, q, scale, i, zero)
    return kernel.function


def norm_quantise(b: int, d: int, eps: float, zero: int) -> Any:
    """RMSNorm of x (b, d) with gain (d,), quantised: q int8 (b, d), scale (b, 1)."""
    with Kernel("norm_quantise", b) as kernel:
        x, gain = kernel.tensor("x", (b, d)), kernel.tensor("gain", (d,))
        q, scale = _outputs(kernel, b, d)
        row, inverse = scratch(d), scratch(1)
        with loop(kernel.rows) as i:
            squares = sum_of(d, lambda held, k: fma(x[i, k], x[i, k], held))
            store(inverse, f32(1.0) / tirx.sqrt(fma(squares, f32(1 / d), f32(eps))), 0)
            fill(row, d, lambda k: x[i, k] * inverse[0] * gain[k])
            quantise_row(row, d, q, scale, i, zero)
    return kernel.function


def gate_quantise(b: int, f: int, zero: int) -> Any:
    """SwiGLU's gate: silu(x[:, :f]) * x[:, f:] of x (b, 2 f), quantised: q int8 (b, f), scale (b, 1)."""
    with Kernel("gate_quantise", b) as kernel:
        x = kernel.tensor("x", (b, 2 * f))
        q, scale = _outputs(kernel, b, f)
        row = scratch(f)
        with loop(kernel.rows) as i:
            fill(row, f, lambda k: x[i, k] * sigmoid(x[i, k]) * x[i, f + k])
            quantise_row(row, f, q, scale, i, zero)
    return kernel.function
