"""Integer products, and the embedding that shares its table with the last of them."""

from typing import Any

from tvm import tirx

from edgegen.export.maths import fma, softplus
from edgegen.export.tir.lanes import Kernel, loop, scratch, store


def linear(b: int, k: int, n: int, added: tuple[int, ...] | None = None, positive: bool = False) -> Any:
    """y (b, n) = q @ weight^T * scale * weight_scale [+ added], then softplus where `positive`.

    q int8 (b, k), scale (b, 1), weight int8 (n, k), weight_scale (n,); added (n,), a bias, or (b, n), a residual.
    The sum is exact in int32: at most 127 * 127 * k.
    """
    with Kernel("linear") as kernel:
        q, scale = kernel.tensor("q", (b, k), "int8"), kernel.tensor("scale", (b, 1))
        weight, weight_scale = kernel.tensor("weight", (n, k), "int8"), kernel.tensor("weight_scale", (n,))
        term = kernel.tensor("added", added) if added else None
        y = kernel.tensor("y", (b, n))
        total = scratch(1, "int32")
        with loop(n) as row, loop(b) as i:
            store(total, tirx.const(0, "int32"), 0)
            with loop(k) as j:
                product = q[i, j].astype("int32") * weight[row, j].astype("int32")
                store(total, total[0] + product, 0)
            value = total[0].astype("float32") * scale[i, 0]
            if term is None:
                store(y, value * weight_scale[row], i, row)
            else:
                sum_ = fma(value, weight_scale[row], term[row] if len(added or ()) == 1 else term[i, row])
                store(y, softplus(sum_) if positive else sum_, i, row)
    return kernel.function


def embedding(b: int, vocabulary: int, d: int) -> Any:
    """x (b, d): row token[i] of table int8 (vocabulary, d), times its scale in table_scale (vocabulary,)."""
    with Kernel("embedding") as kernel:
        table, table_scale = (
            kernel.tensor("table", (vocabulary, d), "int8"),
            kernel.tensor("table_scale", (vocabulary,)),
        )
        token = kernel.tensor("token", (b,), "int64")
        x = kernel.tensor("x", (b, d))
        with loop(b) as i, loop(d) as k:
            store(x, table[token[i], k].astype("float32") * table_scale[token[i]], i, k)
    return kernel.function
