"""One step of Mamba's convolution and of its selective state space, their states updated in place.

Channels lie side by side in both states: conv (b, taps - 1, e), ssm (b, e / LANES, n, LANES). zero: see Ending.
"""

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr, exp_minus_one, f32, fma, sigmoid
from edgegen.export.tir.ending import Ending, ending_in
from edgegen.export.tir.lanes import LANES, Buffer, Kernel, each, fetch, fill, loop, scratch, store
from edgegen.export.tir.products import DOTS


def _forget(state: Buffer, size: int, position: Buffer, i: Expr, place: Any) -> None:
    """Clear the `size` numbers of a state at position 0, where a row starts anew whatever its state holds."""
    extent = tirx.Select(position[i] == tirx.const(0, "int64"), tirx.const(size, "int32"), tirx.const(0, "int32"))
    with loop(extent) as k:
        store(state, f32(0.0), *place(k))


def conv(b: int, e: int, taps: int, zero: int | None) -> Any:
    """y (b, e), silu of the causal convolution of u (b, e) with weight (taps, e) and bias (e,).

    position int64 (b,); past (b, taps - 1, e), the last inputs, oldest first, is updated in place.
    zero: y is given in int8, too
    """
    with Kernel(ending_in(zero, "conv"), b) as kernel:
        u = kernel.tensor("u", (b, e))
        weight, bias = kernel.tensor("weight", (taps, e)), kernel.tensor("bias", (e,))
        position = kernel.tensor("position", (b,), "int64")
        past = kernel.tensor("past", (b, taps - 1, e))
        endings = [Ending(kernel, b, e, form) for form in ((None,) if zero is None else (None, zero))]
        row = scratch(e)
        with loop(kernel.rows) as i:
            for tap in range(taps - 1):
                _forget(past, e, position, i, lambda k, tap=tap: (i, tap, k))
            with each(e) as k:
                total = bias[k]
                for tap in range(taps - 1):
                    total = fma(past[i, tap, k], weight[tap, k], total)
                store(row, fma(u[i, k], weight[taps - 1, k], total), k)
            for tap in range(taps - 2):
                with each(e) as k:
                    store(past, past[i, tap + 1, k], i, tap, k)
            with each(e) as k:
                store(past, u[i, k], i, taps - 2, k)
            fill(row, e, lambda k: row[k] * sigmoid(row[k]))
            for ending in endings:
                ending.give(row, i)
    return kernel.function


CHAINS = 4  # of powers, each independent of the others


def scan(b: int, e: int, n: int, zero: int | None, dot: str) -> Any:
    """One step of the selective scan, its skip and its gate: a row of e.

        h_j <- e^(j delta rate) h_j + delta u B_j,    y = (sum_j h_j C_j + D u) silu(z)        j = 1 .. n

    (Gu and Dao 2023, equations 2 and 4, with A_j = j * rate.) One exponential serves a channel: its powers follow by
    multiplication, and as m_j = e^(j delta rate) - 1, of which a decay near 1 keeps every digit:

        m_(a + b) = m_a + m_b + m_a m_b,    e^(j delta rate) h = h + m_j h

    delta, u, z (b, e); B, C (b, n); rate, D (e,), rate < 0; position int64 (b,); ssm (b, e / LANES, n, LANES)
    dot: the instruction set, of no account for the result
    """
    lanes = DOTS[dot].LANES  # channels at a time
    if e % LANES:
        raise EdgegenError(f"an inner width of {e} is not a multiple of {LANES}, which the scan kernel needs")
    with Kernel(ending_in(zero, "scan"), b) as kernel:
        delta, u, z = (kernel.tensor(name, (b, e)) for name in ("delta", "u", "z"))
        B, C = kernel.tensor("B", (b, n)), kernel.tensor("C", (b, n))
        rate, D = kernel.tensor("rate", (e,)), kernel.tensor("D", (e,))
        position = kernel.tensor("position", (b,), "int64")
        ssm = kernel.tensor("ssm", (b, e // LANES, n, LANES))
        ending = Ending(kernel, b, e, zero)
        row = scratch(e)
        powers = [scratch(lanes) for _ in range(CHAINS)]
        total, added = scratch(lanes), scratch(lanes)
        with loop(kernel.rows) as i:
            _forget(ssm, e * n, position, i, lambda k: (i, k // (n * LANES), k // LANES % n, k % LANES))
            following = kernel.following(i, DOTS[dot].FETCH)
            with loop(e // lanes) as part:
                group, first = part // (LANES // lanes), part % (LANES // lanes) * lanes
                with T.vectorized(lanes) as lane:
                    channel = part * lanes + lane
                    store(powers[0], exp_minus_one(delta[i, channel] * rate[channel]), lane)
                    store(added, delta[i, channel] * u[i, channel], lane)
                    store(total, D[channel] * u[i, channel], lane)
                for j in range(1, CHAINS):
                    with T.vectorized(lanes) as lane:
                        store(powers[j], _both(powers[j // 2][lane], powers[(j - 1) // 2][lane]), lane)
                step = scratch(lanes)
                with T.vectorized(lanes) as lane:
                    store(step, powers[CHAINS - 1][lane], lane)
                for j in range(n):
                    if following is not None:
                        fetch(ssm, following, group, j, first)
                    with T.vectorized(lanes) as lane:
                        power = powers[j % CHAINS]
                        if j >= CHAINS:
                            store(power, _both(power[lane], step[lane]), lane)
                        place = (i, group, j, first + lane)
                        past = ssm[place]
                        store(ssm, fma(power[lane], past, fma(added[lane], B[i, j], past)), *place)
                        store(total, fma(ssm[place], C[i, j], total[lane]), lane)
                with T.vectorized(lanes) as lane:
                    store(row, total[lane], part * lanes + lane)
            fill(row, e, lambda k: row[k] * (z[i, k] * sigmoid(z[i, k])))
            ending.give(row, i)
    return kernel.function


def _both(a: Expr, b: Expr) -> Expr:
    """e^(x + y) - 1 from a = e^x - 1 and b = e^y - 1."""
    return fma(a, b, a + b)
