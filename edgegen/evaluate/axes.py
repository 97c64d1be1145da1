"""What an evaluation asks of a generator's flows beside whether they look alike: whether they teach, and what they
give away. A function for each question; the answers are parts of its result.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from edgegen.evaluate import augmentation, classifiers, privacy, utility
from edgegen.evaluate.arrays import Arrays, Ints, flows_of, some
from edgegen.evaluate.baselines import BASELINES, USUAL
from edgegen.evaluate.pick import AMONG, among_of, draw_picked, picked
from edgegen.evaluate.real import Real, counts
from edgegen.evaluate.subject import Subject

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


def synthetic_only(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    """Classifiers that saw generated flows only, beside those that saw as many real ones, on held-out real flows.

    Of the generator's flows, and of each baseline's, as many are picked out of `among` times as many, if there are; the
    random forest also learns from the generator's flows as they come.
    """
    wanted = counts(real.training)

    @functools.cache
    def drawn(seed: int) -> tuple[Arrays, int]:
        """Flows, and out of how many times as many they are picked: of a table, of all labels what one has room for."""
        pool = subject.draw(real.labels, among_of(wanted) * wanted, seed)
        there = np.minimum(counts(pool), wanted)
        among = int((counts(pool)[there > 0] // there[there > 0]).min(initial=AMONG))
        even = pool if (counts(pool) == among * there).all() else some(pool, among * there, seed)
        return picked(even, there), among

    def training(seed: int) -> Arrays:
        return drawn(seed)[0]

    there = counts(training(0))
    among = drawn(0)[1]

    def as_many_real(seed: int) -> Arrays:
        return real.training if (there == wanted).all() else some(real.training, there, seed)

    say("random forests on generated and on real flows")
    result: dict[str, Any] = {
        "flows": int(there.sum()),
        "among": among,
        **utility.scores(classifiers.forest, training, real.held_out, settings.seeds),
    }
    on_real = utility.scores(classifiers.forest, as_many_real, real.held_out, settings.seeds)
    result |= {f"real_{name}": value for name, value in on_real.items()}
    as_they_come = functools.partial(subject.draw, real.labels, there)
    result["as_they_come"] = _f1(utility.scores(classifiers.forest, as_they_come, real.held_out, settings.seeds))
    result["baselines"] = _of_baselines(real, settings, there, among, settings.seeds, lambda seed: [seed, 1], say)
    others = {"tokens": classifiers.tokens} | ({"convolution": classifiers.convolution} if find_spec("torch") else {})
    result["classifiers"] = {}
    for name, classifier in others.items():
        say(f"{name} on generated and on real flows")
        result["classifiers"][name] = {
            side: _f1(utility.scores(classifier, learned, real.held_out, settings.seeds))
            for side, learned in (("synthetic", training), ("real", as_many_real))
        }
    say("the generator as a classifier")
    rows = np.random.default_rng(0).permutation(len(real.held_out))[: max(1, MOST_LIKELIHOODS // len(real.labels))]
    nats = subject.nats_by_label(flows_of(real.held_out[rows]), real.labels)
    if nats is not None:
        result["likelihood"] = {"macro_f1": utility.macro_f1(-nats, real.held_out[rows]), "flows": len(rows)}
    return result


def more(subject: Subject, real: Real, say: Say) -> dict[str, Any] | None:
    """The random forest again, on MORE generated flows of each label, as they come: there are as many as one likes."""
    say("random forests on more generated flows")

    @functools.cache
    def drawn(seed: int) -> Arrays:
        return subject.draw(real.labels, _many(real), MORE_SEED + seed)

    of_label = counts(drawn(0))
    if of_label.sum() <= len(real.training):
        return None
    scores = utility.scores(classifiers.forest, drawn, real.held_out, MORE_SEEDS)
    return {"flows": int(of_label.sum()), "of_label": of_label.tolist(), **_f1(scores)}


def more_baselines(real: Real, of_label: Ints, settings: Settings, say: Say) -> dict[str, Any]:
    """The same of as many flows of the baselines, which never run out of them either."""
    return _of_baselines(real, settings, of_label, 1, MORE_SEEDS, lambda seed: [MORE_SEED, seed], say)


def _of_baselines(
    real: Real, settings: Settings, wanted: Ints, among: int, seeds: int, key: Callable[[int], list[int]], say: Say
) -> dict[str, Any]:
    """Random forests on as many flows of each baseline as are wanted of a label, picked out of `among` times as many.

    key: of a seed's random numbers
    """
    result = {}
    for name in settings.baselines:
        say(f"random forests on {wanted.sum():,} flows of {name}")

        def baseline(seed: int, name: str = name) -> Arrays:
            made = BASELINES[name](real.training, among * wanted, np.random.default_rng(key(seed)))
            return picked(made, wanted) if among > 1 else made

        result[name] = _f1(utility.scores(classifiers.forest, baseline, real.held_out, seeds))
    return result


def _f1(scores: dict[str, Any]) -> dict[str, float]:
    """Mean and spread alone."""
    return {name: scores[name] for name in ("macro_f1", "spread")}


def _many(real: Real) -> Ints:
    """MORE of each label."""
    return np.full(len(real.labels), MORE)


def added_to_few(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    """The paper's protocol: few real flows to learn from, and a generator that was trained on all of them.

    Its flows are picked, but for the most of them, which come as they are: out of more it would take too long.
    """

    def generated(wanted: Ints, draw: int) -> Arrays:
        seed = AUGMENTATION_SEED + draw
        if wanted.max() == max(augmentation.ADDED):
            return subject.draw(real.labels, wanted, seed)
        return draw_picked(subject, real.labels, wanted, seed)

    numbers = tuple(n for n in augmentation.REAL if n < counts(real.training).max())
    return augmentation.curves(real.training, real.held_out, generated, numbers, settings.draws, say)


def given_away(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    say("copies and nearest neighbours")
    wanted = counts(real.training)
    made = subject.draw(real.labels, wanted, PRIVACY_SEED)
    result: dict[str, Any] = copies(subject, real, made)
    result["distance_ratio"] = privacy.distance_ratio(real.training, real.held_out, made)
    result["baselines"] = {}
    # What leads back is held against plain copies.
    for name in dict.fromkeys(("copy", *settings.baselines)):
        flows = BASELINES[name](real.training, wanted, np.random.default_rng([PRIVACY_SEED, 0]))
        result["baselines"][name] = privacy.copies(real.training, real.held_out, flows)
    say("membership inference")
    inside, outside = (subject.nats(flows_of(side)) for side in (real.training, real.held_out))
    if inside is not None and outside is not None:
        result |= privacy.membership(inside, outside, privacy.mixed_as(real.held_out, real.training))
    return result


def copies(subject: Subject, real: Real, made: Arrays) -> dict[str, Any]:
    """Of flows as they come, `made`, and under `picked` of those that training sets are made of."""
    chosen = draw_picked(subject, real.labels, counts(real.training), PRIVACY_SEED)
    found: dict[str, Any] = privacy.copies(real.training, real.held_out, made)
    return found | {"picked": privacy.copies(real.training, real.held_out, chosen)}
