"""One position of causal attention for each row of the batch, its key and value written into the cache."""

from dataclasses import dataclass
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
    fetch,
    loop,
    merge,
    minus_product,
    scratch,
    store,
)
from edgegen.export.tir.products import DOTS

MASKED = -1e9


def attention(
    b: int, heads: int, width: int, slots: int, steps: int, temperature: float, zero: int | None, dot: str
) -> Any:
    """Attention of qkv (b, 3 d), d = heads * width, over the slots up to position[i]: a row of d.

    cos, sin (steps, width / 2): rotary tables; position int64 (b,)
    key (b, slots / LANES, d, LANES), value (b, slots, d): the caches, read and written in place. LANES slots of a key
    lie side by side, so that their scores are formed at once; what lies beyond the position's own LANES is never read.
    zero: see Ending; dot: the instruction set, of no account for the result
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
            this = _Row(i, kernel.following(i, DOTS[dot].FETCH), at, width, slots)
            # One thing for all heads after another: what a processor can do at the same time stands together.
            scored, mixed = _side_by_side(heads, LANES, dot), _side_by_side(heads, width, dot)
            with loop(heads // scored) as group:
                _scores(this, group * scored, scored, query, key, weight, peak)
            with loop(heads // scored) as group:
                _weights(this, group * scored, scored, weight, peak, share)
            with loop(heads // mixed) as group:
                _mix(this, group * mixed, mixed, weight, share, value, row)
            ending.give(row, i)
    return kernel.function


@dataclass(frozen=True)
class _Row:
    """Row i of the batch, at slot `at`; following: the row whose caches are fetched meanwhile, if any are."""

    i: Expr
    following: Expr | None
    at: Expr
    width: int
    slots: int


def _side_by_side(heads: int, size: int, dot: str) -> int:
    """How many heads, a divisor of all, have their sums of `size` floats in half of the registers, or one.

    A step of a sum waits for the one before it; those of other heads need not.
    """
    most = max(1, DOTS[dot].REGISTERS * DOTS[dot].LANES // 2 // size)
    return max(n for n in range(1, heads + 1) if heads % n == 0 and n <= most)


def _turn(
    to: Buffer, qkv: Buffer, place: tuple[Expr, Expr], half: int, cos: Expr, sin: Expr, at: Expr, factor: float
) -> None:
    """One pair of numbers, `half` apart, turned by an angle and multiplied by `factor`."""
    i, k = place
    low, high = qkv[i, k], qkv[i, k + half]
    for result, shift in ((minus_product(low, cos, high, sin), 0), (fma(low, sin, high * cos), half)):
        store(to, result if factor == 1.0 else result * f32(factor), at + shift)


def _scores(this: _Row, h: Expr, n: int, query: Buffer, key: Buffer, weight: Buffer, peak: Buffer) -> None:
    """weight[head, t] = query . key of heads h .. h + n - 1 for slots t up to the row's, MASKED in the rest of its
    LANES; the most in peak[head]."""
    most, score = [scratch(LANES) for _ in range(n)], [scratch(LANES) for _ in range(n)]
    for held in most:
        with T.vectorized(LANES) as lane:
            store(held, f32(MASKED), lane)
    with loop(this.at // LANES + 1) as chunk:
        for held in score:
            with T.vectorized(LANES) as lane:
                store(held, f32(0.0), lane)
        with loop(this.width) as k:
            for j in range(n):
                number = (h + j) * this.width + k
                if this.following is not None:
                    fetch(key, this.following, chunk, number, 0)
                with T.vectorized(LANES) as lane:
                    store(score[j], fma(query[number], key[this.i, chunk, number, lane], score[j][lane]), lane)
        for j in range(n):
            with T.vectorized(LANES) as lane:
                slot = chunk * LANES + lane
                seen = tirx.Select(slot <= this.at, score[j][lane], f32(MASKED))
                store(weight, seen, (h + j) * this.slots + slot)
                store(most[j], tirx.max(most[j][lane], seen), lane)
    for j in range(n):
        store(peak, merge(most[j], LANES, tirx.max), h + j)


def _weights(this: _Row, h: Expr, n: int, weight: Buffer, peak: Buffer, share: Buffer) -> None:
    """weight[head, t] = e^(weight[head, t] - peak[head]) of the same heads and slots, 0 in the rest of the row's LANES;
    one over the sum in share[head]."""
    total = [scratch(LANES) for _ in range(n)]
    for held in total:
        with T.vectorized(LANES) as lane:
            store(held, f32(0.0), lane)
    with loop(this.at // LANES + 1) as chunk:
        for j in range(n):
            with T.vectorized(LANES) as lane:
                slot = chunk * LANES + lane
                place = (h + j) * this.slots + slot
                store(weight, tirx.Select(slot <= this.at, exp(weight[place] - peak[h + j]), f32(0.0)), place)
                store(total[j], total[j][lane] + weight[place], lane)
    for j in range(n):
        store(share, f32(1.0) / merge(total[j], LANES, lambda a, b: a + b), h + j)


def _mix(this: _Row, h: Expr, n: int, weight: Buffer, share: Buffer, value: Buffer, row: Buffer) -> None:
    """row[head] = the values of slots up to the row's, each times its weight[head, t], and their sum times share[head],
    of heads h .. h + n - 1."""
    mixed = [scratch(this.width) for _ in range(n)]
    for held in mixed:
        with T.vectorized(this.width) as k:
            store(held, f32(0.0), k)
    with loop(this.at + 1) as t:
        for j in range(n):
            first = (h + j) * this.width
            if this.following is not None:
                for k in range(0, this.width, LANES):
                    fetch(value, this.following, t, first + k)
            with T.vectorized(this.width) as k:
                store(mixed[j], fma(weight[(h + j) * this.slots + t], value[this.i, t, first + k], mixed[j][k]), k)
    for j in range(n):
        with T.vectorized(this.width) as k:
            store(row, mixed[j][k] * share[h + j], (h + j) * this.width + k)
