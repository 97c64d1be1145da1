"""Whether classifiers that learned from generated flows work on real ones."""

from collections.abc import Callable
from typing import Any

import numpy as np

from edgegen.evaluate.arrays import Arrays, Floats
from edgegen.evaluate.classifiers import Classifier
from edgegen.evaluate.real import counts

SEEDS = 5


def scores(
    classifier: Classifier, training: Callable[[int], Arrays], test: Arrays, seeds: int = SEEDS
) -> dict[str, Any]:
    """Macro-F1 on `test`, fitted to `training(seed)` for each seed: mean and spread, and the mean of every label.

    per_label: None of a label that `test` has no flows of
    confusion: (labels, labels) shares of each true label's flows, the mean of all seeds
    """
    from sklearn.metrics import f1_score

    labels = np.arange(len(test.labels))
    f1, each, confusion = [], [], []
    for seed in range(seeds):
        probabilities = classifier(training(seed), test, seed, None)
        predicted = probabilities.argmax(1)
        f1.append(macro_f1(probabilities, test))
        each.append(f1_score(test.label, predicted, labels=labels, average=None, zero_division=0))
        counted = np.zeros((len(labels), len(labels)))
        np.add.at(counted, (test.label, predicted), 1)
        confusion.append(counted / np.maximum(counted.sum(1, keepdims=True), 1))
    return {
        "macro_f1": float(np.mean(f1)),
        "spread": float(np.std(f1)),
        "seeds": f1,
        "per_label": {
            label: float(value) if n else None
            for label, value, n in zip(test.labels, np.mean(each, axis=0), counts(test), strict=True)
        },
        "confusion": np.mean(confusion, axis=0).round(4).tolist(),
    }


def macro_f1(probabilities: Floats, test: Arrays) -> float:
    """Of the likeliest labels, the mean over the labels that `test` has flows of."""
    from sklearn.metrics import f1_score

    predicted = probabilities.argmax(1)
    there = np.unique(test.label)
    return float(f1_score(test.label, predicted, labels=there, average="macro", zero_division=0))
