"""int8 products of one row of activations with blocks of weights, in each instruction set's own dot product.

Weights lie in blocks of 16 rows by 4 inputs, one AVX-512 register, two AVX2, four NEON, so that every variant reads the
same bytes. Up to GROUP blocks stand side by side for each 4 inputs: their sums are independent, which hides the latency
of the dot product, and the weights are read as one stream.

    packed[n / (16 g)][k / 4][g][16][4]
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr
from edgegen.export.tir.lanes import Buffer

ROWS, INPUTS = 16, 4
BLOCK = ROWS * INPUTS
GROUP = 8


def padded(n: int) -> int:
    """Rows of a packed weight: whole blocks."""
    return -(-n // ROWS) * ROWS


def group_of(n: int) -> int:
    """Blocks that stand side by side in a packed weight of n rows."""
    blocks = padded(n) // ROWS
    return max(g for g in range(1, GROUP + 1) if blocks % g == 0)


def pack(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """weight (n, k) in the packed order, padded with rows of zeros to whole blocks."""
    n, k = weight.shape
    if k % INPUTS:
        raise EdgegenError(f"a linear with {k} inputs cannot be packed: widths must be multiples of {INPUTS}")
    whole = np.zeros((padded(n), k), np.int8)
    whole[:n] = weight
    blocks = whole.reshape(-1, group_of(n), ROWS, k // INPUTS, INPUTS)
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 2, 4))


def place(n: int, k: int, row: Expr, column: Expr) -> Expr:
    """Index of weight[row, column] in the flat packed weight of n rows by k inputs."""
    group = group_of(n)
    span = group * ROWS
    outer, inner = row // span, row % span
    return ((outer * (k // INPUTS) + column // INPUTS) * span + inner) * INPUTS + column % INPUTS


def offsets(weight: NDArray[np.int8]) -> NDArray[np.int32]:
    """-128 times the sum of each padded row: where a dot product with activations q + 128 is to start."""
    sums = np.zeros(padded(len(weight)), np.int32)
    sums[: len(weight)] = -128 * weight.astype(np.int32).sum(1)
    return sums


class Dot(Protocol):
    """Sums of one group of blocks for one row of the batch."""

    def group(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, offset: Buffer, row: Expr, sums: Buffer) -> None:
        """sums[g * 16 + r] = q[b, :] . weight row (row + g * 16 + r), int32.

        q int8 (b, k); weight int8, flat and packed, this group's bytes from `start` on; offset as `offsets` gives it
        """
        ...


def vector(buffer: Buffer, start: Expr, lanes: int) -> Expr:
    """buffer[start : start + lanes] as one value."""
    return buffer[tirx.Ramp(start, 1, lanes)]


def put(buffer: Buffer, value: Expr, start: Expr, lanes: int) -> None:
    """buffer[start : start + lanes] = value."""
    T.buffer_store(buffer, value, [tirx.Ramp(start, 1, lanes)])


def four(q: Buffer, b: Expr, step: Expr) -> Expr:
    """Four activations as the bytes of one int32."""
    return tirx.reinterpret("int32", q[b, tirx.Ramp(step * INPUTS, 1, INPUTS)])
