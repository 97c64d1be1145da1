"""Products of float32, and the embedding that shares its table with the last of them.

A block of weights is 16 rows by one input, again 64 bytes: packed[n / (16 g)][k][g][16]. The rows lie side by side in
registers, so that every sum runs over the inputs in their order, by one fused multiply-add each: its bits depend
neither on the tile it stands in nor on how wide a register is.
"""

from typing import Any

from tvm.script.ir_builder import tirx as T

from edgegen.export.maths import Expr, f32, fma
from edgegen.export.tir.dot import ROWS, padded, place
from edgegen.export.tir.lanes import Buffer, Kernel, loop, scratch, store
from edgegen.export.tir.products import Product


class Floats(Product):
    """x (b, k); weight (n, k) as `dot.pack` gives it."""

    @property
    def tiles(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return self.dot.FLOAT_TILE

    def declare(self, kernel: Kernel) -> None:
        self.x = kernel.tensor("x", (self.b, self.k))
        self.weight = kernel.tensor("weight", (padded(self.n) * self.k,))

    def prepare(self, rows: Expr) -> None:
        """They are read as they are."""

    def sums(self, outer: Expr, first: int, blocks: int, rows: list[Expr]) -> Buffer:
        sums, lanes = scratch(len(rows) * blocks * ROWS), self.dot.LANES
        for at in range(0, len(rows) * blocks * ROWS, lanes):
            with T.vectorized(lanes) as lane:
                store(sums, f32(0.0), at + lane)
        with loop(self.k) as step:
            start = (outer * self.k + step) * self.span + first * ROWS
            for r, row in enumerate(rows):
                for column in range(0, blocks * ROWS, lanes):
                    at = r * blocks * ROWS + column
                    with T.vectorized(lanes) as lane:
                        weight = self.weight[start + column + lane]
                        store(sums, fma(weight, self.x[row, step], sums[at + lane]), at + lane)
        return sums

    def value(self, total: Expr, i: Expr, column: Expr, added: Expr | None) -> Expr:
        return total if added is None else total + added


def float_embedding(b: int, vocabulary: int, d: int) -> Any:
    """x (b, d): row token[i] of the packed table (vocabulary, d)."""
    with Kernel("embedding", b) as kernel:
        table, token = kernel.tensor("table", (padded(vocabulary) * d,)), kernel.tensor("token", (b,), "int64")
        x = kernel.tensor("x", (b, d))
        with loop(kernel.rows) as i, loop(d) as column:
            row = token[i].astype("int32")
            store(x, table[place(vocabulary, d, row, column, 1)], i, column)
    return kernel.function
