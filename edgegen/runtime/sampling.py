"""How a token is drawn from logits, exactly: the same bits here and in export/device/sample.c.

Logits become integer weights through an exp of our own; a draw then is integer arithmetic (points.py), whose result
does not depend on the order of a sum. The float part is a fixed sequence of IEEE float32 operations, none fused.
"""

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.runtime.philox import HALF, NOISE, TOKENS, words
from edgegen.runtime.points import Cells, choose, first_cells, label_points

ONE = np.float32(1)
LOG2_E = np.float32(1.44269502)
# ln 2 in two parts: the first has so few bits that its product with an exponent is exact.
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194442e-4)
# Adding and taking away 1.5 * 2^23 rounds a small float to the nearest integer, ties to even.
ROUND = np.float32(12582912)
# 1/6!, 1/5!, ... 1/2!, 1, 1: within |r| <= ln(2) / 2 the seventh term is below one unit in the last place.
COEFFICIENTS = tuple(np.float32(c) for c in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0))
# A logit this far below the best weighs exp(-16) * 2^20 < 1, which is 0.
FLOOR = np.float32(-16)
WEIGHT_BITS = 20
# Of the sum of four bytes.
NOISE_MEAN, NOISE_SCALE = np.int32(510), np.float32((4 * (256**2 - 1) / 12) ** -0.5)
HOTTEST, COLDEST = 100.0, 0.01


def weights(logits: NDArray[np.float32], inverse_temperature: np.float32) -> NDArray[np.uint32]:
    """Integer weights (rows, legal) of logits (rows, legal): 2^20 for the best, truncated, 0 for NaN."""
    # Beyond the range of floats lies minus infinity, which is as good as FLOOR.
    with np.errstate(invalid="ignore", over="ignore"):
        x = (logits - np.fmax.reduce(logits, axis=1, keepdims=True)) * inverse_temperature
        x = np.where(x > FLOOR, x, FLOOR)
    exponent = (x * LOG2_E + ROUND) - ROUND
    r = (x - exponent * LN2_HIGH) - exponent * LN2_LOW
    y = np.full_like(r, COEFFICIENTS[0])
    for coefficient in COEFFICIENTS[1:]:
        y = y * r + coefficient
    # y * 2^(exponent + 20) by integer addition to the exponent field.
    scaled = y.view(np.int32) + ((exponent.astype(np.int32) + WEIGHT_BITS) << 23)
    return scaled.view(np.float32).astype(np.uint32)


def draw(
    logits: NDArray[np.float32], cells: Cells, fresh: NDArray[np.uint32], inverse_temperature: np.float32
) -> tuple[NDArray[np.int64], Cells]:
    """For each row the index drawn, and the cell from which the flow goes on: see points.choose.

    logits: (rows, legal); cells: (rows, 2); fresh: random words (rows,). Where no logit is a number, the first token.
    """
    cumulative = np.cumsum(weights(logits, inverse_temperature), axis=1, dtype=np.uint64)
    some = cumulative[:, -1] > 0
    chosen, left = np.zeros(len(logits), np.int64), cells.copy()
    chosen[some], left[some] = choose(cumulative[some], cells[some], fresh[some])
    return chosen, left


def best(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each row the index of its greatest logit, the lowest on ties, 0 where none is a number."""
    return (logits == np.fmax.reduce(logits, axis=1, keepdims=True)).argmax(axis=1)


def inverse(temperature: float) -> np.float32:
    """1 / temperature in float32; 0 for temperature 0, which means the best token always.

    Raises UsageError outside 0 and 0.01..100.
    """
    if temperature == 0:
        return np.float32(0)
    if not COLDEST <= temperature <= HOTTEST:
        raise UsageError(f"temperature {temperature} is neither 0 nor in {COLDEST}..{HOTTEST:.0f}")
    return ONE / np.float32(temperature)


def label_thresholds(codec: Codec) -> list[int]:
    """(labels,), rising: the label of a point is the first whose threshold is above its upper half, else the last."""
    shares = [label.share for label in codec.labels]
    return [min(int(share / sum(shares) * 2**32), 2**32 - 1) for share in accumulate(shares)]


def draw_labels(codec: Codec, seed: int, first: int, count: int) -> NDArray[np.int32]:
    """The labels (count,) of flows first .. first + count - 1, by their share of the training flows."""
    at = label_points(seed, np.arange(count, dtype=np.uint64) + np.uint64(first))
    rising = np.array(label_thresholds(codec)[:-1], np.uint64)
    return np.searchsorted(rising, at >> HALF, side="right").astype(np.int32)


def draw_modes(
    codec: Codec, seed: int, flows: NDArray[np.uint64], labels: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Cells]:
    """Of flows (n,) with label tokens (n,) the token ids (n,) of their modes, and the cells (n, 2) they go on from.

    Modes are drawn by their share of the label's training flows. A label without modes stays what it is.
    """
    drawn, cells = labels.copy(), first_cells(seed, flows)
    fresh = words(seed, flows, 0, TOKENS)[:, 0]
    for label in np.unique(labels).tolist():
        rows, index = labels == label, label - codec.label_base
        if modes := codec.labels[index].modes:
            cumulative = np.tile(np.cumsum(modes, dtype=np.uint64), (int(rows.sum()), 1))
            chosen, cells[rows] = choose(cumulative, cells[rows], fresh[rows])
            drawn[rows] = codec.mode_starts[index] + chosen
    return drawn, cells


def noise(seed: int, flows: NDArray[np.uint64], size: int) -> NDArray[np.float32]:
    """What the flows (n,) are refined from, (n, size): sums of a word's four bytes, with mean 0 and variance 1."""
    blocks = -(-size // 4)
    at = np.tile(np.arange(blocks, dtype=np.uint64), len(flows))
    drawn = words(seed, np.repeat(flows, blocks), at, NOISE).reshape(len(flows), -1)[:, :size]
    total = drawn.view(np.uint8).reshape(*drawn.shape, 4).sum(2, dtype=np.int32) - NOISE_MEAN
    return total.astype(np.float32) * NOISE_SCALE
