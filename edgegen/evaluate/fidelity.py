"""How alike two sets of flows are: single quantities, sequences, and all of it at once."""

from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from edgegen.evaluate.arrays import MICROSECOND, Arrays, Floats
from edgegen.evaluate.distributions import (
    FEWEST,
    IAT_EDGES,
    PL_BIN,
    PL_EDGES,
    QUANTITIES,
    autocorrelation,
    histogram,
    jensen_shannon,
    transitions,
)

LAGS = (1, 2, 3)
NEIGHBOURS = 5
FOLDS = 5
MOST = 4_000  # flows of a side that the classifier and the neighbours look at
# Of a squared distance, as a share of the squares that it is a difference of: equal flows are this far apart at most.
ROUNDING = 1e-10
TIMED = ("iat", "burst_seconds")


def fidelity(real: Arrays, other: Arrays, seed: int = 0) -> dict[str, Any]:
    """Every figure of `other` against `real`; 0 is alike, but for AUC (0.5), density and coverage (1).

    A figure that has too few flows to stand on is None. The same between two parts of the real flows is the floor:
    no generator can be expected to do better.

    X_jsd:           Jensen-Shannon divergence in bits
    X_wasserstein:   how far a unit of X has to be moved on the mean, in bytes or packets; times in decades
    pl_position_jsd: the mean of pl_jsd at each position of a flow
    transition_jsd:  of the joint distribution of a packet and the next
    autocorrelation: the largest difference of the correlations of signed lengths 1 to 3 packets apart
    """
    found: dict[str, Any] = _single(real, other)
    found["pl_position_jsd"] = _mean([_position_jsd(real, other, i) for i in range(real.pl.shape[1])])
    enough = min(len(real), len(other)) >= FEWEST
    found["transition_jsd"] = jensen_shannon(transitions(real).ravel(), transitions(other).ravel()) if enough else None
    found["autocorrelation"] = _autocorrelation(real, other)
    found["two_sample_auc"] = two_sample_auc(real, other, seed)
    found["density"], found["coverage"] = density_and_coverage(real, other, seed)
    return found


def by_label(real: Arrays, other: Arrays) -> dict[str, dict[str, float | None]]:
    """X_jsd and X_wasserstein of each label's flows."""
    return {label: _single(real[real.label == i], other[other.label == i]) for i, label in enumerate(real.labels)}


def by_position(real: Arrays, other: Arrays) -> dict[str, dict[str, float | None]]:
    """Of the packets at each position, 1 for the first: pl_jsd, of signed lengths, and iat_jsd."""
    made: dict[str, dict[str, float | None]] = {}
    for i in range(real.pl.shape[1]):
        found = made[str(i + 1)] = {"pl_jsd": _position_jsd(real, other, i)}
        # A flow's first packet comes after none.
        if real.times and i:
            one, two = (side.iat[side.count > i, i] for side in (real, other))
            found["iat_jsd"] = _jsd(one, two, IAT_EDGES)
    return made


def two_sample_auc(real: Arrays, other: Arrays, seed: int) -> float | None:
    """How well gradient boosting tells `other` from `real`, from flows it was not fitted to: 0.5 not at all, 1 always.

    It sees the label too, so flows that are right for another label are found out. (Lopez-Paz and Oquab 2017)
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    sides = [_some(side, seed) for side in (real, other)]
    n = min(map(len, sides))
    if n < FEWEST * FOLDS:
        return None
    sides = [side[:n] for side in sides]
    x = np.concatenate([np.column_stack([side.features(), side.label]) for side in sides])
    y = np.repeat([0, 1], n)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
    # So few flows are slowed down by a second thread.
    with threadpool_limits(1):
        score = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(y, score))


def density_and_coverage(real: Arrays, other: Arrays, seed: int) -> tuple[float | None, float | None]:
    """Density: how many balls around real flows hold a flow of `other`, over what is expected; coverage: share of
    real flows whose ball holds one. A ball reaches to the fifth nearest real flow. (Naeem et al. 2020)
    """
    from sklearn.neighbors import NearestNeighbors

    one, two = _some(real, seed), _some(other, seed)
    if min(len(one), len(two)) < FEWEST:
        return None, None
    a, b = scaled(one, one), scaled(two, one)
    near = NearestNeighbors().fit(a)
    # Of a real flow the nearest is itself.
    radius = near.kneighbors(a, NEIGHBOURS + 1)[0][:, -1] ** 2
    one_squared, two_squared = (a**2).sum(1)[:, None], (b**2).sum(1)
    tolerance = ROUNDING * max(one_squared.max(), two_squared.max())
    inside = np.zeros(len(a), bool)
    held = 0
    for start in range(0, len(b), 512):
        part = slice(start, start + 512)
        within = one_squared - 2 * a @ b[part].T + two_squared[part] <= radius[:, None] + tolerance
        held += int(within.sum())
        inside |= within.any(1)
    return held / (NEIGHBOURS * len(b)), float(inside.mean())


def _single(real: Arrays, other: Arrays) -> dict[str, float | None]:
    """X_jsd and X_wasserstein of every single quantity."""
    found: dict[str, float | None] = {}
    for name, (sample_of, edges) in QUANTITIES.items():
        if name in TIMED and not real.times:
            continue
        one, two = sample_of(real), sample_of(other)
        found[f"{name}_jsd"] = _jsd(one, two, edges)
        found[f"{name}_wasserstein"] = _wasserstein(name, one, two) if min(len(one), len(two)) >= FEWEST else None
    return found


def _jsd(one: Floats, two: Floats, edges: Floats) -> float | None:
    if min(len(one), len(two)) < FEWEST:
        return None
    return jensen_shannon(histogram(one, edges), histogram(two, edges))


def _autocorrelation(real: Arrays, other: Arrays) -> float | None:
    """Of the lags that both have enough packets for."""
    both = [(autocorrelation(real, lag), autocorrelation(other, lag)) for lag in LAGS if lag < real.pl.shape[1]]
    return max((abs(a - b) for a, b in both if a is not None and b is not None), default=None)


def scaled(flows: Arrays, like: Arrays) -> Floats:
    """Features of `flows` in units of the spread they have in `like`."""
    spread = like.features().std(0)
    made: Floats = flows.features() / np.where(spread > 0, spread, 1.0)
    return made


def _some(flows: Arrays, seed: int) -> Arrays:
    return flows[np.random.default_rng(seed).permutation(len(flows))[:MOST]]


def _wasserstein(name: str, one: Floats, two: Floats) -> float:
    if name in TIMED:
        one, two = (np.log10(np.maximum(sample, MICROSECOND)) for sample in (one, two))
    return float(wasserstein_distance(one, two))


def _position_jsd(real: Arrays, other: Arrays, position: int) -> float | None:
    """Of signed lengths of the packets at one position."""
    shares = []
    for side in (real, other):
        there = side.count > position
        if there.sum() < FEWEST:
            return None
        # Lengths beyond the last edge share the last bin.
        bins = np.minimum(side.pl[there, position] // PL_BIN, len(PL_EDGES) - 2)
        signed = side.dir[there, position] * len(PL_EDGES) + bins
        shares.append(np.bincount(signed, minlength=2 * len(PL_EDGES)) / len(signed))
    return jensen_shannon(*shares)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
