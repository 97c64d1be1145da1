import ctypes

import mock_host
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgegen.runtime.points import CELL_BITS, choose, first_cells, label_points
from edgegen.runtime.request import Request

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
WEIGHTS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200).filter(any)
CELL = st.integers(1, 2**CELL_BITS).flatmap(lambda of: st.tuples(st.integers(0, of - 1), st.just(of)))


def numbers(count: int, step: int = 1) -> NDArray[np.uint64]:
    return np.arange(0, count * step, step, dtype=np.uint64)


def unevenness(at: NDArray[np.float64]) -> float:
    """How many points of (n,) too many or too few there are at most in any part [0, x)."""
    there, n = np.sort(at), len(at)
    return float(np.maximum(np.arange(1, n + 1) - there * n, there * n - np.arange(n)).max())


@given(WEIGHTS, CELL, U32)
def test_a_choice_is_where_the_point_lies(weights: list[int], cell: tuple[int, int], fresh: int) -> None:
    cumulative = np.cumsum([weights], axis=1, dtype=np.uint64)
    (chosen,), (left,) = choose(cumulative, np.array([cell], np.uint64), np.array([fresh], np.uint32))
    at, of = cell
    point = at * sum(weights) + (fresh * sum(weights) >> 32)
    inside, width = point - sum(weights[:chosen]) * of, weights[chosen] * of
    assert 0 <= inside < width
    assert left[1] == max(1, width // sum(weights))
    assert left[0] == inside * int(left[1]) // width


@given(U64, U64)
def test_c_has_the_same_points_and_cells(seed: int, flow: int) -> None:
    class Cell(ctypes.Structure):
        _fields_ = [("at", ctypes.c_uint32), ("of", ctypes.c_uint32)]

    library = mock_host.load("small")
    for function, result in ((library.edgegen_label_point, ctypes.c_uint64), (library.edgegen_first_cell, Cell)):
        function.restype, function.argtypes = result, [ctypes.c_uint64, ctypes.c_uint64]
    number = np.array([flow], np.uint64)
    assert library.edgegen_label_point(seed, flow) == label_points(seed, number)[0]
    found = library.edgegen_first_cell(seed, flow)
    assert [found.at, found.of] == first_cells(seed, number)[0].tolist()


@pytest.mark.parametrize("turns", [1, 2, 7, 40])
def test_cells_are_even_also_where_labels_take_turns(turns: int) -> None:
    assert unevenness(first_cells(3, numbers(300, turns))[:, 0] / 2**CELL_BITS) < 9
    independent = np.random.default_rng(0).random(300)
    assert unevenness(independent) > 9


@pytest.mark.parametrize("share", [0.5, 0.1, 0.025])
def test_the_flows_of_a_drawn_label_are_even(share: float) -> None:
    label, cells = label_points(8, numbers(int(400 / share))), first_cells(8, numbers(int(400 / share)))
    those = (label / 2**64 > 0.3) & (label / 2**64 < 0.3 + share)
    assert abs(int(those.sum()) - 400) < 8
    assert unevenness(cells[those, 0] / 2**CELL_BITS) < 9


def test_choices_have_their_probabilities_to_the_last_cell() -> None:
    """First those that the cells decide, then those where none is left."""
    rng = np.random.default_rng(0)
    weights = np.array([1, 3, 7, 9])
    cumulative = np.tile(np.cumsum(weights).astype(np.uint64), (20_000, 1))
    cells = first_cells(4, numbers(20_000))
    for choice in range(20):
        chosen, cells = choose(cumulative, cells, rng.integers(0, 2**32, 20_000, np.uint32))
        off = np.bincount(chosen) - 20_000 * weights / weights.sum()
        # A standard deviation is up to 71 where they are drawn independently.
        assert np.abs(off).max() < (10 if choice == 0 else 300)
    assert (cells == [0, 1]).all()


def test_engines_that_differ_in_the_last_bits_part_seldom() -> None:
    rng = np.random.default_rng(0)
    one = two = first_cells(4, numbers(20_000))
    for _ in range(20):
        weights = rng.integers(1, 2**20, (20_000, 8)).astype(np.int64)
        fresh = rng.integers(0, 2**32, 20_000, np.uint32)
        other = weights + rng.integers(-1, 2, weights.shape)
        chosen, one = choose(np.cumsum(weights, axis=1).astype(np.uint64), one, fresh)
        by_other, two = choose(np.cumsum(other, axis=1).astype(np.uint64), two, fresh)
        same = chosen == by_other
        assert same.mean() > 0.995
        one, two = (np.resize(cells[same], (20_000, 2)) for cells in (one, two))


def test_flows_begin_as_often_as_they_are_likely_to() -> None:
    """Under two seeds, every first packet comes as often, but for a few flows."""
    first = [mock_host.sequences(mock_host.PAPER, 8, Request(4_000, seed, labels=(0,))).tokens[:, 1] for seed in (5, 6)]
    counts = [np.bincount(tokens, minlength=mock_host.PAPER.size) for tokens in first]
    assert np.abs(counts[0] - counts[1]).max() <= 8
