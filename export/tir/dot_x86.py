"""int8 products on x86-64: AVX-512 VNNI, and AVX2."""

from typing import ClassVar

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr
from edgegen.export.tir.dot import INPUTS, ROWS, Tile, four, put, take, zeros
from edgegen.export.tir.lanes import Buffer, lanes_of, loop, merge, scratch, store


class Vnni:
    """AVX-512 VNNI: vpdpbusd multiplies unsigned by signed bytes, so activations are stored as q + 128."""

    ZERO: ClassVar = 128
    LANES: ClassVar = 16
    TILE: ClassVar = ((1, 4), (4, 4))
    FLOAT_TILE: ClassVar = ((1, 4), (4, 4))
    BUSY: ClassVar = 8  # sums that cover the latency of vpdpbusd

    @staticmethod
    def prepare(q: Buffer, b: int, rows: Expr, k: int) -> Buffer:
        return q

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


class Avx2:
    """AVX2: vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits, which hold |q| times anything.

    For q < 0, |q| times ~w = -w - 1 is q w - |q|. So where q is negative the weights are inverted, and what that takes
    off, the sum of those |q|, is where all sums of a row start. No pair exceeds 2 * 127 * 128 < 2^15.
    """

    ZERO: ClassVar = 0
    LANES: ClassVar = 8  # half a block
    TILE: ClassVar = ((1, 4), (1, 4))
    FLOAT_TILE: ClassVar = ((1, 4), (5, 1))

    @classmethod
    def prepare(cls, q: Buffer, b: int, rows: Expr, k: int) -> Buffer:
        """|q| of a row (k,), then its signs as bytes of ones or zeros (k,), then the start of its sums, an int32."""
        made = T.alloc_buffer((b, 2 * k + INPUTS), "int8")
        lanes = lanes_of(k)
        # 16 bits hold what a lane adds up: at most 127 for each of its inputs.
        if k // lanes > 256:
            raise EdgegenError(f"a linear with {k} inputs is too wide for AVX2, whose most are {256 * lanes}")
        negative, total = scratch(lanes, "int16"), scratch(lanes, "int32")
        none = tirx.const(0, "int8")
        with loop(rows) as i:
            with T.vectorized(lanes) as lane:
                store(negative, tirx.const(0, "int16"), lane)
            with loop(k // lanes) as turn, T.vectorized(lanes) as lane:
                j = turn * lanes + lane
                value = q[i, j]
                store(made, tirx.abs(value), i, j)
                store(made, tirx.Select(value < none, tirx.const(-1, "int8"), none), i, k + j)
                store(negative, negative[lane] - tirx.min(value, none).astype("int16"), lane)
            with T.vectorized(lanes) as lane:
                store(total, negative[lane].astype("int32"), lane)
            start = merge(total, lanes, lambda a, b: a + b)
            place = tirx.Ramp(tirx.const(2 * k, "int32"), 1, INPUTS)
            T.buffer_store(made, tirx.reinterpret("int8x4", start), [i, place])
        return made

    @classmethod
    def sum(cls, tile: Tile) -> None:
        halves = 2 * tile.blocks
        ones = tirx.Broadcast(tirx.const(1, "int16"), 2 * cls.LANES)
        for r, row in enumerate(tile.rows):
            start = tirx.Broadcast(four(tile.q, row, tirx.const(2 * tile.k // INPUTS, "int32")), cls.LANES)
            for h in range(halves):
                put(tile.sums, start, (r * halves + h) * cls.LANES, cls.LANES)
        with loop(tile.k // INPUTS) as step:
            for r, row in enumerate(tile.rows):
                size, sign = (
                    tirx.reinterpret("int8x32", tirx.Broadcast(four(tile.q, row, step + part), cls.LANES))
                    for part in (0, tile.k // INPUTS)
                )
                for h in range(halves):
                    at = (r * halves + h) * cls.LANES
                    turned = tile.weights(step, h * cls.LANES, cls.LANES * INPUTS) ^ sign
                    pairs = tirx.call_llvm_pure_intrin("int16x16", "llvm.x86.avx2.pmadd.ub.sw", size, turned)
                    fours = tirx.call_llvm_pure_intrin("int32x8", "llvm.x86.avx2.pmadd.wd", pairs, ones)
                    put(tile.sums, take(tile.sums, at, cls.LANES) + fours, at, cls.LANES)
