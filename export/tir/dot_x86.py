"""int8 products on x86-64: AVX-512 VNNI, and AVX2."""

from typing import ClassVar

from tvm import tirx

from edgegen.export.headroom import AVX2_STEPS
from edgegen.export.maths import Expr
from edgegen.export.tir.dot import INPUTS, ROWS, Dot, Tile, four, put, take, zeros
from edgegen.export.tir.lanes import Buffer, loop, scratch


class Vnni(Dot):
    """AVX-512 VNNI: vpdpbusd multiplies unsigned by signed bytes, so activations are stored as q + 128."""

    ZERO: ClassVar = 128
    REGISTERS: ClassVar = 32
    LANES: ClassVar = 16
    FETCH: ClassVar = True
    TILE: ClassVar = ((1, 4), (4, 4))
    FLOAT_TILE: ClassVar = ((1, 4), (4, 4))
    BUSY: ClassVar = 8  # sums that cover the latency of vpdpbusd

    @classmethod
    def sum(cls, tile: Tile) -> None:
        # Few sums leave the unit waiting for each other's latency: even and odd steps then have sums of their own.
        chains = 2 if len(tile.rows) * tile.blocks < cls.BUSY and tile.k % (2 * INPUTS) == 0 else 1
        count = len(tile.rows) * tile.blocks
        partial = [tile.sums, *(scratch(count * ROWS, "int32") for _ in range(1, chains))]
        for i in range(count):
            start = tile.offset[tirx.Ramp(tile.row + (tile.first + i % tile.blocks) * ROWS, 1, ROWS)]
            put(partial[0], start, i * ROWS, ROWS)
            for other in partial[1:]:
                put(other, zeros(ROWS), i * ROWS, ROWS)
        with loop(tile.k // (chains * INPUTS)) as turn:
            for chain, sums in enumerate(partial):
                cls._step(tile, turn * chains + chain, sums)
        for other in partial[1:]:
            for i in range(count):
                put(tile.sums, take(tile.sums, i * ROWS, ROWS) + take(other, i * ROWS, ROWS), i * ROWS, ROWS)

    @staticmethod
    def _step(tile: Tile, step: Expr, sums: Buffer) -> None:
        weights = [tile.weights(step, g * ROWS, ROWS * INPUTS) for g in range(tile.blocks)]
        for r, row in enumerate(tile.rows):
            activations = tirx.reinterpret("int8x64", tirx.Broadcast(four(tile.q, row, step), ROWS))
            for g in range(tile.blocks):
                at = (r * tile.blocks + g) * ROWS
                total = tirx.call_llvm_pure_intrin(
                    "int32x16", "llvm.x86.avx512.vpdpbusd.512", take(sums, at, ROWS), activations, weights[g]
                )
                put(sums, total, at, ROWS)


class Avx2(Dot):
    """AVX2: vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits, so activations are stored as
    q + 128. The weights leave room there for the pairs of two steps; see `headroom`.
    """

    ZERO: ClassVar = 128
    REGISTERS: ClassVar = 16
    LANES: ClassVar = 8  # half a block
    FETCH: ClassVar = True
    TILE: ClassVar = ((1, 4), (1, 4))
    FLOAT_TILE: ClassVar = ((1, 4), (5, 1))

    @classmethod
    def sum(cls, tile: Tile) -> None:
        halves = 2 * tile.blocks
        for i in range(len(tile.rows) * halves):
            start = tile.row + tile.first * ROWS + i % halves * cls.LANES
            put(tile.sums, tile.offset[tirx.Ramp(start, 1, cls.LANES)], i * cls.LANES, cls.LANES)
        whole, rest = divmod(tile.k // INPUTS, AVX2_STEPS)
        with loop(whole) as turn:
            cls._steps(tile, [turn * AVX2_STEPS + step for step in range(AVX2_STEPS)])
        if rest:
            cls._steps(tile, [tirx.const(whole * AVX2_STEPS + step, "int32") for step in range(rest)])

    @classmethod
    def _steps(cls, tile: Tile, steps: list[Expr]) -> None:
        """Add the products of a few steps, whose sums are widened once."""
        halves = 2 * tile.blocks
        ones = tirx.Broadcast(tirx.const(1, "int16"), 2 * cls.LANES)
        for r, row in enumerate(tile.rows):
            levels = [tirx.reinterpret("int8x32", tirx.Broadcast(four(tile.q, row, step), cls.LANES)) for step in steps]
            for h in range(halves):
                products = [
                    tirx.call_llvm_pure_intrin(
                        "int16x16",
                        "llvm.x86.avx2.pmadd.ub.sw",
                        level,
                        tile.weights(step, h * cls.LANES, cls.LANES * INPUTS),
                    )
                    for level, step in zip(levels, steps, strict=True)
                ]
                pairs = sum(products[1:], products[0])
                fours = tirx.call_llvm_pure_intrin("int32x8", "llvm.x86.avx2.pmadd.wd", pairs, ones)
                at = (r * halves + h) * cls.LANES
                put(tile.sums, take(tile.sums, at, cls.LANES) + fours, at, cls.LANES)
