"""int8 products on x86-64: AVX-512 VNNI, and AVX2."""

from tvm import tirx

from edgegen.export.maths import Expr
from edgegen.export.tir.dot import BLOCK, INPUTS, ROWS, four, put, vector
from edgegen.export.tir.lanes import Buffer, loop


class Vnni:
    """AVX-512 VNNI: vpdpbusd multiplies unsigned by signed bytes, so activations go in as q + 128."""

    def __init__(self, k: int, group: int) -> None:
        self.k, self.blocks = k, group

    def group(self, q: Buffer, b: Expr, weight: Buffer, start: Expr, offset: Buffer, row: Expr, sums: Buffer) -> None:
        for g in range(self.blocks):
            put(sums, vector(offset, row + g * ROWS, ROWS), tirx.const(g * ROWS, "int32"), ROWS)
        with loop(self.k // INPUTS) as step:
            unsigned = four(q, b, step) ^ tirx.const(-0x7F7F7F80, "int32")
            activations = tirx.reinterpret("int8x64", tirx.Broadcast(unsigned, ROWS))
            for g in range(self.blocks):
                at = tirx.const(g * ROWS, "int32")
                weights = vector(weight, start + (step * self.blocks + g) * BLOCK, BLOCK)
                total = tirx.call_llvm_pure_intrin(
                    "int32x16", "llvm.x86.avx512.vpdpbusd.512", vector(sums, at, ROWS), activations, weights
                )
                put(sums, total, at, ROWS)


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
            put(sums, zero, tirx.const(h * self.LANES, "int32"), self.LANES)
        with loop(self.k // INPUTS) as step:
            signed = tirx.reinterpret("int8x32", tirx.Broadcast(four(q, b, step), self.LANES))
            size = tirx.call_llvm_pure_intrin("int8x32", "llvm.x86.avx2.psign.b", signed, signed)
            for h in range(halves):
                at = tirx.const(h * self.LANES, "int32")
                weights = vector(weight, start + step * self.blocks * BLOCK + h * BLOCK // 2, BLOCK // 2)
                turned = tirx.call_llvm_pure_intrin("int8x32", "llvm.x86.avx2.psign.b", weights, signed)
                pairs = tirx.call_llvm_pure_intrin("int16x16", "llvm.x86.avx2.pmadd.ub.sw", size, turned)
                fours = tirx.call_llvm_pure_intrin("int32x8", "llvm.x86.avx2.pmadd.wd", pairs, ones)
                put(sums, vector(sums, at, self.LANES) + fours, at, self.LANES)
