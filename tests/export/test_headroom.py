"""Sums in 16 bits as the two instruction sets make them, with the levels that make them largest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from edgegen.export import headroom

Weight = NDArray[np.int8]
WEIGHTS = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, max_side=40),
    elements=st.integers(-127, 127) | st.integers(-40, 40),
)
SIXTEEN_BITS = np.iinfo(np.int16)


def added(weight: Weight, steps: int, inputs: int) -> list[NDArray[np.int64]]:
    """The weights (n, m) whose products are added in 16 bits: `inputs` side by side of each of `steps`."""
    wide = weight.astype(np.int64)
    turn = steps * headroom.INPUTS
    return [
        np.concatenate(
            [wide[:, first + step : first + step + inputs] for step in range(0, turn, headroom.INPUTS)], axis=1
        )
        for start in range(0, weight.shape[1], turn)
        for first in range(start, start + headroom.INPUTS, inputs)
    ]


def extremes(weight: Weight) -> tuple[int, int]:
    """The least and the largest sum that any levels lead to."""
    sums = []
    for w in added(weight, headroom.AVX2_STEPS, 2):
        sums += [(w * np.where(w > 0, *levels)).sum(1) for levels in ((255, 1), (1, 255))]
    for w in added(weight, headroom.NEON_STEPS, 1):
        sums += [sign * 127 * np.abs(w).sum(1) for sign in (-1, 1)]
    return int(np.min(sums)), int(np.max(sums))


@given(WEIGHTS)
def test_what_fits_never_leaves_16_bits(weight: Weight) -> None:
    least, largest = extremes(weight)
    if headroom.fits(weight):
        assert SIXTEEN_BITS.min <= least <= largest <= SIXTEEN_BITS.max


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.floats(-1, 1, width=32)))
def test_weights_fit_at_their_least_scales(weight: NDArray[np.float32]) -> None:
    scale = np.maximum(headroom.least_scales(weight), 1e-30)
    assert headroom.fits(np.rint(weight / scale[:, None]).clip(-127, 127).astype(np.int8))


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        ([32, 32, 0, 0, 32, 32], True),
        ([32, 32, 0, 0, 32, 33], False),
        ([-32, -32, 0, 0, -32, -33], False),
        ([64, -64, 0, 0, 64, -64], True),
        ([33, 0, 0, 0, 32, 0, 0, 0, 64], True),  # beyond two steps only NEON adds, and it has room for these
        ([0, 64, 0, 0, 0, -64, 0, 0, 0, 65, 0, 0, 0, -65], True),
        ([0, 64, 0, 0, 0, -64, 0, 0, 0, 65, 0, 0, 0, -66], False),
        ([127, 0, 127, 0], True),
        ([127, 2, 0, 0], False),
    ],
)
def test_the_most_that_has_room(row: list[int], fits: bool) -> None:
    assert headroom.fits(np.array([[0] * len(row), row], np.int8)) == fits


def test_nothing_needs_no_room() -> None:
    assert headroom.least_scales(np.zeros((2, 0), np.float32)).tolist() == [0, 0]
