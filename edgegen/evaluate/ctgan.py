"""CTGAN, the field's generator of tables, on flows as rows. (Xu et al. 2019)"""

from typing import Any

import numpy as np

from edgegen.evaluate.arrays import Arrays, Floats, Ints

EPOCHS = 300  # the package's own default
MOST = 2_000_000  # rows that are drawn in vain before a label is given up

# Fitting takes minutes, and an evaluation draws many times from one training set: the last fit is kept.
_fitted: list[tuple[Arrays, Any]] = []


def rows(training: Arrays, wanted: Ints, seed: int) -> list[Floats]:
    """For each label `wanted` rows of features and packet count; fewer where CTGAN hardly ever makes the label."""
    model = _fit(training)
    model.set_random_state(seed)
    made = []
    for label, n in enumerate(wanted.tolist()):
        found: list[Floats] = []
        drawn = 0
        while sum(map(len, found)) < n and drawn < MOST:
            table = model.sample(max(500, 2 * n), "label", str(label))
            drawn += len(table)
            found.append(table[table["label"] == str(label)].drop(columns="label").to_numpy(np.float64))
        made.append(np.concatenate(found)[:n] if found else np.empty((0, _features(training).shape[1])))
    return made


def _features(flows: Arrays) -> Floats:
    return np.column_stack([flows.features(), flows.count])


def _fit(training: Arrays) -> Any:
    if _fitted and _fitted[0][0] is training:
        return _fitted[0][1]
    import pandas
    from ctgan import CTGAN

    x = _features(training)
    table = pandas.DataFrame(x, columns=[str(i) for i in range(x.shape[1])])
    width = training.pl.shape[1]
    directions = [str(i) for i in range(width, 2 * width)]
    table = table.astype(dict.fromkeys(directions, int))
    table["label"] = training.label.astype(str)
    model = CTGAN(epochs=EPOCHS, enable_gpu=False)
    model.set_random_state(0)
    model.fit(table, [*directions, "label"])
    _fitted[:] = [(training, model)]
    return model
