import ctypes

import mock_host
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegen.runtime.points import choose, points
from edgegen.runtime.request import Request

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
WEIGHTS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200).filter(any)


def unevenness(at: np.ndarray) -> float:
    """How many points of (n,) too many or too few there are at most in any part [0, x)."""
    there, n = np.sort(at / 2**64), len(at)
    return float(np.maximum(np.arange(1, n + 1) - there * n, there * n - np.arange(n)).max())


@given(WEIGHTS, U64, U32)
def test_a_choice_is_long_division(weights: list[int], at: int, fresh: int) -> None:
    cumulative = np.cumsum([weights], axis=1, dtype=np.uint64)
    chosen, left = choose(cumulative, np.array([at], np.uint64), np.array([fresh], np.uint32))
    whole = at * sum(weights) + (fresh * sum(weights) >> 32)
    before = sum(weights[: chosen[0]]) << 64
    assert 0 <= whole - before < weights[chosen[0]] << 64
    assert left[0] == (whole - before) // weights[chosen[0]]


@given(U64, U64)
def test_c_has_the_same_points(seed: int, flow: int) -> None:
    class Pair(ctypes.Structure):
        _fields_ = [("label", ctypes.c_uint64), ("flow", ctypes.c_uint64)]

    function = mock_host.load("small").edgegen_points
    function.restype, function.argtypes = Pair, [ctypes.c_uint64, ctypes.c_uint64]
    found = function(seed, flow)
    assert [found.label, found.flow] == [at[0] for at in points(seed, np.array([flow], np.uint64))]


@pytest.mark.parametrize("turns", [1, 2, 7, 40])
def test_points_are_even_also_where_labels_take_turns(turns: int) -> None:
    for at in points(3, np.arange(0, 300 * turns, turns, dtype=np.uint64)):
        assert unevenness(at) < 9
    independent = np.random.default_rng(0).integers(0, 2**64, 300, np.uint64)
    assert unevenness(independent) > 9


@pytest.mark.parametrize("share", [0.5, 0.1, 0.025])
def test_the_flows_of_a_drawn_label_are_even(share: float) -> None:
    label, flow = points(8, np.arange(int(400 / share), dtype=np.uint64))
    those = (label / 2**64 > 0.3) & (label / 2**64 < 0.3 + share)
    assert abs(int(those.sum()) - 400) < 6
    assert unevenness(flow[those]) < 8


def test_a_point_is_spent_exactly_and_filled_up() -> None:
    """After many choices, no bit of the first point is left, and what there is instead is random."""
    rng = np.random.default_rng(0)
    at = np.full(20_000, 12345, np.uint64)
    for _ in range(40):
        fresh = rng.integers(0, 2**32, len(at), np.uint32)
        _, at = choose(np.tile(np.array([1, 3, 7, 8], np.uint64), (len(at), 1)), at, fresh)
    assert len(np.unique(at)) == len(at)
    assert np.abs(np.histogram(at / 2**64, 10, (0, 1))[0] / len(at) - 0.1).max() < 0.01


def test_flows_begin_as_often_as_they_are_likely_to() -> None:
    """Every beginning of two packets comes as often as its probability says, but for a few flows."""
    made = mock_host.sequences(mock_host.PAPER, 8, Request(4_000, 5, labels=(0,))).tokens
    drawn, counts = np.unique(made[:, 1], return_counts=True)
    other = mock_host.sequences(mock_host.PAPER, 8, Request(4_000, 6, labels=(0,))).tokens
    again = {token: int((other[:, 1] == token).sum()) for token in drawn}
    assert np.abs(counts - [again[token] for token in drawn]).max() <= 6
