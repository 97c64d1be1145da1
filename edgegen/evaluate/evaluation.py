"""One evaluation from end to end: fidelity, synthetic-only training, privacy and cost of a generator."""

import functools
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError
from edgegen.evaluate import axes, beside, likeness
from edgegen.evaluate.axes import Say, Settings
from edgegen.evaluate.cost import cost, others_ms_a_flow
from edgegen.evaluate.doubts import Doubts, doubts
from edgegen.evaluate.parts import Parts
from edgegen.evaluate.real import Real, real_flows
from edgegen.evaluate.subject import BundleSubject, Subject, TableSubject
from edgegen.evaluate.verdict import verdict
from edgegen.flow import unicode
from edgegen.readers import read_real_flows

FORMAT = 12  # of what parts hold: another number makes them all again
LONGER = 0.01  # of generated flows, longer than any real one: beyond it, real flows may have been cut


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
    subject, doubt = _subject(bundle, synthetic, digest, settings)
    compared = [BundleSubject(other) for other in others]
    notes = list(doubt.notes)
    real = real_flows(flows, real_path, subject.labels, subject.packets, subject.times, settings.seed)
    for other in compared:
        beside.check(subject, other, real.labels)
        notes += doubts(other, digest, settings.seed).notes
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
        "doubts": doubt.to_json(),
    }
    result["fidelity"] = parts.get("fidelity", lambda: likeness.likeness(subject, real, settings, say))
    result["shapes"] = parts.get("shapes", lambda: likeness.shapes(subject, real))
    result["notes"] = [*notes, *_notes(real), *_of_the_flows(real, result["fidelity"], result["shapes"])]
    result["synthetic_only"] = parts.get("synthetic_only", lambda: axes.synthetic_only(subject, real, settings, say))
    if more := parts.get("more", lambda: axes.more(subject, real, say)):
        of_label = np.array(more["of_label"])
        baselines = parts.get("more_baselines", lambda: axes.more_baselines(real, of_label, settings, say))
        result["synthetic_only"]["more"] = more | {"baselines": baselines}
    result["augmentation"] = parts.get("augmentation", lambda: axes.added_to_few(subject, real, settings, say))
    result["privacy"] = parts.get("privacy", lambda: axes.given_away(subject, real, settings, say))
    if isinstance(subject, BundleSubject):
        say("cost")
        result["cost"] = parts.get("cost", lambda: cost(subject.bundle))
        others = parts.get("others_ms_a_flow", lambda: others_ms_a_flow(subject.bundle))
        result["cost"]["others_ms_a_flow"] = others
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
) -> tuple[Subject, Doubts]:
    if synthetic is not None:
        table = TableSubject(synthetic)
        note = f"It is taken for granted that {table.name} was made from the training part of the real flows."
        return table, Doubts((note,))
    if bundle is None:
        raise EdgegenError("nothing to evaluate: give a bundle or generated flows")
    made = BundleSubject(bundle if isinstance(bundle, Bundle) else Bundle.open(bundle))
    return made, doubts(made, digest, settings.seed)


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
            notes.append(f"Labels that only {where} have are left out: {_few(names)}.")
    if real.by_flow:
        share = f"{len(real.by_flow)} of {len(real.labels)} labels"
        notes.append(
            f"{share} have no sessions to split by (none, fewer than three, or one a flow): flows of one capture may "
            "stand on both sides there."
        )
    return notes


def _of_the_flows(real: Real, fidelity: dict[str, Any], shapes: dict[str, Any]) -> list[str]:
    """What was found while the generator's flows were looked at."""
    notes = []
    if names := fidelity["few_generated"]:
        notes.append(f"Of {_few(names)} there are fewer generated flows than real ones: as few are compared.")
    if shapes["longer"] > LONGER:
        notes.append(
            f"{shapes['longer']:.0%} of the generated flows are longer than any real one ({real.longest} packets): "
            "where real flows were cut, give them whole."
        )
    return notes


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
