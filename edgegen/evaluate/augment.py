"""A training set with added flows: from a generator, or from the real flows by a transform."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate.arrays import Ints, arrays, flows_of
from edgegen.evaluate.baselines import copy
from edgegen.evaluate.pick import draw_picked
from edgegen.evaluate.subject import Subject
from edgegen.evaluate.transforms import transform
from edgegen.flow import AddedFlow, Flow

COLUMNS = ("synthetic", "weight")
# What the real flows of a label weigh together, where flows were added to them. More added flows then teach more of
# what flows can be like, and never drown what they are like.
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
    """`flows`, then those that a generator adds, picked out of more; EdgegenError where it does not know a label."""
    labels = sorted({flow.label for flow in flows})
    if unknown := [label for label in labels if label not in subject.labels]:
        raise EdgegenError(
            f"{subject.name} does not know the label {unknown[0]}: train it on these flows, or leave it out"
        )
    return _weighted(flows, flows_of(draw_picked(subject, labels, counts, seed)))


def from_transform(flows: Sequence[Flow], name: str, counts: Ints, seed: int) -> list[AddedFlow]:
    """`flows`, then changed copies of them."""
    labels = sorted({flow.label for flow in flows})
    real = arrays(flows, labels, max(map(len, flows)))
    random = np.random.default_rng(seed)
    if not counts.any():
        return _weighted(flows, [])
    return _weighted(flows, flows_of(transform(name, copy(real, counts, random), real, random)))


def _weighted(real: Sequence[Flow], added: Sequence[Flow]) -> list[AddedFlow]:
    """Within a label real and added flows weigh the same together; where nothing was added, every flow weighs 1."""
    there, new = (Counter(flow.label for flow in side) for side in (real, added))
    protos = {flow.label: flow.proto for flow in real}
    made = []
    for side, synthetic, share in ((real, False, REAL_SHARE), (added, True, 1 - REAL_SHARE)):
        for flow in side:
            own, total = (new if synthetic else there)[flow.label], there[flow.label] + new[flow.label]
            weight = share * total / own if new[flow.label] else 1.0
            proto = protos[flow.label] if flow.proto is None else flow.proto
            made.append(AddedFlow(flow.label, flow.pl, flow.dir, flow.iat, proto, flow.session, synthetic, weight))
    return made
