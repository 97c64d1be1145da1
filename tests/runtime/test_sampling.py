import ctypes
import math

import mock_host
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgegen.errors import UsageError
from edgegen.runtime.sampling import best, draw, draw_labels, draw_modes, inverse, label_thresholds, weights

LOGIT = st.floats(width=32, allow_nan=True, allow_infinity=True)
LOGITS = st.lists(st.one_of(st.floats(-20, 20, width=32), LOGIT), min_size=1, max_size=70)
TEMPERATURE = st.one_of(st.just(1.0), st.floats(0.01, 100))
U32 = st.integers(0, 2**32 - 1)


def test_weights_are_exp_to_the_last_bits() -> None:
    x = np.linspace(-20, 0, 200_001, dtype=np.float32)
    exact = np.exp(x.astype(np.float64)) * 2**20
    assert np.abs(weights(x[None], np.float32(1))[0] - exact).max() <= 1.2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_draws_have_the_probabilities_of_a_softmax(temperature: float) -> None:
    logits = np.float32([0.5, 2.0, -1.0, 1.0])
    u = np.linspace(0, 2**32 - 1, 100_000).astype(np.uint32)
    drawn = draw(np.tile(logits, (len(u), 1)), u, inverse(temperature))
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    assert np.abs(np.bincount(drawn, minlength=4) / len(u) - expected).max() < 1e-4


@settings(max_examples=500)
@given(LOGITS, U32, TEMPERATURE)
@example([0.0, 1.7014118346046923e38], 0, 0.5)
def test_c_draws_the_same_token(logits: list[float], u: int, temperature: float) -> None:
    library = mock_host.load("small")
    row = np.array(logits, np.float32)
    scratch = np.empty(len(row), np.uint32)
    library.edgegen_draw.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_uint32,
        ctypes.c_float,
        ctypes.c_void_p,
    ]
    by_c = library.edgegen_draw(row.ctypes.data, len(row), u, inverse(temperature), scratch.ctypes.data)
    assert by_c == draw(row[None], np.array([u], np.uint32), inverse(temperature))[0]
    assert scratch.tolist() == weights(row[None], inverse(temperature))[0].tolist()


@given(LOGITS)
def test_c_takes_the_same_best_token(logits: list[float]) -> None:
    row = np.array(logits, np.float32)
    by_c = mock_host.load("small").edgegen_best(row.ctypes.data_as(ctypes.c_void_p), len(row))
    assert by_c == best(row[None])[0]
    if not any(math.isnan(logit) for logit in logits):
        assert by_c == int(np.argmax(row))


def test_c_draws_exactly_where_the_total_exceeds_32_bits() -> None:
    library = mock_host.load("small")
    row = np.zeros(131_073, np.float32)
    scratch = np.empty(len(row), np.uint32)
    for u in (0, 1, 2**31, 2**32 - 1):
        by_c = library.edgegen_draw(
            row.ctypes.data_as(ctypes.c_void_p),
            len(row),
            ctypes.c_uint32(u),
            ctypes.c_float(1),
            scratch.ctypes.data_as(ctypes.c_void_p),
        )
        assert by_c == draw(row[None], np.array([u], np.uint32), np.float32(1))[0] == (u * len(row)) >> 32


def test_labels_are_drawn_by_share_and_in_c_alike() -> None:
    codec = mock_host.TIMES
    labels = draw_labels(codec, 5, 2**40, 20_000)
    assert np.abs(np.bincount(labels) / len(labels) - [0.25, 0.5, 0.25]).max() < 0.01
    function = mock_host.load("times").edgegen_draw_label
    function.argtypes = [ctypes.c_uint64, ctypes.c_uint64]
    assert [function(5, 2**40 + i) for i in range(500)] == labels[:500].tolist()
    assert label_thresholds(codec) == [2**30, 3 * 2**30, 2**32 - 1]


def test_modes_are_drawn_by_share_and_in_c_alike() -> None:
    codec = mock_host.REFINED
    flows = np.arange(20_000, dtype=np.uint64) + np.uint64(2**40)
    function = mock_host.load("refined").edgegen_draw_mode
    function.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int32]
    drawn = (codec.label_base, [1]), (codec.mode_base, [5, 0, 2, 13]), (codec.size - 1, [1])
    for index, (low, shares) in enumerate(drawn):
        label = codec.label_base + index
        modes = draw_modes(codec, 5, flows, np.full(len(flows), label, np.int32))
        counts = np.bincount(modes - low, minlength=len(shares))
        assert np.abs(counts / len(modes) - np.array(shares) / sum(shares)).max() < 0.01
        assert counts[np.array(shares) == 0].sum() == 0
        assert [function(5, int(flow), label) for flow in flows[:500]] == modes[:500].tolist()


def test_modes_of_many_labels_are_drawn_each_as_alone() -> None:
    codec, flows = mock_host.REFINED, np.arange(300, dtype=np.uint64)
    labels = codec.label_base + draw_labels(codec, 3, 0, 300)
    together = draw_modes(codec, 3, flows, labels)
    alone = [draw_modes(codec, 3, flows[i : i + 1], labels[i : i + 1])[0] for i in range(300)]
    assert together.tolist() == alone


@pytest.mark.parametrize("temperature", [-1.0, 0.001, 101.0, math.nan, math.inf])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(UsageError, match="temperature"):
        inverse(temperature)
