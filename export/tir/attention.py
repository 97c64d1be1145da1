"""One position of causal attention for each row of the batch, its key and value written into the cache."""

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr, exp, f32, fma
from edgegen.export.tir.ending import Ending, ending_in
from edgegen.export.tir.lanes import (
    LANES,
    Buffer,
    Kernel,
    each,
    loop,
    merge,
    minus_product,
    scratch,
    store,
)

MASKED = -1e9


def attention(b: int, heads: int, width: int, slots: int, steps: int, temperature: float, zero: int | None) -> Any:
    """Attention of qkv (b, 3 d), d = heads * width, over the slots up to position[i]: a row of d.

    cos, sin (steps, width / 2): rotary tables; position int64 (b,)
    key (b, slots / LANES, d, LANES), value (b, slots, d): the caches, read and written in place. LANES slots of a key
    lie side by side, so that their scores are formed at once; what lies beyond the position's own LANES is never read.
    zero: see Ending
    """
    if slots % LANES:
        raise EdgegenError(f"a cache of {slots} slots is not a multiple of {LANES}, which the attention kernel needs")
    d, half = heads * width, width // 2
    with Kernel(ending_in(zero, "attention"), b) as kernel:
        qkv = kernel.tensor("qkv", (b, 3 * d))
        cos, sin = kernel.tensor("cos", (steps, half)), kernel.tensor("sin", (steps, half))
        position = kernel.tensor("position", (b,), "int64")
        key, value = kernel.tensor("key", (b, slots // LANES, d, LANES)), kernel.tensor("value", (b, slots, d))
        ending = Ending(kernel, b, d, zero)
        query, turned, row = scratch(d), scratch(d), scratch(d)
        weight, peak, share = scratch(heads * slots), scratch(heads), scratch(heads)
        with loop(kernel.rows) as i:
            at = position[i].astype("int32")
            with loop(heads) as h, each(half) as k:
                _turn(query, qkv, (i, h * width + k), half, cos[at, k], sin[at, k], h * width + k, temperature)
                _turn(turned, qkv, (i, d + h * width + k), half, cos[at, k], sin[at, k], h * width + k, 1.0)
            with loop(d) as k:
                store(key, turned[k], i, at // LANES, k, at % LANES)
            with each(d) as k:
                store(value, qkv[i, 2 * d + k], i, at, k)
            # One thing for all heads after another: what a processor can do at the same time stands together.
            with loop(heads) as h:
                store(peak, _scores(query, key, weight, i, h * width, width, h * slots, at), h)
            with loop(heads) as h:
                store(share, f32(1.0) / _weights(weight, peak[h], h * slots, at), h)
            with loop(heads) as h:
                mixed = scratch(width)
                with T.vectorized(width) as k:
                    store(mixed, f32(0.0), k)
                with loop(at + 1) as t, T.vectorized(width) as k:
                    store(mixed, fma(weight[h * slots + t], value[i, t, h * width + k], mixed[k]), k)
                with T.vectorized(width) as k:
                    store(row, mixed[k] * share[h], h * width + k)
            ending.give(row, i)
    return kernel.function


def _turn(
    to: Buffer, qkv: Buffer, place: tuple[Expr, Expr], half: int, cos: Expr, sin: Expr, at: Expr, factor: float
) -> None:
    """One pair of numbers, `half` apart, turned by an angle and multiplied by `factor`."""
    i, k = place
    low, high = qkv[i, k], qkv[i, k + half]
    for result, shift in ((minus_product(low, cos, high, sin), 0), (fma(low, sin, high * cos), half)):
        store(to, result if factor == 1.0 else result * f32(factor), at + shift)


def _scores(
    query: Buffer, key: Buffer, weight: Buffer, i: Expr, first: Expr, width: int, place: Expr, at: Expr
) -> Expr:
    """weight[place + t] = query . key of a head for slots t up to `at`, MASKED in the rest of its LANES; the most."""
    most, score = scratch(LANES), scratch(LANES)
    with T.vectorized(LANES) as lane:
        store(most, f32(MASKED), lane)
    with loop(at // LANES + 1) as chunk:
        with T.vectorized(LANES) as lane:
            store(score, f32(0.0), lane)
        with loop(width) as k, T.vectorized(LANES) as lane:
            store(score, fma(query[first + k], key[i, chunk, first + k, lane], score[lane]), lane)
        with T.vectorized(LANES) as lane:
            seen = tirx.Select(chunk * LANES + lane <= at, score[lane], f32(MASKED))
            store(weight, seen, place + chunk * LANES + lane)
            store(most, tirx.max(most[lane], seen), lane)
    return merge(most, LANES, tirx.max)


def _weights(weight: Buffer, peak: Expr, place: Expr, at: Expr) -> Expr:
    """weight[place + t] = e^(weight[place + t] - peak) for slots t up to `at`, 0 in the rest of its LANES; the sum."""
    total = scratch(LANES)
    with T.vectorized(LANES) as lane:
        store(total, f32(0.0), lane)
    with loop(at // LANES + 1) as chunk, T.vectorized(LANES) as lane:
        slot = chunk * LANES + lane
        store(weight, tirx.Select(slot <= at, exp(weight[place + slot] - peak), f32(0.0)), place + slot)
        store(total, total[lane] + weight[place + slot], lane)
    return merge(total, LANES, lambda a, b: a + b)
