"""The executable's reader of requests, watched by sanitizers, beside that of Python on whatever a line may hold."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from piped import Flows, Pipe, reference
from served import CODEC, mock_host

from edgegen.errors import UsageError
from edgegen.runtime.request import Request
from edgegen.serve.asked import KEYS, parse

MOST_FLOWS = 12
NAMES = [label.name for label in CODEC.labels]
WHOLE = st.integers(-1, 20) | st.sampled_from([1.0, 2.5, -0.0, 1e1, 1e19, 2**53, 2**64 - 1, 2**64, 10**39, 10**400])
VALUE = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False) | st.text() | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAME = st.sampled_from(NAMES)
# Pairs, since a name may come twice.
WEIGHTS = st.lists(st.tuples(NAME, st.integers(1, 1000)) | st.tuples(NAME | st.text(max_size=3), VALUE), max_size=4)
VALUES = {
    "n": st.integers(1, MOST_FLOWS) | WHOLE | VALUE,
    "label": NAME | st.lists(NAME, max_size=4) | VALUE,
    "seed": st.integers(0, 2**64) | WHOLE | VALUE,
    "first": st.integers(0, 2**64) | WHOLE | VALUE,
    "temperature": st.floats(0.01, 100) | WHOLE | VALUE,
    "min_packets": st.integers(1, CODEC.max_packets) | WHOLE | VALUE,
    "format": st.sampled_from([*["jsonl"] * 9, "pcap", 5]),
}
MEMBER = st.sampled_from(KEYS).flatmap(
    lambda key: st.tuples(st.just(key), WEIGHTS.map(Object) if key == "weights" else VALUES[key])
)


class Object(list[tuple[str, object]]):
    """Members that JSON is to be made of."""


@st.composite
def spelt(draw: st.DrawFn, value: object) -> str:
    """JSON of a value, with the freedoms that JSON leaves."""
    space = draw(st.sampled_from(["", "", " ", "\t\r "]))
    if isinstance(value, Object):
        members = (draw(spelt(name)) + ":" + draw(spelt(inner)) for name, inner in value)
        return space + "{" + ",".join(members) + "}" + space
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, str) and draw(st.booleans()):
        text = '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in value) + '"'
    return space + text + space


TOKENS = st.sampled_from(
    [
        *'{}[],:" \t\r\\/0-.eE+',
        *('{"n":1', '"seed":3', '"label":', '"dns"', '"weights":', "true", "null", "NaN", "1e1"),
        *("\\ud83d", "\\ude00", "\\u0000", "\\n", "\\x", "\ufeff", "\u00e9", "\U0001f600", "\x7f", "\x00", "1" * 50),
    ]
)
OBJECTS = st.lists(MEMBER, max_size=4).map(Object).flatmap(spelt)
TEXTS = (OBJECTS | VALUE.flatmap(spelt) | st.lists(TOKENS, max_size=12).map("".join)).map(str.encode)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A text with a few bytes put in, taken out or changed."""
    text = bytearray(draw(TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(text)


BODIES = (OBJECTS.map(str.encode) | TEXTS | damaged()).filter(lambda body: b"\n" not in body)


@pytest.fixture(scope="module")
def pipe() -> Iterator[Pipe]:
    command = [str(mock_host.build("times", False, mock_host.MEMORY)), "pipe", "--most-flows", str(MOST_FLOWS)]
    running = Pipe(command)
    yield running
    # Also that nothing leaks.
    assert running.end() == (0, b"", b"")


@pytest.fixture(scope="module")
def flows_of() -> Flows:
    return reference()


def understood(body: bytes) -> tuple[Request | None, str]:
    try:
        return parse(body, CODEC, MOST_FLOWS, ("jsonl",)).request, ""
    except UsageError as error:
        return None, str(error)


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(BODIES)
def test_a_line_is_understood_or_refused_as_in_python(pipe: Pipe, flows_of: Flows, body: bytes) -> None:
    flows, last = pipe.ask(body)
    request, refusal = understood(body)
    if request is None:
        assert (flows, last) == (b"", {"error": refusal})
        return
    assert last.get("done") == request.count, last
    assert last["seed"] == request.seed or last["seed"] < 2**53
    assert flows == flows_of(request, last["seed"])
