"""One position of causal attention for each row of the batch, its key and value written into the cache."""

from typing import Any

from tvm import tirx

from edgegen.export.maths import exp, f32, fma
from edgegen.export.tir.lanes import (
    Kernel,
    fill,
    largest_of,
    loop,
    minus_product,
    quantise_row,
    scratch,
    store,
    sum_of,
)

MASKED = -1e9


def attention_quantise(b: int, heads: int, width: int, slots: int, temperature: float) -> Any:
    """Attention of qkv (b, 3 d), d = heads * width, over the slots up to position[i], quantised.

    cos, sin (slots, width / 2): rotary tables; position int64 (b,)
    key (b, d, slots), value (b, slots, d): the caches, read and written in place. A key's slots lie side by side,
    so that all of a head's scores are formed at once.
    Returns q int8 (b, d), scale (b, 1).
    """
    d, half = heads * width, width // 2
    with Kernel("attention_quantise") as kernel:
        qkv = kernel.tensor("qkv", (b, 3 * d))
        cos, sin = kernel.tensor("cos", (slots, half)), kernel.tensor("sin", (slots, half))
        position = kernel.tensor("position", (b,), "int64")
        key, value = kernel.tensor("key", (b, d, slots)), kernel.tensor("value", (b, slots, d))
        q8, scale = kernel.tensor("q", (b, d), "int8"), kernel.tensor("scale", (b, 1))
        query, row, weight = scratch(d), scratch(d), scratch(slots)
        peak, share = scratch(1), scratch(1)
        with loop(b) as i:
            at = position[i].astype("int32")
            with loop(heads) as h, loop(half) as k:
                low, high = h * width + k, h * width + half + k
                c, s = cos[at, k], sin[at, k]
                store(query, minus_product(qkv[i, low], c, qkv[i, high], s) * f32(temperature), low)
                store(query, fma(qkv[i, low], s, qkv[i, high] * c) * f32(temperature), high)
                store(key, minus_product(qkv[i, d + low], c, qkv[i, d + high], s), i, low, at)
                store(key, fma(qkv[i, d + low], s, qkv[i, d + high] * c), i, high, at)
            with loop(d) as k:
                store(value, qkv[i, 2 * d + k], i, at, k)
            with loop(heads) as h:
                fill(weight, slots, lambda t: f32(0.0))
                with loop(width) as k, loop(slots) as t:
                    store(weight, fma(query[h * width + k], key[i, h * width + k, t], weight[t]), t)
                with loop(slots) as t:
                    store(weight, tirx.Select(t <= at, weight[t], f32(MASKED)), t)
                store(peak, largest_of(slots, lambda t: weight[t], MASKED), 0)
                fill(weight, slots, lambda t: exp(weight[t] - peak[0]))
                store(share, f32(1.0) / sum_of(slots, lambda held, t: held + weight[t]), 0)
                with loop(width) as k:
                    store(row, f32(0.0), h * width + k)
                with loop(at + 1) as t, loop(width) as k:
                    e = h * width + k
                    store(row, fma(weight[t], value[i, t, e], row[e]), e)
                with loop(width) as k:
                    store(row, row[h * width + k] * share[0], h * width + k)
            quantise_row(row, d, q8, scale, i)
    return kernel.function
