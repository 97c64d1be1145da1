"""Where flows lie among all that a generator could make: points of [0, 1), spread evenly.

What is likely with probability p has a part of [0, 1) as wide as p. A flow starts with what its point lies in, and
where in that part it lies is the point of the next choice: arithmetic coding, read backwards (Vilnis et al. 2023). Each
flow is as likely as ever. But of n flows that are drawn independently n p, give or take sqrt(n p), start in a way that
is likely with p; here n p do, give or take a few, as the points of consecutive flows are spread evenly (a Kronecker
sequence). Labels have a sequence of their own, which leaves the flows of each label as even, be it drawn by share or
take turns (Roberts 2018: powers of the plastic number, the golden ratio of two dimensions).

Points are 64 bits, and what a choice leaves over of them is filled up with new random ones, so that all depends on
integers alone: export/device/points.c is this file in C. Shapes: n flows, k possible choices.
"""

import numpy as np
from numpy.typing import NDArray

from edgegen.runtime.philox import HALF, LOW, POINTS, words

# 2^64 / 1.3247..., which solves x^3 = x + 1, to the second power and to the first: from one flow to the next.
LABEL_STEP, FLOW_STEP = np.uint64(0x91E10DA5C79E7B1D), np.uint64(0xC13FA9A902A6328F)

Points = NDArray[np.uint64]


def points(seed: int, flows: NDArray[np.uint64]) -> tuple[Points, Points]:
    """Those of the labels and those of the flows (n,), the flows' numbers: another seed moves all by the same."""
    start = words(seed, [0], 0, POINTS)[0].astype(np.uint64)
    label, flow = start[0] << HALF | start[1], start[2] << HALF | start[3]
    return label + flows * LABEL_STEP, flow + flows * FLOW_STEP


def choose(cumulative: Points, at: Points, fresh: NDArray[np.uint32]) -> tuple[NDArray[np.int64], Points]:
    """Which of k choices the points lie in, (n,), and where in it, (n,).

    cumulative: (n, k) sums of integer weights below 2^32, in all below 2^40 and not zero; at: points (n,)
    fresh: random words (n,), for what lies below the last bit of a point
    """
    total, word = cumulative[:, -1], fresh.astype(np.uint64)
    more = word * (total >> HALF) + (word * (total & LOW) >> HALF)
    # at * total + more, as a whole number and 64 bits of a fraction.
    low = (at & LOW) * (total & LOW) + (more & LOW)
    middle = (at & LOW) * (total >> HALF) + (more >> HALF) + (low >> HALF)
    upper = (at >> HALF) * (total & LOW) + (middle & LOW)
    whole = (at >> HALF) * (total >> HALF) + (middle >> HALF) + (upper >> HALF)
    chosen = (cumulative <= whole[:, None]).sum(axis=1)
    rows = np.arange(len(chosen))
    before = np.where(chosen > 0, cumulative[rows, chosen - 1], np.uint64(0))
    weight = cumulative[rows, chosen] - before
    # What is left, of the choice's weight: long division, 32 bits at a time.
    left = (whole - before) << HALF | (upper & LOW)
    rest = (left % weight) << HALF | (low & LOW)
    return chosen, (left // weight) << HALF | rest // weight
