"""What generated flows add to a classifier that has few real ones."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from edgegen.evaluate.arrays import Arrays, Floats, Ints, concatenate, some
from edgegen.evaluate.augment import REAL_SHARE
from edgegen.evaluate.baselines import copy
from edgegen.evaluate.classifiers import Classifier, forest
from edgegen.evaluate.transforms import Random, transform
from edgegen.evaluate.utility import macro_f1

REAL = (5, 10, 20, 50, 100)  # real flows of each label; beside them, all there are
ADDED = (100, 1_000)  # generated flows added to each label
EDITED = 300  # changed copies of real ones
DRAWS = 5
# The transform that helps most with few flows, and so what a generator has to be shown beside.
STRONGEST = "edit"

# (how many of each label, seed) -> flows
Draw = Callable[[Ints, int], Arrays]


def curves(
    training: Arrays,
    test: Arrays,
    generated: Draw,
    numbers: tuple[int, ...] = REAL,
    draws: int = DRAWS,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Macro-F1 of random forests on `test` by how many real flows of each label they had, and what was added.

    numbers: of real flows a label. Each of `draws` draws others, and other flows to add.
    The result has a row for each number, which says of `real` alone, of `edit`, and of the generator with each number
    of ADDED the mean and the spread of the draws; `all` is the mean with every real flow.
    """
    labels = len(training.labels)
    made_flows = functools.cache(lambda n, draw: generated(np.full(labels, n), draw))
    rows = []
    for number in numbers:
        say(f"augmentation of {number} real flows a label")
        found: dict[str, list[float]] = {}
        for draw in range(draws):
            few = some(training, np.full(labels, number), draw)
            random = np.random.default_rng([draw, number])
            added = {f"generator_{n}": made_flows(n, draw) for n in ADDED}
            added[STRONGEST] = edited(few, EDITED, random)
            made = {"real": score(forest, few, None, test, draw)}
            made |= {name: score(forest, few, flows, test, draw) for name, flows in added.items()}
            for name, value in made.items():
                found.setdefault(name, []).append(value)
        rows.append({"real_flows": number, **{name: spread(values) for name, values in found.items()}})
    say("augmentation: all real flows")
    everything = [score(forest, training, None, test, draw) for draw in range(min(draws, 2))]
    return {"rows": rows, "all": float(np.mean(everything))} | gains(rows, float(np.mean(everything)))


def gains(rows: list[dict[str, Any]], everything: float) -> dict[str, Any]:
    """At ten real flows a label: what generated flows add in points of F1 and in percent, and what share of the gap to
    all flows they close.

    Of the number of added flows that did best; nothing where ten flows were not tried.
    """
    for row in rows:
        if row["real_flows"] == 10:
            alone, best = row["real"]["macro_f1"], max(row[f"generator_{n}"]["macro_f1"] for n in ADDED)
            gap = everything - alone
            closed = (best - alone) / gap if gap > 0.01 else None
            percent = 100 * (best / alone - 1) if alone else None
            return {"gain_points": 100 * (best - alone), "gain_percent": percent, "gap_closed": closed}
    return {}


def score(classifier: Classifier, few: Arrays, added: Arrays | None, test: Arrays, seed: int) -> float:
    """Macro-F1 of a classifier fitted to real flows and those that were added to them."""
    training, weights = together(few, added)
    return macro_f1(classifier(training, test, seed, weights), test)


def together(few: Arrays, added: Arrays | None) -> tuple[Arrays, Floats | None]:
    """One training set; its real flows weigh REAL_SHARE of it, whatever was added."""
    if added is None:
        return few, None
    real = np.full(len(few), REAL_SHARE / len(few))
    return concatenate([few, added]), np.concatenate([real, np.full(len(added), (1 - REAL_SHARE) / len(added))]) * (
        len(few) + len(added)
    )


def edited(few: Arrays, number: int, random: Random) -> Arrays:
    """`number` changed copies of each label's few flows."""
    return transform(STRONGEST, copy(few, np.full(len(few.labels), number), random), few, random)


def spread(values: list[float]) -> dict[str, float]:
    """Mean and spread of a figure's draws."""
    return {"macro_f1": float(np.mean(values)), "spread": float(np.std(values))}
