"""Products of int8 levels, and the embedding that shares its table with the last of them."""

from typing import Any

from edgegen.export.maths import Expr, fma
from edgegen.export.tir.dot import INPUTS, ROWS, Tile, padded, place
from edgegen.export.tir.lanes import Buffer, Kernel, loop, scratch, store
from edgegen.export.tir.products import Product


class Levels(Product):
    """q int8 (b, k), scale (b, 1); weight (n, k) int8 as `dot.pack` gives it, offset as `dot.offsets`,
    weight_scale (n,).

    The sums are exact in int32; a result is a sum times scale and weight_scale.
    """

    @property
    def tiles(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return self.dot.TILE

    def declare(self, kernel: Kernel) -> None:
        self.q, self.scale = kernel.tensor("q", (self.b, self.k), "int8"), kernel.tensor("scale", (self.b, 1))
        self.weight = kernel.tensor("weight", (padded(self.n) * self.k,), "int8")
        self.offset = kernel.tensor("offset", (padded(self.n),), "int32")
        self.weight_scale = kernel.tensor("weight_scale", (self.n,))

    def prepare(self, rows: Expr) -> None:
        self.q = self.dot.prepare(self.q, self.b, rows, self.k)

    def sums(self, outer: Expr, first: int, blocks: int, rows: list[Expr]) -> Buffer:
        sums = scratch(len(rows) * blocks * ROWS, "int32")
        start, column = outer * (self.span * self.k), outer * self.span
        self.dot.sum(
            Tile(self.q, tuple(rows), self.k, self.weight, start, self.group, first, blocks, self.offset, column, sums)
        )
        return sums

    def value(self, total: Expr, i: Expr, column: Expr, added: Expr | None) -> Expr:
        scaled, scale = total.astype("float32") * self.scale[i, 0], self.weight_scale[column]
        return scaled * scale if added is None else fma(scaled, scale, added)


def embedding(b: int, vocabulary: int, d: int) -> Any:
    """x (b, d): row token[i] of the packed table (vocabulary, d), times its scale in table_scale (vocabulary,)."""
    with Kernel("embedding", b) as kernel:
        table = kernel.tensor("table", (padded(vocabulary) * d,), "int8")
        table_scale = kernel.tensor("table_scale", (vocabulary,))
        token = kernel.tensor("token", (b,), "int64")
        x = kernel.tensor("x", (b, d))
        with loop(kernel.rows) as i, loop(d // INPUTS) as step:
            row = token[i].astype("int32")
            first = place(vocabulary, d, row, step * INPUTS)
            for j in range(INPUTS):
                store(x, table[first + j].astype("float32") * table_scale[row], i, step * INPUTS + j)
    return kernel.function
