"""Integer products, and the embedding that shares its table with the last of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.export.maths import Expr, fma, softplus
from edgegen.export.tir.dot import INPUTS, ROWS, Dot, Tile, group_of, padded, place
from edgegen.export.tir.dot_arm import Sdot, Smull, Vmull
from edgegen.export.tir.dot_x86 import Avx2, Vnni
from edgegen.export.tir.lanes import Buffer, Kernel, loop, scratch, store

# The instruction sets that a kernel can be written in.
DOTS: dict[str, type[Dot]] = {"vnni": Vnni, "avx2": Avx2, "sdot": Sdot, "smull": Smull, "vmull": Vmull}


@dataclass(frozen=True)
class _Epilogue:
    """What becomes of a sum: times its scales, plus a bias (n,) or a residual (b, n), softplus of that."""

    added: Buffer | None = None
    per_row: bool = False
    positive: bool = False

    def __call__(self, value: Expr, scale: Expr, i: Expr, column: Expr) -> Expr:
        """value: a sum times its row's scale; scale: its output's; i, column: where it stands in y."""
        if self.added is None:
            return value * scale
        total = fma(value, scale, self.added[i, column] if self.per_row else self.added[column])
        return softplus(total) if self.positive else total


class _Product:
    """The parameters that every product has, and its loops over tiles."""

    def __init__(self, kernel: Kernel, b: int, k: int, n: int, dot: str) -> None:
        self.b, self.k, self.n, self.dot = b, k, n, DOTS[dot]
        self.group = group_of(n)
        self.span = self.group * ROWS
        self.groups = padded(n) // self.span
        self.q, self.scale = kernel.tensor("q", (b, k), "int8"), kernel.tensor("scale", (b, 1))
        self.weight = kernel.tensor("weight", (padded(n) * k,), "int8")
        self.offset = kernel.tensor("offset", (padded(n),), "int32")
        self.weight_scale = kernel.tensor("weight_scale", (n,))

    def fill(self, y: Buffer, outer: Expr, count: Any, row: Callable[[Expr], Expr], epilogue: _Epilogue) -> None:
        """Group `outer` of y's columns in the rows row(0) .. row(count - 1), as many at a time as a tile takes."""
        rows, blocks = self.dot.TILE[self.b > 1]
        for first in range(0, self.group, blocks):
            with loop(count // rows) as turn:
                self._tile(y, outer, first, blocks, [row(turn * rows + r) for r in range(rows)], epilogue)
        if rows == 1 or (isinstance(count, int) and count % rows == 0):
            return
        _, blocks = self.dot.TILE[False]
        for first in range(0, self.group, blocks):
            with loop(count % rows) as left:
                self._tile(y, outer, first, blocks, [row(count - 1 - left)], epilogue)

    def _tile(self, y: Buffer, outer: Expr, first: int, most: int, rows: list[Expr], epilogue: _Epilogue) -> None:
        blocks = min(most, self.group - first)
        sums = scratch(len(rows) * blocks * ROWS, "int32")
        start, column = outer * (self.span * self.k), outer * self.span
        self.dot.sum(
            Tile(self.q, tuple(rows), self.k, self.weight, start, self.group, first, blocks, self.offset, column, sums)
        )
        for r, i in enumerate(rows):
            for g in range(blocks):
                at = (r * blocks + g) * ROWS
                self._block(y, i, column + (first + g) * ROWS, first + g == self.group - 1, sums, at, epilogue)

    def _block(self, y: Buffer, i: Expr, column: Expr, last: bool, sums: Buffer, at: int, epilogue: _Epilogue) -> None:
        def one(lane: Expr) -> None:
            value = sums[at + lane].astype("float32") * self.scale[i, 0]
            store(y, epilogue(value, self.weight_scale[column + lane], i, column + lane), i, column + lane)

        if last and self.n % ROWS:
            # Rows that are padding, all at the end of the last group, have no place in y.
            with loop(tirx.min(self.n - column, ROWS)) as lane:
                one(lane)
            return
        for part in range(0, ROWS, self.dot.LANES):
            with T.vectorized(self.dot.LANES) as lane:
                one(part + lane)


def linear(
    b: int,
    k: int,
    n: int,
    dot: str,
    added: tuple[int, ...] | None = None,
    positive: bool = False,
    optional: bool = False,
) -> Any:
    """y (b, n) = q @ weight^T * scale * weight_scale [+ added], then softplus where `positive`.

    q int8 (b, k), scale (b, 1); weight (n, k) int8 as `dot.pack` gives it, offset as `dot.offsets`; weight_scale (n,);
    added (n,), a bias, or (b, n), a residual; dot names the instruction set; optional: see Kernel. The sums are exact
    in int32.
    """
    with Kernel(f"linear_{n}x{k}", b, optional) as kernel:
        product = _Product(kernel, b, k, n, dot)
        term = kernel.tensor("added", added) if added else None
        y = kernel.tensor("y", (b, n))
        product.q = product.dot.prepare(product.q, b, kernel.rows, k)
        with loop(product.groups) as outer:
            product.fill(y, outer, kernel.rows, lambda i: i, _Epilogue(term, len(added or ()) == 2, positive))
    return kernel.function


def head(b: int, k: int, n: int, dot: str) -> Any:
    """y (b, n) as `linear` makes it, but of row i only what lies in the groups of legal[i, 0] .. legal[i, 1] - 1.

    legal int32 (b, 2): the outputs that are wanted of a row, none where the two are equal. The rest of y is left as
    it is.
    """
    with Kernel("head", b) as kernel:
        product = _Product(kernel, b, k, n, dot)
        legal = kernel.tensor("legal", (b, 2), "int32")
        y = kernel.tensor("y", (b, n))
        product.q = product.dot.prepare(product.q, b, kernel.rows, k)
        wanted, count = scratch(b, "int32"), scratch(1, "int32")
        with loop(product.groups) as outer:
            low = outer * product.span
            store(count, tirx.const(0, "int32"), 0)
            with loop(kernel.rows) as i:
                store(wanted, i, count[0])
                inside = tirx.all(legal[i, 0] < low + product.span, legal[i, 1] > tirx.max(low, legal[i, 0]))
                store(count, count[0] + inside.astype("int32"), 0)
            product.fill(y, outer, count[0], lambda i: wanted[i], _Epilogue())
    return kernel.function


def embedding(b: int, vocabulary: int, d: int) -> Any:
    """x (b, d): row token[i] of the packed table (vocabulary, d), times its scale in table_scale (vocabulary,)."""
    with Kernel("embedding", b) as kernel:
        table = kernel.tensor("table", (vocabulary * d,), "int8")
        table_scale = kernel.tensor("table_scale", (vocabulary,))
        token = kernel.tensor("token", (b,), "int64")
        x = kernel.tensor("x", (b, d))
        with loop(kernel.rows) as i, loop(d // INPUTS) as step:
            row = token[i].astype("int32")
            first = place(vocabulary, d, row, step * INPUTS)
            for j in range(INPUTS):
                store(x, table[first + j].astype("float32") * table_scale[row], i, step * INPUTS + j)
    return kernel.function
