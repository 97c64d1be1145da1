"""Whether a generator's flows look like real ones: figures beside their floor and baselines, and what is drawn."""

from typing import Any

import numpy as np

from edgegen.evaluate.arrays import Arrays, sets, some
from edgegen.evaluate.axes import FIDELITY_SEED, Say, Settings
from edgegen.evaluate.baselines import BASELINES
from edgegen.evaluate.distributions import QUANTITIES, histogram, transitions
from edgegen.evaluate.fidelity import TIMED, by_label, by_position, fidelity
from edgegen.evaluate.pick import AMONG
from edgegen.evaluate.real import Real, counts
from edgegen.evaluate.subject import Subject

BASELINE_DRAWS = 2


def likeness(subject: Subject, real: Real, settings: Settings, say: Say) -> dict[str, Any]:
    """Means over draws: the generator, the floor and each baseline against the same halves of the held-out flows.

    Consecutive flows of a generator of ours are spread more evenly than real ones. A classifier that learns from some
    of them expects others elsewhere, and so is worse than chance; those picked at random out of more are not. All of
    these are used, a set at a time: by chance alone the AUC of one set of 2,400 flows is 0.01 higher or lower.
    """
    halves = [real.halves(draw) for draw in range(settings.draws)]
    found, floor = [], []
    few_generated: set[str] = set()
    for draw, (half, other) in enumerate(halves):
        say(f"fidelity, draw {draw + 1} of {settings.draws}")
        among = subject.draw(real.labels, AMONG * counts(other), FIDELITY_SEED + draw)
        for made in sets(among, counts(other), draw):
            fewer = counts(made) < counts(other)
            few_generated.update(np.array(real.labels)[fewer].tolist())
            # Labels in the same shares: of a table that has few flows of one, that alone would tell the two apart.
            against = some(half, counts(made), draw) if fewer.any() else half
            found.append(_figures(against, made, draw))
        # Divergences grow as flows become fewer, so of as few is the floor.
        floor.append(_figures(against, some(other, counts(made), draw) if fewer.any() else other, draw))
    result = _means(found, floor)
    result["few_generated"] = sorted(few_generated)
    result["baselines"] = {}
    for name in settings.baselines:
        say(f"fidelity of {name}")
        rows = []
        for draw, (half, other) in enumerate(halves[:BASELINE_DRAWS]):
            flows = BASELINES[name](real.training, counts(other), np.random.default_rng([FIDELITY_SEED, draw]))
            rows.append(_figures(half, flows, draw))
        result["baselines"][name] = _means(rows)
    return result


def shapes(subject: Subject, real: Real) -> dict[str, Any]:
    """What the report draws: histograms and transitions of both sides."""
    made = subject.draw(real.labels, counts(real.held_out), FIDELITY_SEED)
    longer = float((made.count > real.longest).mean()) if len(made) else 0.0
    shapes: dict[str, Any] = {"transitions": {}, "histograms": {}, "longer": longer}
    for side, flows in (("real", real.held_out), ("synthetic", made)):
        shapes["transitions"][side] = transitions(flows).round(6).tolist()
        for name, (sample_of, edges) in QUANTITIES.items():
            if name in TIMED and not real.held_out.times:
                continue
            if len(sample := sample_of(flows)):
                shapes["histograms"].setdefault(name, {})[side] = histogram(sample, edges).round(6).tolist()
    return shapes


def _figures(real: Arrays, other: Arrays, seed: int) -> dict[str, Any]:
    """Of all flows, of each label and of each position."""
    parts = {"per_label": by_label(real, other), "per_position": by_position(real, other)}
    return fidelity(real, other, seed) | parts


def _means(rows: list[dict[str, Any]], floor: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Means of each figure over the rows that have it; None where none has. Of the rows of the floor as `X_floor`."""
    made: dict[str, Any] = {}
    for name, value in rows[0].items():
        if isinstance(value, dict):
            made[name] = _means([row[name] for row in rows], floor and [row[name] for row in floor])
            continue
        made[name] = _mean(rows, name)
        if floor is not None:
            made[f"{name}_floor"] = _mean(floor, name)
    return made


def _mean(rows: list[dict[str, Any]], name: str) -> float | None:
    known = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(known)) if known else None
