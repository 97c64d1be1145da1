"""A training set with added flows: from a generator, or from the real flows by a transform."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate.arrays import Ints, arrays, flows_of
from edgegen.evaluate.baselines import copied
from edgegen.evaluate.pick import draw_picked
from edgegen.evaluate.subject import Subject
from edgegen.evaluate.transforms import transform
from edgegen.flow import AddedFlow, Flow

COLUMNS = ("synthetic", "weight")
# What the real flows of a label weigh together at least, where flows were added to them. More added flows then teach
# more of what flows can be like, and never drown what they are like.
REAL_SHARE = 0.5
MOST = 10_000_000  # flows added, all of which are in memory at once


def wanted(flows: Sequence[Flow], labels: Sequence[str], per_label: int | None, ratio: float | None) -> Ints:
    """(labels,) how many flows to add: as many as a label lacks of `per_label`, or `ratio` for each real one."""
    if per_label is not None and ratio is not None:
        raise UsageError("say --per-label or --ratio, not both")
    if (per_label is not None and per_label < 1) or (ratio is not None and not 0 < ratio <= 1_000):
        raise UsageError("--per-label must be positive, --ratio within 0..1000")
    there = Counter(flow.label for flow in flows)
    if per_label is not None:
        counts = [max(0, per_label - there[label]) for label in labels]
    else:
        counts = [round((1.0 if ratio is None else ratio) * there[label]) for label in labels]
    if sum(counts) > MOST:
        raise UsageError(f"that would add {sum(counts):,} flows, more than {MOST:,}: ask for fewer")
    return np.array(counts, np.int64)


def from_generator(flows: Sequence[Flow], subject: Subject, counts: Ints, seed: int) -> list[AddedFlow]:
    """`flows`, then those that a generator adds, picked out of more.

    EdgegenError where flows of a label are wanted that it does not know.
    """
    labels = sorted({flow.label for flow in flows})
    short = [(label, n) for label, n in zip(labels, counts.tolist(), strict=True) if n]
    if unknown := [label for label, _ in short if label not in subject.labels]:
        raise EdgegenError(
            f"{subject.name} does not know the label {unknown[0]}: train it on these flows, or leave it out"
        )
    names, numbers = [label for label, _ in short], np.array([n for _, n in short], np.int64)
    return _weighted(flows, flows_of(draw_picked(subject, names, numbers, seed)))


def from_transform(flows: Sequence[Flow], name: str, counts: Ints, seed: int) -> list[AddedFlow]:
    """`flows`, then changed copies of them, of the sessions that theirs are of."""
    labels = sorted({flow.label for flow in flows})
    real = arrays(flows, labels, max(map(len, flows)))
    random = np.random.default_rng(seed)
    if not counts.any():
        return _weighted(flows, [])
    rows = copied(real, counts, random)
    made = flows_of(transform(name, real[rows], real, random))
    return _weighted(flows, [replace(flow, session=flows[row].session) for flow, row in zip(made, rows, strict=True)])


def unlike(flows: Sequence[Flow], subject: Subject) -> list[str]:
    """How a generator's flows differ from real ones by form alone, which would give them away in a training set."""
    longest, notes = max(map(len, flows)), []
    if longest > subject.packets:
        cut = f"{subject.name} makes flows of at most {subject.packets} packets, the real ones have up to {longest}"
        notes.append(f"{cut}: let classifiers see the first {subject.packets} only")
    if not subject.times and any(any(flow.iat) for flow in flows):
        notes.append(f"{subject.name} makes no times: keep them from classifiers")
    return notes


def _weighted(real: Sequence[Flow], added: Sequence[Flow]) -> list[AddedFlow]:
    """Within a label real and added flows weigh the same together, or all of them 1 where fewer are added, or none."""
    there, new = (Counter(flow.label for flow in side) for side in (real, added))
    protos = {flow.label: flow.proto for flow in real}
    made = []
    for side, synthetic in ((real, False), (added, True)):
        for flow in side:
            own, total = (new if synthetic else there)[flow.label], there[flow.label] + new[flow.label]
            share = 1 - REAL_SHARE if synthetic else REAL_SHARE
            weight = share * total / own if there[flow.label] < REAL_SHARE * total else 1.0
            proto = protos[flow.label] if flow.proto is None else flow.proto
            made.append(AddedFlow(flow.label, flow.pl, flow.dir, flow.iat, proto, flow.session, synthetic, weight))
    return made
