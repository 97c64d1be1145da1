"""Which real flows a flow is nearest to, in packets to change, insert and drop."""

import numpy as np
from numpy.typing import NDArray

from edgegen.evaluate.arrays import Arrays, Ints

FIRST = 16  # packets of a flow that are compared; the time goes with their square
PART = 256  # flows at a time

Small = NDArray[np.int8]


def nearest(flows: Arrays, others: Arrays) -> tuple[Ints, Ints]:
    """For each flow the edits to the nearest of the others, at least one, and how many of them are as near.

    Two packets are the same where length and direction are. (Levenshtein 1966)
    """
    packets, counts = _packets(flows)
    unique, times = np.unique(np.column_stack(_packets(others)), axis=0, return_counts=True)
    least, many = np.empty(len(flows), np.int64), np.empty(len(flows), np.int64)
    for start in range(0, len(flows), PART):
        part = slice(start, start + PART)
        found = np.empty((len(counts[part]), len(unique)), np.int8)
        for length in np.unique(unique[:, -1]):
            columns = np.flatnonzero(unique[:, -1] == length)
            found[:, columns] = edits(packets[part], counts[part], unique[columns, :length])
        least[part] = found.min(1)
        many[part] = (found == found.min(1, keepdims=True)) @ times
    return least, many


def edits(flows: Ints, counts: Ints, others: Ints) -> Small:
    """(flows, others) edits from one to the other.

    flows: (flows, p) packets, of which `counts` are there; others: (others, q), all of which are
    """
    shape = len(flows), len(others)
    row = [np.full(shape, column, np.int8) for column in range(others.shape[1] + 1)]
    found = row[-1].copy()
    for i in range(flows.shape[1]):
        above, row = row, [np.full(shape, i + 1, np.int8)]
        for j in range(others.shape[1]):
            changed = flows[:, i, None] != others[None, :, j]
            row.append(np.minimum(np.minimum(above[j + 1], row[j]) + np.int8(1), above[j] + changed))
        found[counts == i + 1] = row[-1][counts == i + 1]
    return found


def _packets(flows: Arrays) -> tuple[Ints, Ints]:
    return flows.packets()[:, :FIRST], np.minimum(flows.count, FIRST)
