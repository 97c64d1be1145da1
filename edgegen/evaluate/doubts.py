"""What speaks against the held-out flows being new to a generator."""

from dataclasses import asdict, dataclass
from typing import Any

from edgegen.evaluate.subject import BundleSubject


@dataclass(frozen=True)
class Doubts:
    """notes: in words

    other_split:   it has learned from other flows than those that are called training, so that nothing follows from
                   how its flows differ from them and from held-out ones
    held_out_seen: it may have learned from held-out flows
    """

    notes: tuple[str, ...] = ()
    other_split: bool = False
    held_out_seen: bool = False

    def to_json(self) -> dict[str, bool]:
        """But for the notes, which stand beside others."""
        return {name: value for name, value in asdict(self).items() if name != "notes"}


def doubts(subject: BundleSubject, digest: str, seed: int) -> Doubts:
    """Of a generator, and of the runs that it started or learned from.

    digest: of the real flows; seed: of their split
    """
    training, name, notes = subject.bundle.manifest.provenance.get("training", {}), subject.name, []
    other_split = held_out_seen = False
    same = training.get("sha256") == digest
    if training.get("hold_out") is False:
        notes.append(f"{name} was trained on all of its flows: those called held out here may be among them.")
        other_split = held_out_seen = True
    elif not same or _seed(training) != seed:
        notes.append(
            f"{name} was trained on other flows ({training.get('data', 'unknown')}) or another split: what is "
            "called training and held out here is a split of the flows given, and copies are of those."
        )
        other_split, held_out_seen = True, same
    while isinstance(source := training.get("source"), dict):
        run = training.get("init") or training.get("distill")
        if source.get("sha256") == digest and (source.get("hold_out") is False or _seed(source) != seed):
            notes.append(f"{run}, from which {name} comes, was trained on flows that are called held out here.")
            other_split = held_out_seen = True
        training = source
    return Doubts(tuple(notes), other_split, held_out_seen)


def _seed(training: dict[str, Any]) -> Any:
    """Of the split into training and held-out flows."""
    return split.get("seed") if isinstance(split := training.get("split"), dict) else None
