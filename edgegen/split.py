"""Training, validation and test flows, kept apart by the capture they came from."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from edgegen.flow import Flow

# Shares of a label's flows: training, validation, test.
SHARES = (0.8, 0.1, 0.1)


@dataclass
class Split:
    """Three parts of a data set; `by_flow` names the labels that could not be split by session.

    seed: None where the parts are not apart
    """

    seed: int | None
    train: list[Flow] = field(default_factory=list)
    validation: list[Flow] = field(default_factory=list)
    test: list[Flow] = field(default_factory=list)
    by_flow: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What a run records of it."""
        return {
            "seed": self.seed,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "unit": "session, within a label",
            "labels_split_by_flow": self.by_flow,
        }


def split(flows: Sequence[Flow], seed: int = 0) -> Split:
    """Split `flows` about 80 : 10 : 10 within each label, all flows of a (label, session) into one part.

    A label with fewer than three sessions, or whose sessions are unknown or one a flow, is split by flow:
    neighbours in one capture then stand on both sides, which flatters every figure, so it is recorded.
    The parts depend on the flows, their order and the seed alone. Every label is in the training part.
    """
    by_label: dict[str, list[Flow]] = defaultdict(list)
    for flow in flows:
        by_label[flow.label].append(flow)
    made = Split(seed)
    for label, members in sorted(by_label.items()):
        sessions: dict[str, list[Flow]] = {}
        for flow in members:
            sessions.setdefault(flow.session, []).append(flow)
        if len(sessions) < 3 or "" in sessions or len(sessions) == len(members):
            made.by_flow.append(label)
            sessions = {str(i): [flow] for i, flow in enumerate(members)}
        order = sorted(sessions, key=lambda name: _rank(seed, label, name))
        for part, chosen in zip(
            (made.train, made.validation, made.test), _deal([sessions[name] for name in order]), strict=True
        ):
            part.extend(chosen)
    return made


def _rank(seed: int, label: str, name: str) -> bytes:
    return blake2b(f"{seed}\0{label}\0{name}".encode("utf-8", "backslashreplace"), digest_size=8).digest()


def _deal(groups: Sequence[list[Flow]]) -> tuple[list[Flow], ...]:
    """Give each group to the part that lacks most, and the last ones to parts that would else stay empty.

    Of few groups one may be most of the flows. Wherever it went, training has the largest part.
    """
    total = sum(map(len, groups))
    parts: tuple[list[Flow], ...] = ([], [], [])
    for i, group in enumerate(groups):
        empty = [part for part in parts if not part]
        if empty and len(groups) - i <= len(empty):
            chosen = empty[0]
        else:
            lack = [share * total - len(part) for share, part in zip(SHARES, parts, strict=True)]
            chosen = parts[lack.index(max(lack))]
        chosen.extend(group)
    largest = max(parts, key=len)
    if len(largest) > len(parts[0]):
        parts[0][:], largest[:] = largest[:], parts[0][:]
    return parts
