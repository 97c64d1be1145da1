import ctypes
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import mock_host
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.runtime.engine import Engine, StepperEngine, collect
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.request import Request


@pytest.mark.parametrize("name", mock_host.CODECS)
def test_sequences_are_legal_and_of_all_lengths(name: str) -> None:
    codec = mock_host.CODECS[name]
    sequences = mock_host.sequences(codec, 8, Request(300))
    flows = [codec.decode(t, p) for t, p in zip(sequences.tokens.tolist(), sequences.places.tolist(), strict=True)]
    lengths = {len(flow) for flow in flows}
    assert {1, codec.max_packets} <= lengths
    for row, flow in zip(sequences.tokens, flows, strict=True):
        assert (row[2 + codec.tokens_per_packet * len(flow) :] == -1).all()


@pytest.mark.parametrize("name", mock_host.CODECS)
@pytest.mark.parametrize("width", mock_host.WIDTHS)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("more", [{}, {"temperature": 0.0}, {"temperature": 0.7, "min_packets": 3}, {"labels": (0,)}])
def test_c_generates_the_same_sequences(name: str, width: int, threads: int, more: dict[str, Any]) -> None:
    codec = mock_host.CODECS[name]
    request = Request(450, 9, 1000, **more)
    engine = NativeEngine(mock_host.build(name, shared=True), codec, width, threads)
    assert engine.width == width
    by_c = collect(engine, codec, request)
    reference = mock_host.sequences(codec, 64, request)
    assert np.array_equal(by_c.tokens, reference.tokens)
    assert np.array_equal(by_c.places, reference.places)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**64 - 200), st.integers(0, 2**64 - 1), st.integers(0, 20), st.integers(1, 9))
def test_a_flow_depends_on_its_number_alone(first: int, seed: int, skip: int, width: int) -> None:
    codec = mock_host.SMALL
    request = Request(30, seed, first)
    whole = mock_host.sequences(codec, 3, request)
    part = mock_host.sequences(codec, width, request.part(skip, 30))
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


@pytest.mark.parametrize("name", mock_host.CODECS)
def test_no_flow_ends_before_its_packets(name: str) -> None:
    codec = mock_host.CODECS[name]
    for least in (2, codec.max_packets):
        sequences = mock_host.sequences(codec, 8, Request(200, min_packets=least))
        lengths = [len(codec.decode(tokens)) for tokens in sequences.tokens.tolist()]
        assert min(lengths) == least


def test_labels_take_turns_by_flow_number() -> None:
    codec = mock_host.TIMES
    request = Request(7, first=4, labels=(0, 2, 1))
    assert request.label_indices(codec).tolist() == [2, 1, 0, 2, 1, 0, 2]
    assert request.part(2, 100).label_indices(codec).tolist() == [0, 2, 1, 0, 2]
    engine = NativeEngine(mock_host.build("times", shared=True), codec, 4)
    made = collect(engine, codec, request)
    assert (made.tokens[:, 0] - codec.label_base).tolist() == [2, 1, 0, 2, 1, 0, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        Request(-1),
        Request(1, seed=2**64),
        Request(2, first=2**64 - 1),
        Request(1, temperature=1000.0),
        Request(1, min_packets=0),
        Request(1, min_packets=17),
        Request(1, labels=()),
        Request(1, labels=(0, 3)),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(wrong: Request) -> None:
    codec: Codec = mock_host.TIMES
    engine = NativeEngine(mock_host.build("times", shared=True), codec, 4)
    with pytest.raises(UsageError):
        next(engine.stream(wrong))
    with pytest.raises(UsageError):
        mock_host.sequences(codec, 2, wrong)


def test_a_stream_that_is_left_ends_its_threads() -> None:
    codec = mock_host.SMALL
    engine = NativeEngine(mock_host.build("small", shared=True), codec, 8, 4)
    stream = engine.stream(Request(10**12))
    assert len(next(stream)) == 1024
    before = len(list(Path("/proc/self/task").iterdir()))
    stream.close()
    assert len(list(Path("/proc/self/task").iterdir())) == before - 4


@pytest.mark.parametrize("name", ["native", "stepper"])
def test_threads_may_have_streams_of_one_engine(name: str) -> None:
    codec = mock_host.CODECS["times"]
    requests = [Request(200, seed) for seed in range(4)]
    alone = [mock_host.sequences(codec, 8, request).bytes() for request in requests]
    engine: Engine = StepperEngine("mock", codec, mock_host.MockStepper(codec, 8))
    if name == "native":
        engine = NativeEngine(mock_host.build("times", shared=True), codec, 8)
    with closing(engine), ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda request: collect(engine, codec, request).bytes(), requests)
        assert list(together) == alone
