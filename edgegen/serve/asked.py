"""The body of a request -> what is asked of the engine, or one sentence that says what is wrong with it.

export/device/asked.c is the same in C: the same requests, the same sentences. Names of the client's stand in them as
they came; whoever sends a sentence makes JSON of it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.runtime.request import LARGEST, Request
from edgegen.runtime.sampling import COLDEST, HOTTEST
from edgegen.serve.body import FORMATS
from edgegen.serve.strict_json import Members, loads

KEYS = ("n", "label", "weights", "seed", "first", "temperature", "min_packets", "format")
DEFAULT_FLOWS = 10
MOST_LABELS, MOST_WEIGHT = 1_000, 1_000


@dataclass(frozen=True)
class Asked:
    request: Request
    format: str


def parse(body: bytes, codec: Codec, most_flows: int, formats: Sequence[str] = tuple(FORMATS)) -> Asked:
    """Raises UsageError with a sentence for the client."""
    try:
        members = loads(body or b"{}")
    except ValueError as error:
        raise UsageError("the body is no JSON") from error
    if not isinstance(members, Members):
        raise UsageError("the body is no JSON object")
    asked = dict(members)
    if strange := [key for key in asked if key not in KEYS]:
        raise UsageError(f"'{strange[0]}' is none of {', '.join(KEYS)}")
    kind = asked.get("format", "jsonl")
    if kind not in formats:
        raise UsageError(f"format must be {' or '.join(formats)}")
    request = Request(
        count=_whole(asked, "n", min(DEFAULT_FLOWS, most_flows), 1, most_flows),
        # One that the client can write down in any language.
        seed=_whole(asked, "seed", secrets.randbelow(2**53), 0, LARGEST),
        first=_whole(asked, "first", 0, 0, LARGEST - most_flows),
        labels=_labels(asked, codec),
        temperature=_temperature(asked),
        min_packets=_whole(asked, "min_packets", 1, 1, codec.max_packets),
    )
    request.check(codec)
    return Asked(request, kind)


def _whole(asked: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = asked.get(key, default)
    if isinstance(value, float) and value.is_integer():
        # JSON has one kind of number: 3.0 is 3.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{key} must be a whole number in {low}..{high}")
    return value


def _temperature(asked: dict[str, Any]) -> float:
    value = asked.get("temperature", 1)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (value == 0 or COLDEST <= value <= HOTTEST):
        raise UsageError(f"temperature must be 0 or a number in {COLDEST}..{HOTTEST:.0f}")
    return float(value)


def _labels(asked: dict[str, Any], codec: Codec) -> tuple[int, ...] | None:
    """Label indices in turn; weights are as many turns of each label."""
    if "label" in asked and "weights" in asked:
        raise UsageError("give label or weights, not both")
    if "label" in asked:
        label = asked["label"]
        names = [label] if isinstance(label, str) else label
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise UsageError("label must be a string or a list of strings")
        if len(names) > MOST_LABELS:
            raise UsageError(f"label must not have more than {MOST_LABELS:,} entries")
        return tuple(_index(name, codec) for name in names)
    if "weights" not in asked:
        return None
    weights = asked["weights"]
    if not isinstance(weights, Members) or not weights:
        raise UsageError("weights must be an object with a whole number for each label")
    weights = dict(weights)
    turns = {_index(name, codec): _whole(weights, name, 0, 1, MOST_WEIGHT) for name in weights}
    # Spread, so that a short answer has a bit of everything: by when each label's next turn is due.
    due = sorted((turn / count, index) for index, count in turns.items() for turn in range(count))
    return tuple(index for _, index in due)


def _index(name: str, codec: Codec) -> int:
    if name not in codec.label_index:
        raise UsageError(f"label '{name}' is unknown to this generator; it knows: {codec.known}")
    return codec.label_index[name]
