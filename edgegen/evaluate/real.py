"""The real flows that a generator is measured against, and which of them it has seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgegen.errors import EdgegenError
from edgegen.evaluate.arrays import Arrays, Ints, arrays
from edgegen.flow import Flow
from edgegen.split import split


@dataclass(frozen=True)
class Real:
    """training: the flows a generator learns from; held_out: those of sessions it has never seen.

    sessions: of each held-out flow
    only_real, only_made: labels that one side alone has; all figures are of the others
    by_flow: labels whose flows could not be kept apart by session
    """

    training: Arrays
    held_out: Arrays
    sessions: tuple[str, ...]
    only_real: tuple[str, ...]
    only_made: tuple[str, ...]
    by_flow: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.training.labels

    @property
    def longest(self) -> int:
        """Packets of the longest flow, as far as the generator makes any."""
        return int(max(self.training.count.max(), self.held_out.count.max()))

    def halves(self, seed: int) -> tuple[Arrays, Arrays]:
        """Two halves of the held-out flows, all flows of a (label, session) in one of them where that can be.

        What a generator's flows are compared with, and, one with the other, the floor.
        """
        random = np.random.default_rng(seed)
        side = np.zeros(len(self.held_out), bool)
        for label in range(len(self.labels)):
            rows = np.flatnonzero(self.held_out.label == label)
            groups: dict[str, list[int]] = {}
            for row in rows.tolist():
                groups.setdefault(self.sessions[row], []).append(row)
            if len(groups) < 2 or self.labels[label] in self.by_flow:
                groups = {str(row): [row] for row in rows.tolist()}
            order = [groups[name] for name in sorted(groups)]
            sizes = [0, 0]
            for i in random.permutation(len(order)):
                smaller = int(sizes[1] < sizes[0])
                sizes[smaller] += len(order[i])
                side[order[i]] = bool(smaller)
        return self.held_out[~side], self.held_out[side]


def real_flows(flows: Sequence[Flow], path: Path, labels: Sequence[str], packets: int, times: bool, seed: int) -> Real:
    """Split `flows` as training did with that seed, for the labels that a generator knows, too.

    Raises EdgegenError where there is no common label, or too few flows to hold some out.
    """
    here = {flow.label for flow in flows}
    both = tuple(sorted(here & set(labels)))
    if not both:
        raise EdgegenError(
            f"{path} and the generator have no label in common ({_few(here)} there, {_few(set(labels))} here): "
            "evaluate with flows of the data it was trained on"
        )
    # Split before labels are dropped: the parts are those of training.
    parts = split(flows, seed)
    training = [flow for flow in parts.train if flow.label in both]
    held_out = [flow for flow in (*parts.validation, *parts.test) if flow.label in both]
    if not held_out:
        raise EdgegenError(f"{path} has too few flows to hold some out: give a label at least three")
    if times and not any(any(flow.iat) for flow in held_out):
        raise EdgegenError(f"{path} has no times and the generator makes some: give flows with inter-arrival times")
    return Real(
        arrays(training, both, packets, times),
        arrays(held_out, both, packets, times),
        tuple(flow.session for flow in held_out),
        tuple(sorted(here - set(both))),
        tuple(sorted(set(labels) - set(both))),
        tuple(label for label in parts.by_flow if label in both),
    )


def counts(flows: Arrays) -> Ints:
    """(labels,) how many flows of each."""
    return np.bincount(flows.label, minlength=len(flows.labels))


def _few(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
