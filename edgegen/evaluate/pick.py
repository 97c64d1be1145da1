"""Few flows in place of many: those that together are most like all of them.

Of flows that are drawn independently, some say the same twice and others nothing. Picked one by one, each where the
picks so far are furthest from all flows, few stand for many (herding: Welling 2009; Chen, Welling and Smola 2010). Two
flows are alike by how many runs of packets both have at the same place: each pair of neighbours, each start and each
end, a part of what the weighted degree kernel counts (Rätsch and Sonnenburg 2004). What few flows have no room for, the
rarest of all, is left out. Which runs count was chosen by what forests learned from the picks.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgegen.evaluate.arrays import Arrays, Ints
from edgegen.evaluate.subject import Subject

# Flows to pick out of, for each that is picked. Three times as many were worth no more.
AMONG = 8
MOST = 10_000_000  # to pick out of, all of which are in memory at once
PART = 1_000  # flows picked at a time; it takes time in proportion to their number times that of all flows

Runs = NDArray[np.int32]


def pick(flows: Arrays, wanted: Ints) -> Ints:
    """Rows of as many flows of each label as wanted, or of all there are.

    wanted: (labels,)
    """
    rows = [np.empty(0, np.int64)]
    for label, n in enumerate(wanted.tolist()):
        there = np.flatnonzero(flows.label == label)
        if n >= len(there):
            rows.append(there)
            continue
        parts = -(-n // PART)
        for part in range(parts):
            those = there[part::parts]
            rows.append(those[herd(runs(flows[those]), len(range(part, n, parts)))])
    return np.concatenate(rows)


def picked(flows: Arrays, wanted: Ints) -> Arrays:
    """The flows themselves."""
    return flows[pick(flows, wanted)]


def draw_picked(subject: Subject, labels: Sequence[str], wanted: Ints, seed: int) -> Arrays:
    """What a training set is made of: as many of a generator's flows as wanted, picked out of AMONG times as many.

    Out of fewer where those would be more than MOST.
    """
    return picked(subject.draw(labels, among_of(wanted) * wanted, seed), wanted)


def among_of(wanted: Ints) -> int:
    """Out of how many times as many flows `wanted` ones are picked."""
    return min(AMONG, max(1, MOST // max(1, int(wanted.sum()))))


def runs(flows: Arrays) -> Runs:
    """(runs, n) numbers: two flows have the same one where they have the same packets there, lengths and directions.

    A flow's end counts as a packet, and what would lie beyond it is like no other flow's. Times do not count: with them
    forests learned no more.
    """
    packed = flows.packets()
    packets = [_numbered(packet) for packet in packed.T]
    pairs = [_together(one, other) for one, other in pairwise(packets)]
    # Each with how many packets a flow must have to have it.
    made = [*enumerate(_growing(packets)), *enumerate(pairs, 1), *enumerate(_growing(packets[::-1])[::-1], 1)]
    alone = len(flows) + np.arange(len(flows))
    return np.stack([np.where(flows.count >= least, run, alone) for least, run in made], dtype=np.int32)


def herd(runs: Runs, wanted: int) -> Ints:
    """Rows of `wanted` flows, each the one that has most of what the picks before it lack, beside all flows."""
    flows = runs.shape[1]
    of_all = np.add.reduce([np.bincount(run)[run] for run in runs])
    of_picks, free = np.zeros(flows, np.int64), np.ones(flows, bool)
    rows = np.empty(wanted, np.int64)
    for i in range(wanted):
        lacking = (i + 1) * of_all - flows * of_picks
        rows[i] = row = np.where(free, lacking, np.iinfo(np.int64).min).argmax()
        free[row] = False
        of_picks += np.count_nonzero(runs == runs[:, row, None], axis=0)
    return rows


def _growing(packets: list[Ints]) -> list[Ints]:
    """The runs of one packet, of two, and so on."""
    made = packets[:1]
    for packet in packets[1:]:
        made.append(_together(made[-1], packet))
    return made


def _together(one: Ints, other: Ints) -> Ints:
    return _numbered(one * (other.max(initial=0) + 1) + other)


def _numbered(values: Ints) -> Ints:
    """0, 1, ... in place of any values, the same for the same."""
    return np.unique(values, return_inverse=True)[1]
