"""Where flows lie among all that a generator could make: cells of [0, 1), spread evenly.

What is likely with probability p has a part of [0, 1) as wide as p. A flow starts with what its point lies in, and
where in that part it lies is the point of the next choice: arithmetic coding, read backwards (Vilnis et al. 2023). Each
flow is as likely as ever. But of n flows that are drawn independently n p, give or take sqrt(n p), start in a way that
is likely with p; here n p do, give or take a few, as the points of consecutive flows are spread evenly (a Kronecker
sequence). Labels have a sequence of their own, which leaves the flows of each label as even, be it drawn by share or
take turns (Roberts 2018: powers of the plastic number, the golden ratio of two dimensions).

A point is known by its cell, one of a few thousand, and lies anywhere in it: that is drawn anew for every choice, and
each leaves fewer cells, until there is one and the rest is drawn independently. More cells would spread a few flows no
better. But what engines differ by in a probability moves a point the further the more choices it has been through, and
flows would part. All is integers: export/device/points.c is this file in C. Shapes: n flows, k possible choices.
"""

import numpy as np
from numpy.typing import NDArray

from edgegen.runtime.philox import HALF, LOW, POINTS, words

# 2^64 / 1.3247..., which solves x^3 = x + 1, to the second power and to the first: from one flow to the next.
LABEL_STEP, FLOW_STEP = np.uint64(0x91E10DA5C79E7B1D), np.uint64(0xC13FA9A902A6328F)
CELL_BITS = 12

Points = NDArray[np.uint64]
Cells = NDArray[np.uint64]


def label_points(seed: int, flows: NDArray[np.uint64]) -> Points:
    """The points of labels (n,), of 64 bits, of flows (n,) by their number: another seed moves all by the same."""
    start = words(seed, [0], 0, POINTS)[0].astype(np.uint64)
    return (start[0] << HALF | start[1]) + flows * LABEL_STEP


def first_cells(seed: int, flows: NDArray[np.uint64]) -> Cells:
    """The cells (n, 2) that flows (n,) lie in before the first choice: which, and of how many."""
    start = words(seed, [0], 0, POINTS)[0].astype(np.uint64)
    at = (start[2] << HALF | start[3]) + flows * FLOW_STEP >> np.uint64(64 - CELL_BITS)
    return np.stack([at, np.full_like(at, 1 << CELL_BITS)], axis=1)


def choose(cumulative: NDArray[np.uint64], cells: Cells, fresh: NDArray[np.uint32]) -> tuple[NDArray[np.int64], Cells]:
    """Which of k choices the flows make, (n,), and the cells (n, 2) that they then lie in.

    cumulative: (n, k) sums of integer weights below 2^32, in all below 2^40 and not zero; cells: (n, 2);
    fresh: random words (n,), for where in its cell a point is
    """
    (at, of), total, word = cells.T, cumulative[:, -1], fresh.astype(np.uint64)
    point = at * total + word * (total >> HALF) + (word * (total & LOW) >> HALF)
    chosen = (cumulative <= (point // of)[:, None]).sum(axis=1)
    rows = np.arange(len(chosen))
    before = np.where(chosen > 0, cumulative[rows, chosen - 1], np.uint64(0))
    weight = cumulative[rows, chosen] - before
    left = np.maximum(of * weight // total, np.uint64(1))
    return chosen, np.stack([(point - before * of) * left // (of * weight), left], axis=1)
