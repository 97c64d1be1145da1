"""What two forms of one model make of the same steps: logits (flows, steps, vocabulary), compared wherever a flow had a
choice between legal tokens.
"""

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec


def choices(codec: Codec, tokens: NDArray[np.int32]) -> list[tuple[int, int, int, NDArray[np.intp]]]:
    """(step, low, high, flows): where a choice between legal tokens was made, and by which flows."""
    found = []
    for position in range(1, codec.length - 1):
        low, high = codec.legal(position)
        flows = np.flatnonzero(tokens[:, position] >= 0)
        if high - low > 1 and len(flows):
            found.append((position - 1, low, high, flows))
    return found


def count_choices(codec: Codec, tokens: NDArray[np.int32]) -> int:
    """How many choices there were in all flows."""
    return sum(len(flows) for *_, flows in choices(codec, tokens))


def nats(codec: Codec, logits: NDArray[np.float32], tokens: NDArray[np.int32]) -> NDArray[np.float64]:
    """-log p of every token that was a choice, over the legal tokens of its position."""
    values = []
    for step, low, high, flows in choices(codec, tokens):
        p = _log_softmax(logits[flows, step, low:high].astype(np.float64))
        values.append(-p[np.arange(len(flows)), tokens[flows, step + 1] - low])
    return np.concatenate(values)


def largest(codec: Codec, a: NDArray[np.float32], b: NDArray[np.float32], tokens: NDArray[np.int32]) -> float:
    """The largest difference of two logits of a legal token."""
    return max(
        float(np.abs(a[flows, step, low:high] - b[flows, step, low:high]).max())
        for step, low, high, flows in choices(codec, tokens)
    )


def agreement_of(
    codec: Codec, a: NDArray[np.float32], b: NDArray[np.float32], tokens: NDArray[np.int32]
) -> tuple[float, float]:
    """Share of choices at which a and b prefer the same token; the median over choices of the largest difference."""
    same, medians = [], []
    for step, low, high, flows in choices(codec, tokens):
        left, right = a[flows, step, low:high], b[flows, step, low:high]
        same.append(left.argmax(1) == right.argmax(1))
        medians.append(np.abs(left - right).max(1))
    return float(np.concatenate(same).mean()), float(np.median(np.concatenate(medians)))


def divergence(codec: Codec, a: NDArray[np.float32], b: NDArray[np.float32], tokens: NDArray[np.int32]) -> float:
    """Mean Kullback-Leibler divergence of b's distribution over the legal tokens from a's, in nats."""
    values = []
    for step, low, high, flows in choices(codec, tokens):
        p, q = (_log_softmax(x[flows, step, low:high].astype(np.float64)) for x in (a, b))
        values.append((np.exp(p) * (p - q)).sum(1))
    return float(np.concatenate(values).mean())


def _log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = x - x.max(1, keepdims=True)
    result: NDArray[np.float64] = x - np.log(np.exp(x).sum(1, keepdims=True))
    return result
