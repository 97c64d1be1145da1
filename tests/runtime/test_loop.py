import ctypes

import mock_host
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegen.runtime.loop import generate_tokens
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.sampling import draw_labels


@pytest.mark.parametrize("name", mock_host.CODECS)
def test_sequences_are_legal_and_of_all_lengths(name: str) -> None:
    codec = mock_host.CODECS[name]
    sequences = generate_tokens(codec, mock_host.MockStepper(codec, 8), [0] * 300)
    flows = [codec.decode(t, p) for t, p in zip(sequences.tokens.tolist(), sequences.places.tolist(), strict=True)]
    lengths = {len(flow) for flow in flows}
    assert {1, codec.max_packets} <= lengths
    for row, flow in zip(sequences.tokens, flows, strict=True):
        assert (row[2 + codec.tokens_per_packet * len(flow) :] == -1).all()


@pytest.mark.parametrize("name", mock_host.CODECS)
@pytest.mark.parametrize("width", mock_host.WIDTHS)
@pytest.mark.parametrize("temperature", [1.0, 0.0, 0.7])
def test_c_generates_the_same_sequences(name: str, width: int, temperature: float) -> None:
    codec = mock_host.CODECS[name]
    labels = draw_labels(codec, 9, 1000, 61).tolist()
    engine = NativeEngine(mock_host.build(name, shared=True), codec, width)
    assert engine.width == width
    by_c = engine.generate(labels, 9, 1000, temperature)
    reference = generate_tokens(codec, mock_host.MockStepper(codec, 5), labels, 9, 1000, temperature)
    assert np.array_equal(by_c.tokens, reference.tokens)
    assert np.array_equal(by_c.places, reference.places)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**64 - 200), st.integers(0, 2**64 - 1), st.integers(0, 20), st.integers(1, 9))
def test_a_flow_depends_on_its_number_alone(first: int, seed: int, skip: int, width: int) -> None:
    codec = mock_host.SMALL
    whole = generate_tokens(codec, mock_host.MockStepper(codec, 3), [0] * 30, seed, first)
    part = generate_tokens(codec, mock_host.MockStepper(codec, width), [0] * (30 - skip), seed, first + skip)
    assert np.array_equal(whole.tokens[skip:], part.tokens)
    assert np.array_equal(whole.places[skip:], part.places)


def test_widths_hold_the_batch_or_are_the_widest() -> None:
    function = mock_host.load("small").edgegen_width
    function.argtypes = [ctypes.c_int64]
    assert [function(batch) for batch in (0, 1, 2, 4, 5, 8, 9, 2**40)] == [1, 1, 4, 4, 8, 8, 8, 8]


def test_one_step_gives_the_logits_of_the_mock() -> None:
    codec = mock_host.SMALL
    engine, reference = NativeEngine(mock_host.build("small", shared=True), codec, 4), mock_host.MockStepper(codec, 4)
    for tokens, positions in (([1, 2, 3, 4], [0, 0, 0, 0]), ([5, 6, 7, 8], [1, 0, 1, 0])):
        arrays = np.array(tokens, np.int32), np.array(positions, np.int32)
        assert np.array_equal(engine.step(*arrays), reference.step(*arrays))
