"""The body of a request -> what is asked of the engine, or one sentence that says what is wrong with it."""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.runtime.request import LARGEST, Request
from edgegen.serve.body import FORMATS

KEYS = ("n", "label", "weights", "seed", "first", "temperature", "min_packets", "format")
DEFAULT_FLOWS = 10
MOST_LABELS, MOST_WEIGHT = 1_000, 1_000


@dataclass(frozen=True)
class Asked:
    request: Request
    format: str


def parse(body: bytes, codec: Codec, most_flows: int) -> Asked:
    """Raises UsageError with a sentence for the client."""
    try:
        asked = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is no JSON") from error
    if not isinstance(asked, dict):
        raise UsageError("the body is no JSON object")
    if strange := [key for key in asked if key not in KEYS]:
        raise UsageError(f"{strange[0]!r} is none of {', '.join(KEYS)}")
    kind = asked.get("format", "jsonl")
    if not isinstance(kind, str) or kind not in FORMATS:
        raise UsageError(f"format {kind!r} is none of {', '.join(FORMATS)}")
    request = Request(
        count=_whole(asked, "n", DEFAULT_FLOWS, 1, most_flows),
        # One that the client can write down in any language.
        seed=_whole(asked, "seed", secrets.randbelow(2**53), 0, LARGEST),
        first=_whole(asked, "first", 0, 0, LARGEST - most_flows),
        labels=_labels(asked, codec),
        temperature=_number(asked, "temperature", 1.0),
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


def _number(asked: dict[str, Any], key: str, default: float) -> float:
    value = asked.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{key} must be a number")
    try:
        return float(value)
    except OverflowError as error:
        raise UsageError(f"{key} is too large") from error


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
    if not isinstance(weights, dict) or not weights:
        raise UsageError("weights must be an object with a whole number for each label")
    turns = {_index(name, codec): _whole(weights, name, 0, 1, MOST_WEIGHT) for name in weights}
    # Spread, so that a short answer has a bit of everything: by when each label's next turn is due.
    due = sorted((turn / count, index) for index, count in turns.items() for turn in range(count))
    return tuple(index for _, index in due)


def _index(name: str, codec: Codec) -> int:
    try:
        return codec.label_token(name) - codec.label_base
    except EdgegenError as error:
        raise UsageError(str(error)) from error
