"""Classifiers that are fitted to flows and say what label others have.

Each is a function of training flows, the flows to tell, a seed and weights of the training flows, and returns
(flows, labels) probabilities.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from edgegen.evaluate.arrays import LONGEST_PL, Arrays, Floats

TREES = 100

Classifier = Callable[[Arrays, Arrays, int, Floats | None], Floats]


def forest(training: Arrays, test: Arrays, seed: int, weights: Floats | None = None) -> Floats:
    """A random forest on lengths, directions and times of the packets, as in the paper."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(TREES, random_state=seed, n_jobs=-1)
    model.fit(training.features(), training.label, weights)
    return _all_labels(model, model.predict_proba(test.features()), test)


def tokens(training: Arrays, test: Arrays, seed: int, weights: Floats | None = None) -> Floats:
    """Logistic regression on how often each exact (direction, length) occurs in a flow, wherever it does."""
    from sklearn.linear_model import LogisticRegression

    if len(there := np.unique(training.label)) == 1:
        # Nothing to tell apart, which it refuses to be fitted to.
        return np.tile((np.arange(len(test.labels)) == there).astype(np.float64), (len(test), 1))
    model = LogisticRegression(max_iter=500)
    model.fit(_bag(training), training.label, weights)
    return _all_labels(model, model.predict_proba(_bag(test)), test)


def convolution(training: Arrays, test: Arrays, seed: int, weights: Floats | None = None) -> Floats:
    """A small convolutional network over the packets of a flow: two layers, the largest of four parts, a linear one."""
    import torch
    from torch import nn

    from edgegen.evaluate.threads import one_thread

    torch.manual_seed(seed)
    x, y = _images(training), torch.from_numpy(training.label)
    drawn_by = torch.ones(len(x)) if weights is None else torch.from_numpy(weights)
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
            rows = torch.multinomial(drawn_by, batch, replacement=True)
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            made: Floats = torch.cat([model(part).softmax(1) for part in _images(test).split(1024)]).double().numpy()
    return made


def _all_labels(model: Any, probabilities: Floats, test: Arrays) -> Floats:
    """A column for each label, also for those that the classifier was never shown."""
    made = np.zeros((len(test), len(test.labels)))
    made[:, model.classes_] = probabilities
    return made


def _bag(flows: Arrays) -> Any:
    """(n, tokens) sparse counts of each (direction, length)."""
    from scipy.sparse import csr_matrix

    row, _ = np.nonzero(flows.present)
    token = (np.minimum(flows.pl, LONGEST_PL) + (LONGEST_PL + 1) * flows.dir)[flows.present]
    return csr_matrix((np.ones(len(row)), (row, token)), shape=(len(flows), 2 * (LONGEST_PL + 1)))


def _images(flows: Arrays) -> Any:
    """(n, 3 or 4, p): present, direction and length in units of about 1, and time in decades."""
    import torch

    packets = flows.pl.shape[1]
    columns = flows.features().reshape(len(flows), -1, packets)
    channels = [flows.present, columns[:, 1] * np.minimum(columns[:, 0] + 1, 1500) / 500, columns[:, 1]]
    if flows.times:
        channels.append((columns[:, 2] + 4) * flows.present / 2)
    return torch.from_numpy(np.stack(channels, axis=1).astype(np.float32))
