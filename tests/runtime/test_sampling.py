import ctypes
import math

import mock_host
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgegen.errors import UsageError
from edgegen.runtime.philox import TOKENS, words
from edgegen.runtime.points import first_cells, label_points
from edgegen.runtime.sampling import best, draw, draw_labels, draw_modes, inverse, label_thresholds, weights

LOGIT = st.floats(width=32, allow_nan=True, allow_infinity=True)
LOGITS = st.lists(st.one_of(st.floats(-20, 20, width=32), LOGIT), min_size=1, max_size=70)
TEMPERATURE = st.one_of(st.just(1.0), st.floats(0.01, 100))
U32 = st.integers(0, 2**32 - 1)
CELL = st.integers(1, 4096).flatmap(lambda of: st.tuples(st.integers(0, of - 1), st.just(of))).map(list)


def test_weights_are_exp_to_the_last_bits() -> None:
    x = np.linspace(-20, 0, 200_001, dtype=np.float32)
    exact = np.exp(x.astype(np.float64)) * 2**20
    assert np.abs(weights(x[None], np.float32(1))[0] - exact).max() <= 1.2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_draws_have_the_probabilities_of_a_softmax(temperature: float) -> None:
    logits = np.float32([0.5, 2.0, -1.0, 1.0])
    cells = np.tile(np.array([0, 1], np.uint64), (100_000, 1))
    fresh = np.linspace(0, 2**32 - 1, len(cells)).astype(np.uint32)
    drawn, left = draw(np.tile(logits, (len(cells), 1)), cells, fresh, inverse(temperature))
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    assert np.abs(np.bincount(drawn, minlength=4) / len(cells) - expected).max() < 1e-4
    assert left.tolist() == cells.tolist()


@settings(max_examples=500)
@given(LOGITS, CELL, U32, TEMPERATURE)
@example([0.0, 1.7014118346046923e38], [0, 1], 0, 0.5)
@example([math.nan], [5, 4096], 7, 1.0)
def test_c_draws_the_same_token(logits: list[float], cell: list[int], fresh: int, temperature: float) -> None:
    row = np.array(logits, np.float32)
    chosen, left, scratch = draw_in_c(row, cell, fresh, temperature)
    expected = draw(row[None], np.array([cell], np.uint64), np.array([fresh], np.uint32), inverse(temperature))
    assert [chosen, left] == [expected[0][0], expected[1][0].tolist()]
    assert scratch.tolist() == weights(row[None], inverse(temperature))[0].tolist()


def draw_in_c(
    row: NDArray[np.float32], cell: list[int], fresh: int, temperature: float
) -> tuple[int, list[int], NDArray[np.uint32]]:
    """The token, the cell that is left, and the weights."""
    function = mock_host.load("small").edgegen_draw
    pointer = ctypes.c_void_p
    function.argtypes = [pointer, ctypes.c_int32, pointer, ctypes.c_uint32, ctypes.c_float, pointer]
    left, scratch = (ctypes.c_uint32 * 2)(*cell), np.empty(len(row), np.uint32)
    chosen = function(
        row.ctypes.data, len(row), ctypes.addressof(left), fresh, inverse(temperature), scratch.ctypes.data
    )
    return chosen, list(left), scratch


@given(LOGITS)
def test_c_takes_the_same_best_token(logits: list[float]) -> None:
    row = np.array(logits, np.float32)
    by_c = mock_host.load("small").edgegen_best(row.ctypes.data_as(ctypes.c_void_p), len(row))
    assert by_c == best(row[None])[0]
    if not any(math.isnan(logit) for logit in logits):
        assert by_c == int(np.argmax(row))


def test_c_draws_exactly_where_the_total_exceeds_32_bits() -> None:
    row = np.zeros(131_073, np.float32)
    for cell in ([0, 1], [0, 4096], [4095, 4096]):
        for fresh in (0, 1, 2**31, 2**32 - 1):
            chosen, left, _ = draw_in_c(row, cell, fresh, 1)
            expected = draw(row[None], np.array([cell], np.uint64), np.array([fresh], np.uint32), np.float32(1))
            assert [chosen, left] == [expected[0][0], expected[1][0].tolist()]
            assert chosen == (cell[0] * len(row) * 2**20 + (fresh * len(row) * 2**20 >> 32)) // (cell[1] * 2**20)


def test_labels_are_drawn_by_share_and_in_c_alike() -> None:
    codec = mock_host.TIMES
    labels = draw_labels(codec, 5, 2**40, 20_000)
    assert np.abs(np.bincount(labels) - 20_000 * np.array([0.25, 0.5, 0.25])).max() < 10
    function = mock_host.load("times").edgegen_draw_label
    function.argtypes = [ctypes.c_uint64]
    at = label_points(5, np.arange(500, dtype=np.uint64) + np.uint64(2**40))
    assert [function(point) for point in at.tolist()] == labels[:500].tolist()
    assert label_thresholds(codec) == [2**30, 3 * 2**30, 2**32 - 1]


def test_modes_are_drawn_by_share_and_in_c_alike() -> None:
    codec = mock_host.REFINED
    flows = np.arange(20_000, dtype=np.uint64) + np.uint64(2**40)
    function = mock_host.load("refined").edgegen_draw_mode
    function.argtypes = [ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint32]
    fresh = words(5, flows[:500], 0, TOKENS)[:, 0].tolist()
    starts = first_cells(5, flows[:500]).tolist()
    drawn = (codec.label_base, [1]), (codec.mode_base, [5, 0, 2, 13]), (codec.size - 1, [1])
    for index, (low, shares) in enumerate(drawn):
        label = codec.label_base + index
        modes, left = draw_modes(codec, 5, flows, np.full(len(flows), label, np.int32))
        counts = np.bincount(modes - low, minlength=len(shares))
        assert np.abs(counts - len(modes) * np.array(shares) / sum(shares)).max() < 10
        assert counts[np.array(shares) == 0].sum() == 0
        cells = [(ctypes.c_uint32 * 2)(*start) for start in starts]
        by_c = [function(label, ctypes.addressof(cell), f) for cell, f in zip(cells, fresh, strict=True)]
        assert by_c == modes[:500].tolist()
        assert [list(cell) for cell in cells] == left[:500].tolist()


def test_modes_of_many_labels_are_drawn_each_as_alone() -> None:
    codec, flows = mock_host.REFINED, np.arange(300, dtype=np.uint64)
    labels = codec.label_base + draw_labels(codec, 3, 0, 300)
    together, left = draw_modes(codec, 3, flows, labels)
    alone = [draw_modes(codec, 3, flows[i : i + 1], labels[i : i + 1]) for i in range(300)]
    assert together.tolist() == [modes[0] for modes, _ in alone]
    assert left.tolist() == [cells[0].tolist() for _, cells in alone]


@pytest.mark.parametrize("temperature", [-1.0, 0.001, 101.0, math.nan, math.inf])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(UsageError, match="temperature"):
        inverse(temperature)
