"""int8 products on ARM: the dot product of ARMv8.2, and NEON without it on 64 and 32 bits."""

from typing import ClassVar

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.export.headroom import NEON_STEPS
from edgegen.export.maths import Expr
from edgegen.export.tir.dot import INPUTS, ROWS, Dot, Tile, four, put, take, zeros
from edgegen.export.tir.lanes import Buffer, loop, scratch

LANES = 4  # 32-bit numbers in a register: a quarter of a block
QUARTERS = ROWS // LANES


class Sdot(Dot):
    """ARMv8.2 dot product: sixteen products and twelve sums in one instruction, the four activations from a lane."""

    ZERO: ClassVar = 0
    REGISTERS: ClassVar = 32
    LANES: ClassVar = LANES
    FETCH: ClassVar = False  # it costs instructions, and what it gains is not measured
    TILE: ClassVar = ((1, 4), (4, 1))
    FLOAT_TILE: ClassVar = ((1, 4), (4, 1))

    @classmethod
    def sum(cls, tile: Tile) -> None:
        quarters = QUARTERS * tile.blocks
        for i in range(len(tile.rows) * quarters):
            put(tile.sums, zeros(LANES), i * LANES, LANES)
        # A register of activations serves four steps.
        whole, rest = divmod(tile.k // INPUTS, LANES)
        with loop(whole) as four_steps:
            registers = [tile.q[row, tirx.Ramp(four_steps * 4 * INPUTS, 1, 4 * INPUTS)] for row in tile.rows]
            for lane in range(LANES):
                cls._step(tile, four_steps * LANES + lane, [_lane(register, lane) for register in registers])
        for step in range(whole * LANES, whole * LANES + rest):
            cls._step(
                tile, tirx.const(step, "int32"), [four(tile.q, row, tirx.const(step, "int32")) for row in tile.rows]
            )

    @staticmethod
    def _step(tile: Tile, step: Expr, activations: list[Expr]) -> None:
        quarters = QUARTERS * tile.blocks
        for i in range(quarters):
            weights = tile.weights(step, i * LANES, LANES * INPUTS)
            for r, activation in enumerate(activations):
                at = (r * quarters + i) * LANES
                spread = tirx.reinterpret("int8x16", tirx.Broadcast(activation, LANES))
                total = tirx.call_llvm_pure_intrin(
                    "int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", take(tile.sums, at, LANES), weights, spread
                )
                put(tile.sums, total, at, LANES)


def _lane(register: Expr, lane: int) -> Expr:
    return tirx.Shuffle([tirx.reinterpret("int32x4", register)], [lane])


class Smull(Dot):
    """NEON without a dot product: two rows by four inputs, multiplied to 16 bits, then added to 32 in pairs.

    The weights leave room in 16 bits for the products of four steps; see `headroom`. Four activations are spread over
    a whole register once, in memory, and not in a register each time: LLVM sees through the latter, and then moves
    the upper half of every weight register down instead of multiplying it where it is.
    """

    ZERO: ClassVar = 0
    REGISTERS: ClassVar = 32
    LANES: ClassVar = LANES
    FETCH: ClassVar = False  # it costs instructions, and what it gains is not measured
    TILE: ClassVar = ((1, 2), (1, 2))
    FLOAT_TILE: ClassVar = ((1, 4), (4, 1))
    AT_ONCE: ClassVar = 8  # quarters, of two sums each

    @staticmethod
    def prepare(q: Buffer, b: int, rows: Expr, k: int) -> Buffer:
        spread = T.alloc_buffer((b, k * LANES), "int8")
        with loop(rows) as i, loop(k // INPUTS) as step:
            register = tirx.reinterpret("int8x16", tirx.Broadcast(four(q, i, step), LANES))
            T.buffer_store(spread, register, [i, tirx.Ramp(step * LANES * INPUTS, 1, LANES * INPUTS)])
        return spread

    @classmethod
    def sum(cls, tile: Tile) -> None:
        quarters = range(len(tile.rows) * QUARTERS * tile.blocks)
        for first in range(0, len(quarters), cls.AT_ONCE):
            cls._some(tile, list(quarters[first : first + cls.AT_ONCE]))

    @classmethod
    def _some(cls, tile: Tile, quarters: list[int]) -> None:
        """The sums of four rows of weights with one of activations, for each of `quarters`, counted as tile.sums is."""
        # Two registers a quarter, of two rows each: the sum of a row's even pairs, and of its odd ones.
        pairs = scratch(2 * len(quarters) * LANES, "int32")
        for i in range(2 * len(quarters)):
            put(pairs, zeros(LANES), i * LANES, LANES)
        whole, rest = divmod(tile.k // INPUTS, NEON_STEPS)
        with loop(whole) as turn:
            cls._steps(tile, [turn * NEON_STEPS + step for step in range(NEON_STEPS)], quarters, pairs)
        if rest:
            left = [tirx.const(whole * NEON_STEPS + step, "int32") for step in range(rest)]
            cls._steps(tile, left, quarters, pairs)
        for i, quarter in enumerate(quarters):
            both = [take(pairs, (2 * i + half) * LANES, LANES) for half in range(2)]
            even, odd = (tirx.Shuffle(both, [first + 2 * j for j in range(LANES)]) for first in range(2))
            put(tile.sums, even + odd, quarter * LANES, LANES)

    @classmethod
    def _steps(cls, tile: Tile, steps: list[Expr], quarters: list[int], pairs: Buffer) -> None:
        """Add the products of a few steps, whose sums are widened once."""
        for i, quarter in enumerate(quarters):
            r, place = divmod(quarter, QUARTERS * tile.blocks)
            weights = [tile.weights(step, place * LANES, LANES * INPUTS) for step in steps]
            activations = [cls._activations(tile, tile.rows[r], step) for step in steps]
            for half in range(2):
                products = [_product(w, a, half) for w, a in zip(weights, activations, strict=True)]
                at = (2 * i + half) * LANES
                put(pairs, cls._add_pairs(take(pairs, at, LANES), sum(products[1:], products[0])), at, LANES)

    @staticmethod
    def _activations(tile: Tile, row: Expr, step: Expr) -> Expr:
        return tile.q[row, tirx.Ramp(step * LANES * INPUTS, 1, LANES * INPUTS)]

    @staticmethod
    def _add_pairs(total: Expr, products: Expr) -> Expr:
        return total + tirx.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", products)


def _product(weights: Expr, activations: Expr, half: int) -> Expr:
    """The lower or upper halves of two int8x16, multiplied to 16 bits."""
    lanes = [half * 8 + i for i in range(8)]
    a, b = (tirx.Shuffle([register], lanes).astype("int16x8") for register in (weights, activations))
    return a * b


class Vmull(Smull):
    """The same on 32-bit ARM, which has half the registers, each of them two of 64 bits."""

    REGISTERS: ClassVar = 16
    TILE: ClassVar = ((1, 1), (1, 1))
    FLOAT_TILE: ClassVar = ((1, 2), (2, 1))
    AT_ONCE: ClassVar = 2

    @staticmethod
    def prepare(q: Buffer, b: int, rows: Expr, k: int) -> Buffer:
        return q

    @staticmethod
    def _activations(tile: Tile, row: Expr, step: Expr) -> Expr:
        return tirx.reinterpret("int8x16", tirx.Broadcast(four(tile.q, row, step), LANES))

    @staticmethod
    def _add_pairs(total: Expr, products: Expr) -> Expr:
        return tirx.call_llvm_pure_intrin("int32x4", "llvm.arm.neon.vpadals.v4i32.v8i16", total, products)
