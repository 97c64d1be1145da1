"""int8 products of a few rows of activations with a few blocks of weights, in each instruction set's own dot product.

Weights lie in blocks of 16 rows by 4 inputs, one AVX-512 register, two AVX2, four NEON, so that every variant of a
target reads the same bytes. Up to GROUP blocks stand side by side for each 4 inputs and are read as one stream.

    packed[n / (16 g)][k / 4][g][16][4]

A tile of products keeps its sums in registers from the first input to the last. Its blocks make the sums independent,
which hides the latency of the dot product; its rows of the batch use a weight more than once for each time it is read.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export import headroom
from edgegen.export.headroom import INPUTS
from edgegen.export.maths import Expr
from edgegen.export.tir.lanes import Buffer

ROWS = 16
BLOCK = ROWS * INPUTS
GROUP = 4


def padded(n: int) -> int:
    """Rows of a packed weight: whole blocks."""
    return -(-n // ROWS) * ROWS


def group_of(n: int) -> int:
    """Blocks that stand side by side in a packed weight of n rows."""
    blocks = padded(n) // ROWS
    return max(g for g in range(1, GROUP + 1) if blocks % g == 0)


def pack(weight: NDArray[Any]) -> NDArray[Any]:
    """weight (n, k), int8 or float32, in the packed order, padded with rows of zeros to whole blocks."""
    n, k = weight.shape
    inputs = INPUTS // weight.itemsize
    if weight.dtype == np.int8 and not headroom.fits(weight):
        raise EdgegenError("weights are too large beside each other for sums in 16 bits: quantise them with edgegen")
    if k % inputs:
        raise EdgegenError(f"a linear with {k} inputs cannot be packed: widths must be multiples of {inputs}")
    whole = np.zeros((padded(n), k), weight.dtype)
    whole[:n] = weight
    blocks = whole.reshape(-1, group_of(n), ROWS, k // inputs, inputs)
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 2, 4))


def place(n: int, k: int, row: Expr, column: Expr, inputs: int = INPUTS) -> Expr:
    """Index of weight[row, column] in the flat packed weight of n rows by k inputs, `inputs` of them in a block."""
    group = group_of(n)
    span = group * ROWS
    outer, inner = row // span, row % span
    return ((outer * (k // inputs) + column // inputs) * span + inner) * inputs + column % inputs


def offsets(weight: NDArray[np.int8]) -> NDArray[np.int32]:
    """-128 times the sum of each padded row: where a dot product with activations q + 128 is to start."""
    sums = np.zeros(padded(len(weight)), np.int32)
    sums[: len(weight)] = -128 * weight.astype(np.int32).sum(1)
    return sums


@dataclass(frozen=True)
class Tile:
    """Some rows of the batch by some blocks of one group.

    q: activations plus the dot's ZERO, as its `prepare` left them; rows: of the batch
    weight int8, flat and packed; start: of the group's bytes; group: blocks in it; first, blocks: those of the tile
    offset int32, as `offsets` gives it; row: the group's first
    sums int32 (len(rows) * blocks * 16,): the result, sums[(r * blocks + g) * 16 + i] for output i of block first + g
    """

    q: Buffer
    rows: tuple[Expr, ...]
    k: int
    weight: Buffer
    start: Expr
    group: int
    first: int
    blocks: int
    offset: Buffer
    row: Expr
    sums: Buffer

    def weights(self, step: Expr, at: int, lanes: int) -> Expr:
        """`lanes` bytes of inputs 4 step .. 4 step + 3, from the tile's output `at` on."""
        place = self.start + (step * self.group + self.first) * BLOCK + at * INPUTS
        return self.weight[tirx.Ramp(place, 1, lanes)]


class Dot(Protocol):
    """One instruction set.

    ZERO: what is added to activations before they are stored
    REGISTERS, LANES: how many vectors it holds, of how many float32 each
    FETCH: whether asking for memory before it is read is worth an instruction
    TILE: (rows of the batch, blocks of weights) whose sums its registers hold, for one row and for several
    FLOAT_TILE: the same for products of float32
    """

    ZERO: ClassVar[int]
    REGISTERS: ClassVar[int]
    LANES: ClassVar[int]
    FETCH: ClassVar[bool]
    TILE: ClassVar[tuple[tuple[int, int], tuple[int, int]]]
    FLOAT_TILE: ClassVar[tuple[tuple[int, int], tuple[int, int]]]

    @staticmethod
    def prepare(q: Buffer, b: int, rows: Expr, k: int) -> Buffer:
        """The first `rows` of the activations int8 (b, k), in the form in which `sum` reads them again and again."""
        return q

    @staticmethod
    def sum(tile: Tile) -> None:
        """Emit what fills tile.sums."""
        ...


def four(q: Buffer, row: Expr, step: Expr) -> Expr:
    """Activations 4 step .. 4 step + 3 of a row as the bytes of one int32."""
    return tirx.reinterpret("int32", q[row, tirx.Ramp(step * INPUTS, 1, INPUTS)])


def put(buffer: Buffer, value: Expr, at: int, lanes: int) -> None:
    """buffer[at : at + lanes] = value."""
    T.buffer_store(buffer, value, [tirx.Ramp(tirx.const(at, "int32"), 1, lanes)])


def take(buffer: Buffer, at: int, lanes: int) -> Expr:
    """buffer[at : at + lanes] as one value."""
    return buffer[tirx.Ramp(tirx.const(at, "int32"), 1, lanes)]


def zeros(lanes: int) -> Expr:
    return tirx.Broadcast(tirx.const(0, "int32"), lanes)
