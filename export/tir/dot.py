"""int8 products of one row of activations with blocks of weights, in each instruction set's own dot product.

Weights lie in blocks of 16 rows by 4 inputs, one AVX-512 register, two AVX2, four NEON, so that every variant reads the
same bytes. Up to GROUP blocks stand side by side for each 4 inputs: their sums are independent, which hides the latency
of the dot product, and the weights are read as one stream.

    packed[n / (16 g)][k / 4][g][16][4]
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr
from edgegen.export.tir.lanes import Buffer, loop

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


def _vector(buffer: Buffer, start: Expr, lanes: int) -> Expr:
    return buffer[tirx.Ramp(start, 1, lanes)]


def _put(buffer: Buffer, value: Expr, start: Expr, lanes: int) -> None:
    T.buffer_store(buffer, value, [tirx.Ramp(start, 1, lanes)])


def _four(q: Buffer, b: Expr, k: int, step: Expr) -> Expr:
    """Four activations as the bytes of one int32."""
    return tirx.reinterpret("int32", q[b, tirx.Ramp(step * INPUTS, 1, INPUTS)])


class Vnni:
    """AVX-512 VNNI: vpdpbusd multiplies unsigned by signed bytes, so activations go in as q + 128."""

    def __init__(self, k: int, group: int) -> None:
        self.k, self.blocks = k, group

    def group(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, offset: Buffer, row: Expr, sums: Buffer) -> None:
        for g in range(self.blocks):
            _put(sums, _vector(offset, row + g * ROWS, ROWS), tirx.const(g * ROWS, "int32"), ROWS)
        with loop(self.k // INPUTS) as step:
            unsigned = _four(q, b, self.k, step) ^ tirx.const(-0x7F7F7F80, "int32")
            activations = tirx.reinterpret("int8x64", tirx.Broadcast(unsigned, ROWS))
            for g in range(self.blocks):
                at = tirx.const(g * ROWS, "int32")
                weights = _vector(weight, start + (step * self.blocks + g) * BLOCK, BLOCK)
                total = tirx.call_llvm_pure_intrin(
                    "int32x16", "llvm.x86.avx512.vpdpbusd.512", _vector(sums, at, ROWS), activations, weights
                )
                _put(sums, total, at, ROWS)


class Avx2:
    """AVX2: |q| times w with q's sign, as vpmaddubsw wants it; no pair of products exceeds 2 * 127 * 127 < 2^15."""

    LANES = 8  # of int32 in a register: half a block

    def __init__(self, k: int, group: int) -> None:
        self.k, self.blocks = k, group

    def group(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, offset: Buffer, row: Expr, sums: Buffer) -> None:
        halves = 2 * self.blocks
        ones = tirx.Broadcast(tirx.const(1, "int16"), 16)
        for h in range(halves):
            zero = tirx.Broadcast(tirx.const(0, "int32"), self.LANES)
            _put(sums, zero, tirx.const(h * self.LANES, "int32"), self.LANES)
        with loop(self.k // INPUTS) as step:
            signed = tirx.reinterpret("int8x32", tirx.Broadcast(_four(q, b, self.k, step), self.LANES))
            size = tirx.call_llvm_pure_intrin("int8x32", "llvm.x86.avx2.psign.b", signed, signed)
            for h in range(halves):
                at = tirx.const(h * self.LANES, "int32")
                weights = _vector(weight, start + step * self.blocks * BLOCK + h * BLOCK // 2, BLOCK // 2)
                turned = tirx.call_llvm_pure_intrin("int8x32", "llvm.x86.avx2.psign.b", weights, signed)
                pairs = tirx.call_llvm_pure_intrin("int16x16", "llvm.x86.avx2.pmadd.ub.sw", size, turned)
                fours = tirx.call_llvm_pure_intrin("int32x8", "llvm.x86.avx2.pmadd.wd", pairs, ones)
                _put(sums, _vector(sums, at, self.LANES) + fours, at, self.LANES)


DOTS: dict[str, Any] = {"vnni": Vnni, "avx2": Avx2}
