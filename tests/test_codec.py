"""What a codec says of itself, written, read back, and damaged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegen.codec import Codec, Label
from edgegen.errors import EdgegenError

LABELS = Label("dns", 0.25, 17), Label("web", 0.5, modes=(3, 0, 7)), Label("mail", 0.25, 6, (4,))
CODEC = Codec(LABELS, max_packets=5)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4))
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@pytest.mark.parametrize("codec", [CODEC, Codec(LABELS[:1], 10, 20, ())])
def test_a_codec_is_read_as_it_was_written(codec: Codec) -> None:
    assert Codec.from_json(json.loads(json.dumps(codec.to_json()))) == codec


def test_modes_have_tokens_after_those_of_labels() -> None:
    base = CODEC.label_base + 3
    assert CODEC.mode_base == base
    assert CODEC.mode_starts == [base, base, base + 3, base + 4]
    assert CODEC.size == base + 4
    with pytest.raises(EdgegenError, match="does not start with a label"):
        CODEC.decode([base, CODEC.packet_base, CODEC.end])


def test_a_codec_of_an_edgegen_that_knew_no_modes_has_none() -> None:
    data = CODEC.to_json()
    for label in data["labels"]:
        del label["modes"]
    assert all(label.modes == () for label in Codec.from_json(data).labels)


@pytest.mark.parametrize("wrong", [[-1, 2], [0, 0], [2**32], ["a"], "37", 7, None, [1.5], [True]])
def test_modes_that_are_no_counts_are_refused(wrong: Any) -> None:
    data = CODEC.to_json()
    data["labels"][1]["modes"] = wrong
    with pytest.raises(EdgegenError, match="damaged"):
        Codec.from_json(data)


def read(data: Any) -> Codec | str:
    """The codec, or what is said of it."""
    try:
        return Codec.from_json(data)
    except EdgegenError as error:
        return str(error)


@given(st.sampled_from(sorted(CODEC.to_json())), JSON)
def test_no_damage_is_a_traceback(name: str, value: Any) -> None:
    made = read(CODEC.to_json() | {name: value})
    assert made.size > made.label_base if isinstance(made, Codec) else "\n" not in made


@given(st.sampled_from(["name", "share", "proto", "modes"]), JSON)
def test_no_damage_of_a_label_is_a_traceback(name: str, value: Any) -> None:
    data = CODEC.to_json()
    data["labels"] = [*data["labels"], dict(data["labels"][0]) | {name: value}]
    made = read(data)
    assert len(made.labels) == 4 if isinstance(made, Codec) else "\n" not in made
