"""What a refinement of a whole flow does besides its linears: read the codes, move them, look a row up.

Shapes: b rows of the batch, n numbers of a flow's codes, r refinements.
"""

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegen.export.maths import f32, fma
from edgegen.export.tir.ending import Ending, ending_in
from edgegen.export.tir.lanes import Kernel, each, fill, lanes_of, loop, scratch, store


def lookup(b: int, r: int, d: int) -> Any:
    """y (b, d): row position[i] of table (r, d)."""
    with Kernel("lookup", b) as kernel:
        table, position = kernel.tensor("table", (r, d)), kernel.tensor("position", (b,), "int64")
        y = kernel.tensor("y", (b, d))
        with loop(kernel.rows) as i, each(d) as k:
            store(y, table[position[i].astype("int32"), k], i, k)
    return kernel.function


def path(b: int, n: int, zero: int | None) -> Any:
    """codes (b, n) and guess (b, n) side by side, the latter zeros at position 0: a row of 2 n; zero: see Ending."""
    with Kernel(ending_in(zero, "path"), b) as kernel:
        codes, guess = kernel.tensor("codes", (b, n)), kernel.tensor("guess", (b, n))
        position = kernel.tensor("position", (b,), "int64")
        ending = Ending(kernel, b, 2 * n, zero)
        row, lanes = scratch(2 * n), lanes_of(n)
        with loop(kernel.rows) as i:
            fill(row, n, lambda k: codes[i, k])
            with each(n) as k:
                store(row, f32(0.0), n + k)
            start = position[i] == tirx.const(0, "int64")
            known = tirx.Select(start, tirx.const(0, "int32"), tirx.const(n // lanes, "int32"))
            with loop(known) as k, T.vectorized(lanes) as lane:
                store(row, guess[i, k * lanes + lane], n + k * lanes + lane)
            ending.give(row, i)
    return kernel.function


def refine(b: int, n: int, r: int, kept: bool = False) -> Any:
    """codes (b, n) move to guess (b, n) by the share of the way that shares (r, 1) has at position[i].

    kept: they stay as they are, and where they would move to is y (b, n); the kernel then is called between
    """
    with Kernel("between" if kept else "refine", b) as kernel:
        guess, codes = kernel.tensor("guess", (b, n)), kernel.tensor("codes", (b, n))
        shares, position = kernel.tensor("shares", (r, 1)), kernel.tensor("position", (b,), "int64")
        moved = kernel.tensor("y", (b, n)) if kept else codes
        with loop(kernel.rows) as i, each(n) as k:
            share = shares[position[i].astype("int32"), 0]
            store(moved, fma(guess[i, k] - codes[i, k], share, codes[i, k]), i, k)
    return kernel.function
