"""What a generator must be shown beside: simpler ways to make flows out of the training flows."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from edgegen.evaluate.arrays import MICROSECOND, Arrays, Floats, Ints, concatenate
from edgegen.evaluate.transforms import TRANSFORMS, Random

# (training flows, how many of each label, random numbers) -> as many flows of each
Baseline = Callable[[Arrays, Ints, Random], Arrays]

NEIGHBOURS = 5


def copy(training: Arrays, wanted: Ints, random: Random) -> Arrays:
    """Training flows drawn again: as faithful as can be, and nothing is new."""
    return training[copied(training, wanted, random)]


def copied(training: Arrays, wanted: Ints, random: Random) -> Ints:
    """Rows of the flows that `copy` draws."""
    rows = [random.choice(np.flatnonzero(training.label == label), n) for label, n in enumerate(wanted) if n]
    return np.concatenate([np.empty(0, np.int64), *rows])


def markov(training: Arrays, wanted: Ints, random: Random) -> Arrays:
    """A first-order chain of (direction, length) for each label; a time is one that was seen before such a packet."""
    made = []
    for label, n in enumerate(wanted):
        those = training[training.label == label]
        following: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for row, count in enumerate(those.count.tolist()):
            states = (2 * those.pl[row, :count] + those.dir[row, :count]).tolist()
            steps = zip([-1, *states], [*states, -1], [*those.iat[row, :count].tolist(), 0.0], strict=True)
            for before, after, iat in steps:
                following[before].append((after, iat))
        part = _empty(training, int(n), label)
        for row in range(int(n)):
            state = -1
            for position in range(part.pl.shape[1]):
                state, iat = following[state][random.integers(len(following[state]))]
                if state < 0:
                    break
                part.pl[row, position], part.dir[row, position] = divmod(state, 2)
                part.iat[row, position] = iat
                part.count[row] += 1
        made.append(part)
    return concatenate(made)


def smote(training: Arrays, wanted: Ints, random: Random) -> Arrays:
    """Points between a training flow and one of its five nearest of the same label. (Chawla et al. 2002)"""
    from imblearn.over_sampling import SMOTE
    from threadpoolctl import threadpool_limits

    width = training.pl.shape[1]
    x = np.column_stack([training.features(), training.count])
    made = []
    for label, n in enumerate(wanted):
        rows = np.flatnonzero(training.label == label)
        if len(rows) <= NEIGHBOURS or not n:
            made.append(copy(training, np.where(np.arange(len(wanted)) == label, n, 0), random))
            continue
        # SMOTE balances classes: the label's flows against a class that has as many as are to be made.
        points = np.concatenate([x[rows], np.zeros((len(rows) + n, x.shape[1]))])
        classes = np.repeat([0, 1], (len(rows), len(rows) + n))
        sampler = SMOTE(k_neighbors=NEIGHBOURS, random_state=int(random.integers(2**31)))
        # With more threads distances are summed in another order, and of neighbours as far away others are found.
        with threadpool_limits(1):
            new: Floats = sampler.fit_resample(points, classes)[0][len(points) :]
        made.append(_from_features(training, new, label, width))
    return concatenate(made)


def ctgan(training: Arrays, wanted: Ints, random: Random) -> Arrays:
    """CTGAN, trained on the training flows as rows of a table; needs the extra `ctgan`."""
    from edgegen.evaluate.ctgan import rows

    width = training.pl.shape[1]
    made = rows(training, wanted, int(random.integers(2**31)))
    return concatenate([_from_features(training, part, label, width) for label, part in enumerate(made)])


def _from_features(training: Arrays, x: Floats, label: int, width: int) -> Arrays:
    part = _empty(training, len(x), label)
    part.count[:] = np.clip(np.rint(x[:, -1]), 1, width)
    there = part.present
    part.pl[:] = np.where(there, np.clip(np.rint(x[:, :width]), 0, None), 0)
    part.dir[:] = np.where(there, x[:, width : 2 * width] > 0, 0)
    if training.times:
        seconds = 10 ** x[:, 2 * width : 3 * width]
        part.iat[:] = np.where(there & (seconds > MICROSECOND), seconds, 0.0)
        part.iat[:, 0] = 0.0
    return part


def _transformed(name: str) -> Baseline:
    def baseline(training: Arrays, wanted: Ints, random: Random) -> Arrays:
        return TRANSFORMS[name](copy(training, wanted, random), training, random)

    return baseline


BASELINES: dict[str, Baseline] = {
    "copy": copy,
    "markov": markov,
    "smote": smote,
    "ctgan": ctgan,
    **{name: _transformed(name) for name in TRANSFORMS},
}
# Those that nobody has to ask for: CTGAN trains for minutes, and is heavy to install.
USUAL = tuple(name for name in BASELINES if name != "ctgan")


def _empty(like: Arrays, n: int, label: int) -> Arrays:
    """`n` flows without packets."""
    shape = (n, like.pl.shape[1])
    zeros = np.zeros(shape, np.int64)
    labels = np.full(n, label, np.int64)
    return Arrays(zeros, zeros.copy(), np.zeros(shape), np.zeros(n, np.int64), labels, like.labels, like.times)
