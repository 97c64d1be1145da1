"""One evaluation from end to end: fidelity, synthetic-only training, privacy and cost of a generator."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError
from edgegen.evaluate import augmentation, classifiers, privacy, utility
from edgegen.evaluate.arrays import Arrays, Ints
from edgegen.evaluate.baselines import BASELINES, USUAL
from edgegen.evaluate.cost import cost
from edgegen.evaluate.distributions import QUANTITIES, histogram, transitions
from edgegen.evaluate.fidelity import TIMED, by_label, fidelity
from edgegen.evaluate.parts import Parts
from edgegen.evaluate.real import Real, counts, real_flows
from edgegen.evaluate.subject import BundleSubject, Subject, TableSubject
from edgegen.evaluate.verdict import verdict
from edgegen.readers import read_flows

FORMAT = 5  # of what parts hold: another number makes them all again
BASELINE_DRAWS = 2
MOST_LIKELIHOODS = 40_000  # flows times labels
# Seeds of flows for fidelity and for privacy; those for classifiers are 0, 1, ...
FIDELITY_SEED, PRIVACY_SEED, AUGMENTATION_SEED, MORE_SEED = 1_000, 2_000, 3_000, 4_000
MORE, MORE_SEEDS = 1_000, 2  # generated flows of a label, and sets of them

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """seed: of the split into training and held-out flows, which must be the training's
    draws: of the generator's flows and of the real halves that they are compared with
    seeds: of classifiers and their flows; baselines: those to stand beside
    """

    seed: int = 0
    draws: int = 5
    seeds: int = utility.SEEDS
    baselines: tuple[str, ...] = USUAL


def evaluate(
    real_path: Path,
    bundle: Path | None = None,
    synthetic: Path | None = None,
    folder: Path | None = None,
    settings: Settings | None = None,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Everything there is to say of a bundle, or of a table of generated flows, as JSON can hold it.

    folder: keeps finished parts; say: told what is being done
    Raises EdgegenError where the real flows do not fit the generator.
    """
    settings = settings or Settings()
    say("reading the flows")
    flows = read_flows(real_path)
    digest = sha256(real_path.read_bytes()).hexdigest()
    subject, notes = _subject(bundle, synthetic, digest, settings)
    real = real_flows(flows, real_path, subject.labels, subject.packets, subject.times, settings.seed)
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
    result["fidelity"] = parts.get("fidelity", lambda: _fidelity(subject, real, settings, say))
    result["shapes"] = parts.get("shapes", lambda: _shapes(subject, real))
    result["synthetic_only"] = parts.get("synthetic_only", lambda: _synthetic_only(subject, real, settings, say))
    if more := parts.get("more", lambda: _more(subject, real, say)):
        result["synthetic_only"]["more"] = more
    result["augmentation"] = parts.get("augmentation", lambda: _augmentation(subject, real, settings, say))
    result["privacy"] = parts.get("privacy", lambda: _privacy(subject, real, settings, say))
    if isinstance(subject, BundleSubject):
        say("cost")
        result["cost"] = parts.get("cost", lambda: cost(subject.bundle))
    result["verdict"] = verdict(result)
    return result


def _subject(bundle: Path | None, synthetic: Path | None, digest: str, settings: Settings) -> tuple[Subject, list[str]]:
    if synthetic is not None:
        seen = f"It is taken for granted that {synthetic.name} was made from the training part of the real flows."
        return TableSubject(synthetic), [seen]
    if bundle is None:
        raise EdgegenError("nothing to evaluate: give a bundle or generated flows")
    opened = Bundle.open(bundle)
    training = opened.manifest.provenance.get("training", {})
    notes = []
    if training.get("hold_out") is False:
        notes.append(f"{bundle.name} was trained on all of its flows: those called held out here may be among them.")
    elif training.get("sha256") != digest or training.get("split", {}).get("seed") != settings.seed:
        notes.append(
            f"{bundle.name} was trained on other flows ({training.get('data', 'unknown')}) or another split: what is "
            "called training and held out here is a split of the flows given, and copies are of those."
        )
    return BundleSubject(opened), notes


