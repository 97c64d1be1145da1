"""Products of the rows of a batch with a packed weight, in whatever numbers: tiles, what is added, and the head."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.export.maths import Expr, softplus
from edgegen.export.tir.dot import ROWS, Dot, group_of, padded
from edgegen.export.tir.dot_arm import Sdot, Smull, Vmull
from edgegen.export.tir.dot_x86 import Avx2, Vnni
from edgegen.export.tir.lanes import Buffer, Kernel, loop, scratch, store

# The instruction sets that a kernel can be written in.
DOTS: dict[str, type[Dot]] = {"vnni": Vnni, "avx2": Avx2, "sdot": Sdot, "smull": Smull, "vmull": Vmull}


@dataclass(frozen=True)
class _Epilogue:
    """What becomes of a sum: plus a bias (n,) or a residual (b, n), softplus of that."""

    added: Buffer | None = None
    per_row: bool = False
    positive: bool = False

    def term(self, i: Expr, column: Expr) -> Expr | None:
        if self.added is None:
            return None
        return self.added[i, column] if self.per_row else self.added[column]


class Product(ABC):
    """One product in the instructions of `dot`: its first parameters, and its loops over tiles."""

    def __init__(self, kernel: Kernel, b: int, k: int, n: int, dot: str) -> None:
        self.b, self.k, self.n, self.dot = b, k, n, DOTS[dot]
        self.group = group_of(n)
        self.span = self.group * ROWS
        self.groups = padded(n) // self.span
        self.declare(kernel)

    @property
    @abstractmethod
    def tiles(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(rows of the batch, blocks of weights) that a tile takes, of one row and of several."""

    @abstractmethod
    def declare(self, kernel: Kernel) -> None:
        """The kernel's parameters: activations, weights, and their scales if they have any."""

    @abstractmethod
    def prepare(self, rows: Expr) -> None:
        """Emit what is done once to the activations of the first `rows`."""

    @abstractmethod
    def sums(self, outer: Expr, first: int, blocks: int, rows: list[Expr]) -> Buffer:
        """Emit the sums of some rows with blocks first .. first + blocks - 1 of group `outer`; see dot.Tile.sums."""

    @abstractmethod
    def value(self, total: Expr, i: Expr, column: Expr, added: Expr | None) -> Expr:
        """What a sum is worth in y[i, column], plus what is added to it."""

    def fill(self, y: Buffer, outer: Expr, count: Any, row: Callable[[Expr], Expr], epilogue: _Epilogue) -> None:
        """Group `outer` of y's columns in the rows row(0) .. row(count - 1), as many at a time as a tile takes."""
        rows, blocks = self.tiles[self.b > 1]
        for first in range(0, self.group, blocks):
            with loop(count // rows) as turn:
                self._tile(y, outer, first, blocks, [row(turn * rows + r) for r in range(rows)], epilogue)
        if rows == 1 or (isinstance(count, int) and count % rows == 0):
            return
        _, blocks = self.tiles[False]
        for first in range(0, self.group, blocks):
            with loop(count % rows) as left:
                self._tile(y, outer, first, blocks, [row(count - 1 - left)], epilogue)

    def _tile(self, y: Buffer, outer: Expr, first: int, most: int, rows: list[Expr], epilogue: _Epilogue) -> None:
        blocks = min(most, self.group - first)
        sums = self.sums(outer, first, blocks, rows)
        for r, i in enumerate(rows):
            for g in range(blocks):
                at, column = (r * blocks + g) * ROWS, outer * self.span + (first + g) * ROWS
                self._block(y, i, column, first + g == self.group - 1, sums, at, epilogue)

    def _block(self, y: Buffer, i: Expr, column: Expr, last: bool, sums: Buffer, at: int, epilogue: _Epilogue) -> None:
        def one(lane: Expr) -> None:
            total = self.value(sums[at + lane], i, column + lane, epilogue.term(i, column + lane))
            store(y, softplus(total) if epilogue.positive else total, i, column + lane)

        if last and self.n % ROWS:
            # Rows that are padding, all at the end of the last group, have no place in y.
            with loop(tirx.min(self.n - column, ROWS)) as lane:
                one(lane)
            return
        for part in range(0, ROWS, self.dot.LANES):
            with T.vectorized(self.dot.LANES) as lane:
                one(part + lane)


def linear(
    numbers: type[Product],
    b: int,
    k: int,
    n: int,
    dot: str,
    added: tuple[int, ...] | None = None,
    positive: bool = False,
) -> Any:
    """y (b, n) = activations (b, k) @ weight^T [+ added], then softplus where `positive`.

    numbers: Levels or Floats, which say how activations and the weight (n, k) are given
    added (n,), a bias, or (b, n), a residual; dot names the instruction set
    """
    with Kernel(f"linear_{n}x{k}", b) as kernel:
        product = numbers(kernel, b, k, n, dot)
        term = kernel.tensor("added", added) if added else None
        y = kernel.tensor("y", (b, n))
        product.prepare(kernel.rows)
        with loop(product.groups) as outer:
            product.fill(y, outer, kernel.rows, lambda i: i, _Epilogue(term, len(added or ()) == 2, positive))
    return kernel.function


def head(numbers: type[Product], b: int, k: int, n: int, dot: str) -> Any:
    """y (b, n) as `linear` makes it, but of row i only what lies in the groups of legal[i, 0] .. legal[i, 1] - 1.

    legal int32 (b, 2): the outputs that are wanted of a row, none where the two are equal. The rest of y is left as
    it is.
    """
    with Kernel("head", b) as kernel:
        product = numbers(kernel, b, k, n, dot)
        legal = kernel.tensor("legal", (b, 2), "int32")
        y = kernel.tensor("y", (b, n))
        product.prepare(kernel.rows)
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
