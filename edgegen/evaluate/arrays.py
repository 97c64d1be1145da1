"""Flows as padded arrays, and as the features that classifiers look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.flow import Flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MICROSECOND = 1e-6  # seconds; shorter times count as this long wherever a logarithm is taken
LONGEST_PL = Codec.max_pl  # bytes; generators store longer packets as this one


@dataclass(frozen=True)
class Arrays:
    """`n` flows of up to `p` packets.

    pl:    (n, p) payload bytes, 0 beyond a flow's end
    dir:   (n, p) 0 or 1, 0 beyond the end
    iat:   (n, p) seconds, 0 beyond the end
    count: (n,) packets of each flow
    label: (n,) indices into `labels`
    times: whether times count: a generator without them is not measured by them
    """

    pl: Ints
    dir: Ints
    iat: Floats
    count: Ints
    label: Ints
    labels: tuple[str, ...]
    times: bool = True

    def __len__(self) -> int:
        return len(self.count)

    @cached_property
    def present(self) -> Bools:
        """(n, p) where there is a packet."""
        present: Bools = np.arange(self.pl.shape[1]) < self.count[:, None]
        return present

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "Arrays":
        """Some of the flows."""
        parts = (self.pl[rows], self.dir[rows], self.iat[rows], self.count[rows], self.label[rows])
        return Arrays(*parts, self.labels, self.times)

    def features(self) -> Floats:
        """(n, 2 p or 3 p) what a classifier is given of each packet: length, direction -1 or 1, log time.

        Where there is no packet: -1, 0 and the logarithm of a time that is too short to occur.
        """
        none = ~self.present
        columns = [np.where(none, -1, self.pl), np.where(none, 0, 2 * self.dir - 1)]
        if self.times:
            columns.append(np.where(none, -7.0, np.log10(np.maximum(self.iat, MICROSECOND))))
        return np.concatenate(columns, axis=1).astype(np.float64)

    def packets(self, directions: bool = True) -> Ints:
        """(n, p) each packet as one number, -1 where there is none.

        Lengths as a generator can give them, so that none hides a copy by cutting it.
        directions: False for the lengths alone
        """
        return np.where(self.present, 2 * np.minimum(self.pl, LONGEST_PL) + directions * self.dir, -1)

    def patterns(self, directions: bool = True) -> list[bytes]:
        """What makes two flows copies of each other: the same `packets`."""
        return [row.tobytes() for row in self.packets(directions)]


def arrays(flows: Sequence[Flow], labels: Sequence[str], packets: int, times: bool = True) -> Arrays:
    """The first `packets` packets of each of `flows`, all of whose labels must be among `labels`."""
    index = {name: i for i, name in enumerate(labels)}
    shape = (len(flows), packets)
    pl, direction, iat = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape)
    count = np.array([min(len(flow), packets) for flow in flows], np.int64)
    for row, (flow, n) in enumerate(zip(flows, count, strict=True)):
        pl[row, :n], direction[row, :n], iat[row, :n] = flow.pl[:n], flow.dir[:n], flow.iat[:n]
    label = np.array([index[flow.label] for flow in flows], np.int64)
    return Arrays(pl, direction, iat, count, label, tuple(labels), times)


def some(flows: Arrays, wanted: Ints, seed: int) -> Arrays:
    """As many flows of each label as wanted, or all there are."""
    return next(sets(flows, wanted, seed))


def sets(flows: Arrays, wanted: Ints, seed: int) -> Iterator[Arrays]:
    """As many flows of each label as wanted, again and again while there are others; at least once what there is."""
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.flatnonzero(flows.label == label)) for label in range(len(wanted))]
    numbers = wanted.tolist()
    whole = min((len(those) // n for those, n in zip(rows, numbers, strict=True) if n), default=1)
    for i in range(max(1, whole)):
        yield flows[np.concatenate([those[i * n : (i + 1) * n] for those, n in zip(rows, numbers, strict=True)])]


def flows_of(made: Arrays) -> list[Flow]:
    """The flows again."""
    return [
        Flow(made.labels[made.label[i]], made.pl[i, :n].tolist(), made.dir[i, :n].tolist(), made.iat[i, :n].tolist())
        for i, n in enumerate(made.count.tolist())
    ]


def concatenate(parts: Sequence[Arrays]) -> Arrays:
    """One table of several that have the same labels and packets."""
    first = parts[0]
    return Arrays(
        np.concatenate([part.pl for part in parts]),
        np.concatenate([part.dir for part in parts]),
        np.concatenate([part.iat for part in parts]),
        np.concatenate([part.count for part in parts]),
        np.concatenate([part.label for part in parts]),
        first.labels,
        first.times,
    )
