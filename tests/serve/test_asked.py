"""What a body may ask for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import CODEC

from edgegen.errors import UsageError
from edgegen.serve.asked import KEYS, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([label.name for label in CODEC.labels])
NEAR = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(KEYS, JSON)
    | {
        "n": JSON | st.integers(-1, 2000),
        "label": JSON | NAMES | st.lists(NAMES),
        "weights": JSON | st.dictionaries(NAMES, JSON | st.integers(-1, 20_000)),
        "temperature": JSON | st.floats(0, 101),
        "format": JSON | st.sampled_from(["jsonl", "pcap", "parquet", "csv"]),
    },
)


@given(st.binary() | JSON.map(json.dumps).map(str.encode) | NEAR.map(json.dumps).map(str.encode))
def test_a_body_is_understood_or_refused_in_a_sentence(body: bytes) -> None:
    try:
        asked = parse(body, CODEC, 1000)
    except UsageError:
        return
    assert 1 <= asked.request.count <= 1000
    asked.request.check(CODEC)


def test_weights_are_turns_that_are_spread() -> None:
    asked = parse(b'{"weights": {"dns": 3, "https": 1}}', CODEC, 10)
    assert asked.request.labels is not None
    assert sorted(asked.request.labels) == [0, 0, 0, 2]
    assert set(asked.request.labels[:2]) == {0, 2}


def test_without_a_seed_one_is_drawn() -> None:
    assert parse(b"", CODEC, 10).request.seed != parse(b"", CODEC, 10).request.seed


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"n": true}', "n must be a whole number in 1..10"),
        (b'{"n": 11}', "n must be a whole number in 1..10"),
        (b'{"label": "ftp"}', "label 'ftp' is unknown"),
        (b'{"label": "dns", "weights": {"dns": 1}}', "not both"),
        (b'{"weights": {"dns": 0}}', "dns must be a whole number in 1..1000"),
        (b'{"weights": {"ftp": 1}}', "label 'ftp' is unknown"),
        (b'{"weights": null}', "weights must be an object"),
        (b'{"temperature": 1e999}', "temperature"),
        (b'{"temperature": 1' + b"0" * 400 + b"}", "temperature must be 0 or a number in 0.01..100"),
        (b'{"seed": 18446744073709551616}', "seed"),
        (b'{"first": 18446744073709551615}', "first must be a whole number"),
        (b'{"flows": 3}', "'flows' is none of"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(body, CODEC, 10)
