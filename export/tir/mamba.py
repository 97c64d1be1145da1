"""One step of Mamba's convolution and of its selective state space, their states updated in place.

Channels lie side by side in both states, in groups of LANES: conv (b, taps - 1, e), ssm (b, e / LANES, n, LANES).
"""

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.errors import EdgegenError
from edgegen.export.maths import Expr, exp, f32, fma, sigmoid
from edgegen.export.tir.lanes import LANES, Buffer, Kernel, loop, quantise_row, scratch, store


def _kept(position: Buffer, i: Expr) -> Expr:
    """1, or 0 at position 0, where a row starts anew whatever its state holds."""
    zero = tirx.const(0, "int64")
    return tirx.Select(position[i] == zero, f32(0.0), f32(1.0))


def _past(state: Expr, kept: Expr) -> Expr:
    """The state where it is kept, else 0: a Select, because 0 times what a bad state may hold is not 0."""
    return tirx.Select(kept > f32(0.0), state, f32(0.0))


def conv_quantise(b: int, e: int, taps: int) -> Any:
    """silu of the causal convolution of u (b, e) with weight (taps, e) and bias (e,), and the same quantised.

    position int64 (b,); conv (b, taps - 1, e), the last inputs, oldest first, is updated in place.
    Returns y (b, e), q int8 (b, e), scale (b, 1).
    """
    with Kernel("conv_quantise") as kernel:
        u = kernel.tensor("u", (b, e))
        weight, bias = kernel.tensor("weight", (taps, e)), kernel.tensor("bias", (e,))
        position = kernel.tensor("position", (b,), "int64")
        conv = kernel.tensor("conv", (b, taps - 1, e))
        y = kernel.tensor("y", (b, e))
        q, scale = kernel.tensor("q", (b, e), "int8"), kernel.tensor("scale", (b, 1))
        row, keep = scratch(e), scratch(1)
        with loop(b) as i:
            store(keep, _kept(position, i), 0)
            with loop(e) as k:
                total = bias[k]
                for tap in range(taps - 1):
                    total = fma(_past(conv[i, tap, k], keep[0]), weight[tap, k], total)
                store(row, fma(u[i, k], weight[taps - 1, k], total), k)
                for tap in range(taps - 2):
                    store(conv, _past(conv[i, tap + 1, k], keep[0]), i, tap, k)
                store(conv, u[i, k], i, taps - 2, k)
            with loop(e) as k:
                store(row, row[k] * sigmoid(row[k]), k)
            with loop(e) as k:
                store(y, row[k], i, k)
            quantise_row(row, e, q, scale, i)
    return kernel.function


def scan_quantise(b: int, e: int, n: int) -> Any:
    """One step of the selective scan, its skip and its gate, quantised: q int8 (b, e), scale (b, 1).

        h <- exp(delta A) h + (delta u) B,    y = (h C + D u) silu(z)        (Gu and Dao 2023, equations 2 and 4)

    delta, u, z (b, e); B, C (b, n); A (e / LANES, n, LANES); D (e,); position int64 (b,); ssm (b, e / LANES, n, LANES)
    """
    if e % LANES:
        raise EdgegenError(f"an inner width of {e} is not a multiple of {LANES}, which the scan kernel needs")
    with Kernel("scan_quantise") as kernel:
        delta, u, z = (kernel.tensor(name, (b, e)) for name in ("delta", "u", "z"))
        B, C = kernel.tensor("B", (b, n)), kernel.tensor("C", (b, n))
        A, D = kernel.tensor("A", (e // LANES, n, LANES)), kernel.tensor("D", (e,))
        position = kernel.tensor("position", (b,), "int64")
        ssm = kernel.tensor("ssm", (b, e // LANES, n, LANES))
        q, scale = kernel.tensor("q", (b, e), "int8"), kernel.tensor("scale", (b, 1))
        row, keep = scratch(e), scratch(1)
        read, step, added = scratch(LANES), scratch(LANES), scratch(LANES)
        with loop(b) as i:
            store(keep, _kept(position, i), 0)
            with loop(e // LANES) as g:
                with T.vectorized(LANES) as lane:
                    store(read, f32(0.0), lane)
                with T.vectorized(LANES) as lane:
                    store(step, delta[i, g * LANES + lane], lane)
                with T.vectorized(LANES) as lane:
                    store(added, delta[i, g * LANES + lane] * u[i, g * LANES + lane], lane)
                with loop(n) as j:
                    with T.vectorized(LANES) as lane:
                        decay = exp(step[lane] * A[g, j, lane])
                        past = _past(ssm[i, g, j, lane], keep[0])
                        store(ssm, fma(decay, past, added[lane] * B[i, j]), i, g, j, lane)
                    with T.vectorized(LANES) as lane:
                        store(read, fma(ssm[i, g, j, lane], C[i, j], read[lane]), lane)
                with T.vectorized(LANES) as lane:
                    store(row, fma(D[g * LANES + lane], u[i, g * LANES + lane], read[lane]), g * LANES + lane)
            with loop(e) as k:
                store(row, row[k] * (z[i, k] * sigmoid(z[i, k])), k)
            quantise_row(row, e, q, scale, i)
    return kernel.function
