"""int8 products on ARM: the dot product of ARMv8.2, and NEON without it on 64 and 32 bits."""

from abc import ABC, abstractmethod

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr
from edgegen.export.tir.dot import BLOCK, INPUTS, ROWS, four, put, vector
from edgegen.export.tir.lanes import Buffer, loop, scratch


class _Neon(ABC):
    """NEON: four rows by four inputs to a register; a few blocks at a time, as many as the sums' registers allow."""

    LANES = 4  # of int32 in a register: a quarter of a block
    AT_ONCE = 0  # blocks

    def __init__(self, k: int, group: int) -> None:
        self.k, self.blocks = k, group

    def group(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, offset: Buffer, row: Expr, sums: Buffer) -> None:
        for first in range(0, self.blocks, self.AT_ONCE):
            blocks = range(first, min(first + self.AT_ONCE, self.blocks))
            quarters = [g * ROWS + r for g in blocks for r in range(0, ROWS, self.LANES)]
            self._quarters(q, b, weight, start, sums, quarters)

    def _weights(self, weight: Buffer, start: Expr, step: Expr, rows: int, lanes: int) -> Expr:
        """Bytes of `lanes` / 4 rows from row `rows` of the group on, by the four inputs of `step`."""
        return vector(weight, start + step * self.blocks * BLOCK + rows * INPUTS, lanes)

    @abstractmethod
    def _quarters(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, sums: Buffer, quarters: list[int]) -> None:
        """The sums of the four rows that start at each of `quarters`."""


class Sdot(_Neon):
    """ARMv8.2 dot product: sixteen products and twelve sums in one instruction."""

    AT_ONCE = 4

    def _quarters(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, sums: Buffer, quarters: list[int]) -> None:
        for at in quarters:
            put(sums, tirx.Broadcast(tirx.const(0, "int32"), self.LANES), tirx.const(at, "int32"), self.LANES)
        with loop(self.k // INPUTS) as step:
            activations = tirx.reinterpret("int8x16", tirx.Broadcast(four(q, b, step), self.LANES))
            for at in quarters:
                total = tirx.call_llvm_pure_intrin(
                    "int32x4",
                    "llvm.aarch64.neon.sdot.v4i32.v16i8",
                    vector(sums, tirx.const(at, "int32"), self.LANES),
                    self._weights(weight, start, step, at, 4 * self.LANES),
                    activations,
                )
                put(sums, total, tirx.const(at, "int32"), self.LANES)


class Smull(_Neon):
    """NEON without a dot product: two rows by four inputs, multiplied to 16 bits twice, then added to 32 in pairs.

    Two products of at most 127 * 127 fit into 16 bits, so the inputs are taken eight at a time.
    """

    AT_ONCE = 2
    ADD_PAIRS = "llvm.aarch64.neon.saddlp.v4i32.v8i16"

    def _quarters(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, sums: Buffer, quarters: list[int]) -> None:
        if self.k % (2 * INPUTS):
            raise EdgegenError(f"a linear with {self.k} inputs needs a multiple of {2 * INPUTS} on this processor")
        halves = [at + r for at in quarters for r in (0, 2)]
        # A register holds two rows, each as the sum of its even and of its odd pairs.
        pairs = scratch(self.LANES * len(halves), "int32")
        for i in range(len(halves)):
            zero = tirx.Broadcast(tirx.const(0, "int32"), self.LANES)
            put(pairs, zero, tirx.const(i * self.LANES, "int32"), self.LANES)
        with loop(self.k // (2 * INPUTS)) as twice:
            steps = [twice * 2, twice * 2 + 1]
            fours = [
                tirx.reinterpret("int8x8", tirx.Broadcast(four(q, b, step), 2)).astype("int16x8") for step in steps
            ]
            for i, rows in enumerate(halves):
                low, high = (self._weights(weight, start, step, rows, 8).astype("int16x8") for step in steps)
                products = low * fours[0] + high * fours[1]
                added = tirx.call_llvm_pure_intrin("int32x4", self.ADD_PAIRS, products)
                at = tirx.const(i * self.LANES, "int32")
                put(pairs, vector(pairs, at, self.LANES) + added, at, self.LANES)
        for i, rows in enumerate(halves):
            for r in (0, 1):
                both = pairs[i * self.LANES + 2 * r] + pairs[i * self.LANES + 2 * r + 1]
                T.buffer_store(sums, both, [tirx.const(rows + r, "int32")])


class Vmull(Smull):
    """The same on 32-bit ARM."""

    ADD_PAIRS = "llvm.arm.neon.vpaddls.v4i32.v8i16"
