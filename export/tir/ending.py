"""How a kernel gives a row of its results: in int8 for a product of integers, or as it is."""

from tvm import tirx

from edgegen.export.maths import Expr, f32, level
from edgegen.export.quantise import LARGEST, SMALLEST_ROW
from edgegen.export.tir.lanes import Buffer, Kernel, each, largest_of, scratch, store


def ending_in(zero: int | None, name: str) -> str:
    """The name of a kernel with such an ending."""
    return name if zero is None else f"{name}_quantise"


class Ending:
    """The last parameters of a kernel, for rows of `size` numbers.

    zero: what is added to levels, the ZERO of the products that read them: then there are q int8 (b, size) and
    scale (b, 1). None gives y (b, size).
    """

    def __init__(self, kernel: Kernel, b: int, size: int, zero: int | None) -> None:
        self.size, self.zero = size, zero
        if zero is None:
            self.y = kernel.tensor("y", (b, size))
        else:
            self.q, self.scale = kernel.tensor("q", (b, size), "int8"), kernel.tensor("scale", (b, 1))

    def give(self, row: Buffer, b: Expr) -> None:
        """row (size,) is the result of row b of the batch."""
        if self.zero is None:
            with each(self.size) as i:
                store(self.y, row[i], b, i)
        else:
            quantise_row(row, self.size, self.q, self.scale, b, self.zero)


def quantise_row(row: Buffer, size: int, q: Buffer, scale: Buffer, b: Expr, zero: int) -> None:
    """int8 levels of row (size,), plus `zero`, into q[b, :], and what one level is worth into scale[b, 0]."""
    largest = scratch(1)
    store(largest, largest_of(size, lambda i: tirx.abs(row[i]), SMALLEST_ROW), 0)
    store(scale, largest[0] * f32(1 / LARGEST), b, 0)
    inverse = scratch(1)
    store(inverse, f32(LARGEST) / largest[0], 0)
    with each(size) as i:
        store(q, level(row[i], inverse[0], zero), b, i)
