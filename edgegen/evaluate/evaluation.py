"""One evaluation from end to end: fidelity, synthetic-only training, privacy and cost of a generator."""

import functools
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError
from edgegen.evaluate import axes, beside
from edgegen.evaluate.axes import Say, Settings
from edgegen.evaluate.cost import cost
from edgegen.evaluate.parts import Parts
from edgegen.evaluate.real import Real, real_flows
from edgegen.evaluate.subject import BundleSubject, Subject, TableSubject
from edgegen.evaluate.verdict import verdict
from edgegen.flow import unicode
from edgegen.readers import read_real_flows

FORMAT = 11  # of what parts hold: another number makes them all again


def evaluate(
    real_path: Path,
    bundle: Bundle | Path | None = None,
    synthetic: Path | None = None,
    folder: Path | None = None,
    settings: Settings | None = None,
    say: Say = lambda text: None,
    others: Sequence[Bundle] = (),
) -> dict[str, Any]:
    """Everything there is to say of a bundle, or of a table of generated flows, as JSON can hold it.

    folder: keeps finished parts; say: told what is being done; others: what to stand beside it, a row each
    Raises EdgegenError where the real flows do not fit the generator.
    """
    settings = settings or Settings()
    say("reading the flows")
    flows = read_real_flows(real_path)
    digest = sha256(real_path.read_bytes()).hexdigest()
    subject, notes = _subject(bundle, synthetic, digest, settings)
    compared = [BundleSubject(other) for other in others]
    real = real_flows(flows, real_path, subject.labels, subject.packets, subject.times, settings.seed)
    for other in compared:
        beside.check(subject, other, real.labels)
        notes += _seen(other, digest, settings)
    made_from = {
        "format": FORMAT,
        "real": digest,
        "subject": subject.key,
        "seed": settings.seed,
        "draws": settings.draws,
        "seeds": settings.seeds,
        "baselines": settings.baselines,
        "torch": find_spec("torch") is not None,
    }
    parts = Parts(folder / "parts" if folder else None, made_from)
    result: dict[str, Any] = {
        "format": FORMAT,
        "subject": {"name": subject.name, "packets": subject.packets, "times": subject.times},
        "real": _facts(real_path, digest, real, settings),
        "notes": [*notes, *_notes(real)],
    }
    result["fidelity"] = parts.get("fidelity", lambda: axes.likeness(subject, real, settings, say))
    result["shapes"] = parts.get("shapes", lambda: axes.shapes(subject, real))
    result["synthetic_only"] = parts.get("synthetic_only", lambda: axes.synthetic_only(subject, real, settings, say))
    if more := parts.get("more", lambda: axes.more(subject, real, say)):
        baselines = parts.get("more_baselines", lambda: axes.more_baselines(real, settings, say))
        result["synthetic_only"]["more"] = more | {"baselines": baselines}
    result["augmentation"] = parts.get("augmentation", lambda: axes.added_to_few(subject, real, settings, say))
    result["privacy"] = parts.get("privacy", lambda: axes.given_away(subject, real, settings, say))
    if isinstance(subject, BundleSubject):
        say("cost")
        result["cost"] = parts.get("cost", lambda: cost(subject.bundle))
    if compared:
        rows = [
            parts.get(f"beside-{other.key[:16]}", functools.partial(beside.row, other, real, settings, say))
            for other in compared
        ]
        result["beside"] = [beside.own_row(subject, result), *rows]
    result["verdict"] = verdict(result)
    return result


def _subject(
    bundle: Bundle | Path | None, synthetic: Path | None, digest: str, settings: Settings
) -> tuple[Subject, list[str]]:
    if synthetic is not None:
        table = TableSubject(synthetic)
        return table, [f"It is taken for granted that {table.name} was made from the training part of the real flows."]
    if bundle is None:
        raise EdgegenError("nothing to evaluate: give a bundle or generated flows")
    made = BundleSubject(bundle if isinstance(bundle, Bundle) else Bundle.open(bundle))
    return made, _seen(made, digest, settings)


def _seen(subject: BundleSubject, digest: str, settings: Settings) -> list[str]:
    """What speaks against the held-out flows being new to a generator, and to the runs that it started or learned from.

    digest: of the real flows
    """
    training, name, notes = subject.bundle.manifest.provenance.get("training", {}), subject.name, []
    if training.get("hold_out") is False:
        notes.append(f"{name} was trained on all of its flows: those called held out here may be among them.")
    elif training.get("sha256") != digest or _seed(training) != settings.seed:
        notes.append(
            f"{name} was trained on other flows ({training.get('data', 'unknown')}) or another split: what is "
            "called training and held out here is a split of the flows given, and copies are of those."
        )
    while isinstance(source := training.get("source"), dict):
        run = training.get("init") or training.get("distill")
        if source.get("sha256") == digest and (source.get("hold_out") is False or _seed(source) != settings.seed):
            notes.append(f"{run}, from which {name} comes, was trained on flows that are called held out here.")
        training = source
    return notes


def _seed(training: dict[str, Any]) -> Any:
    """Of the split into training and held-out flows."""
    return split.get("seed") if isinstance(split := training.get("split"), dict) else None


def _facts(path: Path, digest: str, real: Real, settings: Settings) -> dict[str, Any]:
    return {
        "name": unicode(path.name),
        "sha256": digest,
        "split_seed": settings.seed,
        "labels": list(real.labels),
        "training": len(real.training),
        "held_out": len(real.held_out),
        "split_by_flow": list(real.by_flow),
    }


def _notes(real: Real) -> list[str]:
    notes = []
    for names, where in ((real.only_real, "the real flows"), (real.only_made, "the generator")):
        if names:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            notes.append(f"Labels that only {where} have are left out: {shown}.")
    if real.by_flow:
        share = f"{len(real.by_flow)} of {len(real.labels)} labels"
        notes.append(f"{share} have no sessions to split by: flows of one capture stand on both sides there.")
    return notes
