"""Whether classifiers that learned from generated flows work on real ones."""

from collections.abc import Callable
from typing import Any

import numpy as np

from edgegen.evaluate.arrays import Arrays, Ints

SEEDS = 5
TREES = 100
# A classifier is fitted to flows and a seed, and predicts the labels of others.
Classifier = Callable[[Arrays, Arrays, int], Ints]


def forest(training: Arrays, test: Arrays, seed: int) -> Ints:
    """A random forest on lengths, directions and times of the packets, as in the paper."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(TREES, random_state=seed, n_jobs=-1)
    model.fit(training.features(), training.label)
    predicted: Ints = model.predict(test.features())
    return predicted


def convolution(training: Arrays, test: Arrays, seed: int) -> Ints:
    """A small convolutional network over the packets of a flow: two layers, a mean over time, a linear one."""
    import torch
    from torch import nn

    from edgegen.evaluate.latency import one_thread

    torch.manual_seed(seed)
    x, y = _images(training), torch.from_numpy(training.label)
    model = nn.Sequential(
        nn.Conv1d(x.shape[1], 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv1d(64, 128, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool1d(4),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(512, len(training.labels)),
    )
    batch, steps = 128, max(300, 12 * len(x) // 128)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    with one_thread():
        for _ in range(steps):
            rows = torch.randint(len(x), (batch,))
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            predicted: Ints = torch.cat([model(part).argmax(1) for part in _images(test).split(1024)]).numpy()
    return predicted


def _images(flows: Arrays) -> Any:
    """(n, 3 or 4, p): present, direction and length in units of about 1, and time in decades."""
    import torch

    packets = flows.pl.shape[1]
    columns = flows.features().reshape(len(flows), -1, packets)
    channels = [flows.present, columns[:, 1] * np.minimum(columns[:, 0] + 1, 1500) / 500, columns[:, 1]]
    if flows.times:
        channels.append((columns[:, 2] + 4) * flows.present / 2)
    return torch.from_numpy(np.stack(channels, axis=1).astype(np.float32))


def scores(
    classifier: Classifier, training: Callable[[int], Arrays], test: Arrays, seeds: int = SEEDS
) -> dict[str, Any]:
    """Macro-F1 on `test`, fitted to `training(seed)` for each seed: mean and spread, and the same for every label.

    confusion: (labels, labels) shares of each true label's flows, the mean of all seeds
    """
    from sklearn.metrics import confusion_matrix, f1_score

    labels = np.arange(len(test.labels))
    f1, each, confusion = [], [], []
    for seed in range(seeds):
        predicted = classifier(training(seed), test, seed)
        f1.append(f1_score(test.label, predicted, labels=np.unique(test.label), average="macro", zero_division=0))
        each.append(f1_score(test.label, predicted, labels=labels, average=None, zero_division=0))
        confusion.append(confusion_matrix(test.label, predicted, labels=labels, normalize="true"))
    return {
        "macro_f1": float(np.mean(f1)),
        "spread": float(np.std(f1)),
        "seeds": [float(value) for value in f1],
        "per_label": dict(zip(test.labels, np.mean(each, axis=0).tolist(), strict=True)),
        "confusion": np.mean(confusion, axis=0).round(4).tolist(),
    }