def _facts(path: Path, digest: str, real: Real, settings: Settings) -> dict[str, Any]:
    return {
        "name": path.name,
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


def _fidelity(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    """Means over draws: the generator, the floor and each baseline against the same halves of the held-out flows."""
    halves = [real.halves(draw) for draw in range(settings.draws)]
    found, floor, labels = [], [], []
    for draw, (half, other) in enumerate(halves):
        say(f"fidelity, draw {draw + 1} of {settings.draws}")
        made = subject.draw(real.labels, counts(other), FIDELITY_SEED + draw)
        found.append(fidelity(half, made, draw))
        floor.append(fidelity(half, other, draw))
        labels.append(by_label(half, made))
    result: dict[str, Any] = _means(found)
    result |= {f"{name}_floor": value for name, value in _means(floor).items()}
    result["per_label"] = {label: _means([draw[label] for draw in labels]) for label in real.labels}
    result["baselines"] = {}
    for name in settings.baselines:
        say(f"fidelity of {name}")
        rows = []
        for draw, (half, other) in enumerate(halves[:BASELINE_DRAWS]):
            random = np.random.default_rng([FIDELITY_SEED, draw])
            rows.append(fidelity(half, BASELINES[name](real.training, counts(other), random), draw))
        result["baselines"][name] = _means(rows)
    return result


def _shapes(subject: Subject, real: Real) -> dict[str, Any]:
    """What the report draws: histograms and transitions of both sides."""
    made = subject.draw(real.labels, counts(real.held_out), FIDELITY_SEED)
    shapes: dict[str, Any] = {"transitions": {}, "histograms": {}}
    for side, flows in (("real", real.held_out), ("synthetic", made)):
        shapes["transitions"][side] = transitions(flows).round(6).tolist()
        for name, (sample_of, edges) in QUANTITIES.items():
            if name in TIMED and not real.held_out.times:
                continue
            if len(sample := sample_of(flows)):
                shapes["histograms"].setdefault(name, {})[side] = histogram(sample, edges).round(6).tolist()
    return shapes


def _synthetic_only(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    """Classifiers that saw generated flows only, beside those that saw as many real ones, on held-out real flows."""
    wanted = counts(real.training)
    there = counts(subject.draw(real.labels, wanted, 0))

    @functools.cache
    def drawn(seed: int) -> Arrays:
        return subject.draw(real.labels, wanted, seed)

    def as_many_real(seed: int) -> Arrays:
        return real.training if (there == wanted).all() else augmentation.some(real.training, there, seed)

    say("random forests on generated and on real flows")
    result: dict[str, Any] = {
        "flows": int(there.sum()),
        **utility.scores(classifiers.forest, drawn, real.held_out, settings.seeds),
    }
    on_real = utility.scores(classifiers.forest, as_many_real, real.held_out, settings.seeds)
    result |= {f"real_{name}": value for name, value in on_real.items()}
    result["baselines"] = {}
    for name in settings.baselines:
        say(f"random forests on {name}")

        def baseline(seed: int, name: str = name) -> Arrays:
            return BASELINES[name](real.training, there, np.random.default_rng([seed, 1]))

        scores = utility.scores(classifiers.forest, baseline, real.held_out, settings.seeds)
        result["baselines"][name] = {key: scores[key] for key in ("macro_f1", "spread")}
    others = {"tokens": classifiers.tokens} | ({"convolution": classifiers.convolution} if find_spec("torch") else {})
    result["classifiers"] = {}
    for name, classifier in others.items():
        say(f"{name} on generated and on real flows")
        result["classifiers"][name] = {
            side: {key: scores[key] for key in ("macro_f1", "spread")}
            for side, scores in (
                ("synthetic", utility.scores(classifier, drawn, real.held_out, settings.seeds)),
                ("real", utility.scores(classifier, as_many_real, real.held_out, settings.seeds)),
            )
        }
    say("the generator as a classifier")
    rows = np.random.default_rng(0).permutation(len(real.held_out))[: max(1, MOST_LIKELIHOODS // len(real.labels))]
    nats = subject.nats_by_label([real.held_out_flows[i] for i in rows], real.labels)
    if nats is not None:
        result["likelihood"] = {"macro_f1": utility.macro_f1(-nats, real.held_out[rows]), "flows": len(rows)}
    return result


def _more(subject: Subject, real: Real, say: Say) -> dict[str, Any] | None:
    """The random forest again, on MORE generated flows of each label: a generator has as many as one likes."""
    say("random forests on more generated flows")
    wanted = np.full(len(real.labels), MORE)

    def drawn(seed: int) -> Arrays:
        return subject.draw(real.labels, wanted, MORE_SEED + seed)

    if counts(drawn(0)).sum() <= len(real.training):
        return None
    scores = utility.scores(classifiers.forest, drawn, real.held_out, MORE_SEEDS)
    return {"flows": MORE * len(real.labels), "macro_f1": scores["macro_f1"], "spread": scores["spread"]}


def _augmentation(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    """The paper's protocol: few real flows to learn from, and a generator that was trained on all of them."""

    def generated(wanted: Ints, draw: int) -> Arrays:
        return subject.draw(real.labels, wanted, AUGMENTATION_SEED + draw)

    numbers = tuple(n for n in augmentation.REAL if n < counts(real.training).max())
    return augmentation.curves(real.training, real.held_out, generated, numbers, settings.draws, say)


def _privacy(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    say("copies and nearest neighbours")
    made = subject.draw(real.labels, counts(real.training), PRIVACY_SEED)
    result: dict[str, Any] = privacy.copies(real.training, real.held_out, made)
    result |= privacy.nearest(real.training, real.held_out, made)
    result["baselines"] = {}
    for name in settings.baselines:
        flows = BASELINES[name](real.training, counts(real.training), np.random.default_rng([PRIVACY_SEED, 0]))
        result["baselines"][name] = privacy.copies(real.training, real.held_out, flows)
    say("membership inference")
    rows = np.random.default_rng(0).permutation(len(real.training_flows))[: len(real.held_out_flows)]
    inside = subject.nats([real.training_flows[i] for i in rows])
    outside = subject.nats(real.held_out_flows)
    if inside is not None and outside is not None:
        result |= privacy.membership(inside, outside)
    return result


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of each figure over the rows that have it; None where none has."""
    made: dict[str, Any] = {}
    for name in rows[0]:
        known = [row[name] for row in rows if row[name] is not None]
        made[name] = float(np.mean(known)) if known else None
    return made
