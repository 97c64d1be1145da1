"""Loops and reductions in a fixed order, shared by all kernels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import gcd
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from edgegen.export.maths import Expr, f32, fma

LANES = 16  # of every reduction, on every target: one AVX-512 register, four NEON ones

Buffer = Any
Shape = tuple[int, ...]


class Kernel:
    """A PrimFunc under construction; `tensor` declares its parameters, reads first.

    b: rows of the batch that it is compiled for. Its first parameter then is rows int32 (1,), how many of them hold a
    flow, the first ones: `rows` is their number, and the others are neither read nor written. Without b it has none.
    """

    def __init__(self, name: str, b: int | None = None) -> None:
        self.name, self.b = name, b
        self.rows: Any = b
        self.function: Any = None

    def __enter__(self) -> "Kernel":
        self._builder = IRBuilder()
        self._builder.__enter__()
        self._frame = T.prim_func(s_tir=True)
        self._frame.__enter__()
        T.func_name(self.name)
        T.func_attr({"tirx.noalias": True})
        if self.b is not None:
            rows = self.tensor("rows", (1,), "int32")
            self.rows = rows[0] if self.b > 1 else 1
        return self

    def __exit__(self, *error: Any) -> None:
        self._frame.__exit__(*error)
        self._builder.__exit__(*error)
        if error[0] is None:
            self.function = self._builder.get()

    def following(self, i: Expr, wanted: bool) -> Expr | None:
        """The row after row i, whose states are fetched meanwhile, if wanted; None, too, where there is but one row.

        The states of a batch are more than the caches near a processor hold.
        """
        return tirx.min(i + 1, self.rows - 1) if wanted and self.b is not None and self.b > 1 else None

    def tensor(self, name: str, shape: Shape, dtype: str = "float32") -> Buffer:
        return T.arg(name, T.Buffer(shape, dtype))


def scratch(size: int, dtype: str = "float32") -> Buffer:
    """A small array of the kernel's own, on its stack."""
    return T.alloc_buffer((size,), dtype)


def store(buffer: Buffer, value: Expr, *index: Expr) -> None:
    T.buffer_store(buffer, value, list(index))


def fetch(buffer: Buffer, *index: Expr) -> None:
    """Ask for the cache line of an element that is read soon, into the second level: the first has no room for it."""
    read, second_level, data = (tirx.const(value, "int32") for value in (0, 2, 1))
    T.evaluate(
        tirx.call_llvm_intrin("void", "llvm.prefetch.p0", tirx.address_of(buffer[index]), read, second_level, data)
    )


@contextmanager
def loop(extent: Any) -> Iterator[Expr]:
    with T.serial(extent) as i:
        yield i


@contextmanager
def each(size: int) -> Iterator[Expr]:
    """The index of `size` elements that do not depend on each other, LANES of them at a time where that divides them.

    Said and not left to LLVM, which gives up on floating-point loops for 32-bit ARM.
    """
    lanes = lanes_of(size)
    with loop(size // lanes) as i, T.vectorized(lanes) as lane:
        yield i * lanes + lane


def fill(buffer: Buffer, size: int, value: Callable[[Expr], Expr]) -> None:
    """buffer[i] = value(i)."""
    with each(size) as i:
        store(buffer, value(i), i)


def lanes_of(size: int) -> int:
    """How many partial results a reduction over `size` elements keeps."""
    return gcd(size, LANES)


def reduce(
    size: int, start: float, combine: Callable[[Expr, Expr], Expr], combine_lanes: Callable[[Expr, Expr], Expr]
) -> Expr:
    """The reduction of `size` elements: lane l takes elements l, l + lanes, ... in order; then the halves are merged.

    combine:       (what a lane holds, an element's index) -> what it holds then
    combine_lanes: of two lanes
    """
    lanes = lanes_of(size)
    held = scratch(lanes)
    with T.vectorized(lanes) as lane:
        store(held, f32(start), lane)
    with loop(size // lanes) as i, T.vectorized(lanes) as lane:
        store(held, combine(held[lane], i * lanes + lane), lane)
    return merge(held, lanes, combine_lanes)


def merge(held: Buffer, lanes: int, combine: Callable[[Expr, Expr], Expr]) -> Expr:
    """All lanes of held (lanes,) in one, halves first; `held` is used up."""
    half = lanes // 2
    while half:
        with T.vectorized(half) as lane:
            store(held, combine(held[lane], held[lane + half]), lane)
        half //= 2
    return held[0]


def sum_of(size: int, add: Callable[[Expr, Expr], Expr]) -> Expr:
    """Sum of products: `add` returns fma(left, right, held) for element i."""
    return reduce(size, 0.0, add, lambda a, b: a + b)


def largest_of(size: int, value: Callable[[Expr], Expr], start: float) -> Expr:
    return reduce(size, start, lambda held, i: tirx.max(held, value(i)), tirx.max)


def negative(x: Expr) -> Expr:
    return x * f32(-1.0)


def minus_product(a: Expr, b: Expr, c: Expr, d: Expr) -> Expr:
    """a * b - c * d; the first product is rounded, the second is not."""
    return fma(negative(c), d, a * b)
