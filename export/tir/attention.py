"""One position of causal attention for each row of the batch, its key and value written into the cache."""

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr, exp, f32, fma
from edgegen.export.tir.lanes import (
    LANES,
    Buffer,
    Kernel,
    each,
    loop,
    merge,
    minus_product,
    quantise_row,
    scratch,
    store,
)

MASKED = -1e9


def attention_quantise(b: int, heads: int, width: int, slots: int, steps: int, temperature: float, zero: int) -> Any:
    """Attention of qkv (b, 3 d), d = heads * width, over the slots up to position[i], quantised.

    cos, sin (steps, width / 2): rotary tables; position int64 (b,)
    key (b, d, slots), value (b, slots, d): the caches, read and written in place. A key's slots lie side by side,
    so that the scores of LANES of them are formed at once; what lies beyond the position's own LANES is never read.
    Returns q int8 (b, d) plus `zero`, scale (b, 1).
    """
    if slots % LANES:
        raise EdgegenError(f"a cache of {slots} slots is not a multiple of {LANES}, which the attention kernel needs")
    d, half = heads * width, width // 2
    with Kernel("attention_quantise") as kernel:
        qkv = kernel.tensor("qkv", (b, 3 * d))
        cos, sin = kernel.tensor("cos", (steps, half)), kernel.tensor("sin", (steps, half))
        position = kernel.tensor("position", (b,), "int64")
        key, value = kernel.tensor("key", (b, d, slots)), kernel.tensor("value", (b, slots, d))
        q8, scale = kernel.tensor("q", (b, d), "int8"), kernel.tensor("scale", (b, 1))
        query, row, weight, share = scratch(d), scratch(d), scratch(slots), scratch(1)
        with loop(b) as i:
            at = position[i].astype("int32")
            with loop(heads) as h, loop(half) as k:
                low, high = h * width + k, h * width + half + k
                c, s = cos[at, k], sin[at, k]
                store(query, minus_product(qkv[i, low], c, qkv[i, high], s) * f32(temperature), low)
                store(query, fma(qkv[i, low], s, qkv[i, high] * c) * f32(temperature), high)
                store(key, minus_product(qkv[i, d + low], c, qkv[i, d + high], s), i, low, at)
                store(key, fma(qkv[i, d + low], s, qkv[i, d + high] * c), i, high, at)
            with each(d) as k:
                store(value, qkv[i, 2 * d + k], i, at, k)
            with loop(heads) as h:
                peak = _scores(query, key, weight, i, h * width, width, at)
                store(share, f32(1.0) / _weights(weight, peak, at), 0)
                mixed = scratch(width)
                with T.vectorized(width) as k:
                    store(mixed, f32(0.0), k)
                with loop(at + 1) as t, T.vectorized(width) as k:
                    store(mixed, fma(weight[t], value[i, t, h * width + k], mixed[k]), k)
                with T.vectorized(width) as k:
                    store(row, mixed[k] * share[0], h * width + k)
            quantise_row(row, d, q8, scale, i, zero)
    return kernel.function


def _scores(query: Buffer, key: Buffer, weight: Buffer, i: Expr, first: Expr, width: int, at: Expr) -> Expr:
    """weight[t] = query . key of one head for the slots up to `at`, MASKED for the rest of its LANES; their maximum."""
    most, score = scratch(LANES), scratch(LANES)
    with T.vectorized(LANES) as lane:
        store(most, f32(MASKED), lane)
    with loop(at // LANES + 1) as chunk:
        with T.vectorized(LANES) as lane:
            store(score, f32(0.0), lane)
        with loop(width) as k, T.vectorized(LANES) as lane:
            store(score, fma(query[first + k], key[i, first + k, chunk * LANES + lane], score[lane]), lane)
        with T.vectorized(LANES) as lane:
            seen = tirx.Select(chunk * LANES + lane <= at, score[lane], f32(MASKED))
            store(weight, seen, chunk * LANES + lane)
            store(most, tirx.max(most[lane], seen), lane)
    return merge(most, LANES, tirx.max)


def _weights(weight: Buffer, peak: Expr, at: Expr) -> Expr:
    """weight[t] = e^(weight[t] - peak) for the slots up to `at`, 0 for the rest of its LANES; their sum."""
    total = scratch(LANES)
    with T.vectorized(LANES) as lane:
        store(total, f32(0.0), lane)
    with loop(at // LANES + 1) as chunk, T.vectorized(LANES) as lane:
        slot = chunk * LANES + lane
        store(weight, tirx.Select(slot <= at, exp(weight[slot] - peak), f32(0.0)), slot)
        store(total, total[lane] + weight[slot], lane)
    return merge(total, LANES, lambda a, b: a + b)
