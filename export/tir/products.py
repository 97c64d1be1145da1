"""Integer products, and the embedding that shares its table with the last of them."""

from collections.abc import Callable
from typing import Any

from tvm import tirx

from edgegen.export.maths import fma, softplus
from edgegen.export.tir.dot import ROWS, Dot, group_of, padded, place
from edgegen.export.tir.dot_arm import Sdot, Smull, Vmull
from edgegen.export.tir.dot_x86 import Avx2, Vnni
from edgegen.export.tir.lanes import Kernel, loop, scratch, store

# The instruction sets that a linear can be written in, each made with the inputs and the blocks of a group.
DOTS: dict[str, Callable[[int, int], Dot]] = {
    "vnni": Vnni,
    "avx2": Avx2,
    "sdot": Sdot,
    "smull": Smull,
    "vmull": Vmull,
}


def linear(b: int, k: int, n: int, dot: str, added: tuple[int, ...] | None = None, positive: bool = False) -> Any:
    """y (b, n) = q @ weight^T * scale * weight_scale [+ added], then softplus where `positive`.

    q int8 (b, k), scale (b, 1); weight (n, k) int8 as `dot.pack` gives it, offset as `dot.offsets`; weight_scale (n,);
    added (n,), a bias, or (b, n), a residual; dot names the instruction set. The sums are exact in int32.
    """
    group = group_of(n)
    span = group * ROWS
    with Kernel("linear") as kernel:
        q, scale = kernel.tensor("q", (b, k), "int8"), kernel.tensor("scale", (b, 1))
        weight = kernel.tensor("weight", (padded(n) * k,), "int8")
        offset = kernel.tensor("offset", (padded(n),), "int32")
        weight_scale = kernel.tensor("weight_scale", (n,))
        term = kernel.tensor("added", added) if added else None
        y = kernel.tensor("y", (b, n))
        sums = scratch(span, "int32")
        method = DOTS[dot](k, group)
        with loop(padded(n) // span) as outer, loop(b) as i:
            method.group(q, i, weight, outer * (span * k), offset, outer * span, sums)
            # Rows that are padding, all at the end of the last group, have no place in y.
            with loop(span if n % span == 0 else tirx.min(n - outer * span, span)) as r:
                row = outer * span + r
                value = sums[r].astype("float32") * scale[i, 0]
                if term is None:
                    store(y, value * weight_scale[row], i, row)
                else:
                    sum_ = fma(value, weight_scale[row], term[row] if len(added or ()) == 1 else term[i, row])
                    store(y, softplus(sum_) if positive else sum_, i, row)
    return kernel.function


def embedding(b: int, vocabulary: int, d: int) -> Any:
    """x (b, d): row token[i] of the packed table (vocabulary, d), times its scale in table_scale (vocabulary,)."""
    with Kernel("embedding") as kernel:
        table = kernel.tensor("table", (vocabulary * d,), "int8")
        table_scale = kernel.tensor("table_scale", (vocabulary,))
        token = kernel.tensor("token", (b,), "int64")
        x = kernel.tensor("x", (b, d))
        with loop(b) as i, loop(d) as column:
            row = token[i].astype("int32")
            level = table[place(vocabulary, d, row, column)]
            store(x, level.astype("float32") * table_scale[row], i, column)
    return kernel.function
