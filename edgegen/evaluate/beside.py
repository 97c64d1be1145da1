"""Other generators on the same real flows, a row each: what their flows are worth, and what they cost."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgegen.errors import EdgegenError
from edgegen.evaluate import axes, classifiers, utility
from edgegen.evaluate.arrays import Arrays
from edgegen.evaluate.axes import Say, Settings
from edgegen.evaluate.cost import cost
from edgegen.evaluate.likeness import likeness
from edgegen.evaluate.pick import draw_picked
from edgegen.evaluate.real import Real, counts
from edgegen.evaluate.subject import BundleSubject, Subject


def row(subject: BundleSubject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    """The figures of a whole evaluation that comparisons are made by, and no others."""
    say(f"{subject.name}, to stand beside it")
    wanted = counts(real.training)

    @functools.cache
    def drawn(seed: int) -> Arrays:
        return draw_picked(subject, real.labels, wanted, seed)

    return _row(
        subject,
        likeness(subject, real, replace(settings, baselines=()), lambda text: None),
        utility.scores(classifiers.forest, drawn, real.held_out, settings.seeds)
        | {"more": axes.more(subject, real, lambda text: None)},
        axes.copies(subject, real, subject.draw(real.labels, wanted, axes.PRIVACY_SEED)),
        cost(subject.bundle),
    )


def own_row(subject: Subject, result: dict[str, Any]) -> dict[str, Any]:
    """The same of the generator that was evaluated whole."""
    return _row(subject, result["fidelity"], result["synthetic_only"], result["privacy"], result.get("cost", {}))


def check(subject: Subject, other: Subject, labels: Sequence[str]) -> None:
    """EdgegenError unless both make flows of the same kind, otherwise the real ones are cut to other lengths, and the
    other has these labels.
    """
    if (subject.packets, subject.times) != (other.packets, other.times):
        kinds = [f"{each.packets} packets with{'' if each.times else 'out'} times" for each in (subject, other)]
        raise EdgegenError(
            f"{subject.name} makes flows of {kinds[0]} and {other.name} of {kinds[1]}: they cannot stand side by side"
        )
    if unknown := sorted(set(labels) - set(other.labels)):
        raise EdgegenError(f"{other.name} does not know the label {unknown[0]}: it cannot stand beside {subject.name}")


def _row(
    subject: Subject, alike: dict[str, Any], forest: dict[str, Any], copies: dict[str, Any], costs: dict[str, Any]
) -> dict[str, Any]:
    manifest = subject.bundle.manifest if isinstance(subject, BundleSubject) else None
    more = forest.get("more")
    return {
        "name": subject.name,
        "kind": manifest.kind if manifest else None,
        "refinements": manifest.refinements if manifest else 0,
        "distilled": bool(manifest and manifest.model.get("distilled")),
        "two_sample_auc": alike["two_sample_auc"],
        "macro_f1": forest["macro_f1"],
        "spread": forest["spread"],
        "more_macro_f1": more["macro_f1"] if more else None,
        "copy_excess_points": copies["copy_excess_points"],
        "picked_copy_excess_points": copies["picked"]["copy_excess_points"],
        "traced": copies["traced"],
        "ms_a_flow": costs.get("ms_a_flow"),
        "flows_a_second": costs.get("flows_a_second"),
        "executables": costs.get("executables", {}),
    }
