"""What a table of counts can foretell: a first-order Markov chain for each label."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.flow import Flow

# token: the token before; packet: for a packet the packet before it, for a time its own packet.
Context = Literal["token", "packet"]
WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
# One flow in five of the training part tells how much to smooth.
HELD_OUT = 5


@dataclass(frozen=True)
class Event:
    """One token that was a choice: its label, what it is conditioned on, its legal bounds, and itself."""

    label: str
    context: int
    legal: tuple[int, int]
    token: int


@dataclass(frozen=True)
class Chain:
    """p(token | label, context), backed off to p(token | label, kind), p(token | kind) and 1 / legal tokens.

    Each estimate is (count + weight * next estimate) / (total + weight).
    """

    counts: tuple[Counter[tuple[object, ...]], ...]
    totals: tuple[Counter[tuple[object, ...]], ...]

    def columns(self, events: Sequence[Event]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Counts and totals of every event, one pair for each level, the most general first."""
        made = []
        for level in range(3):
            keys = [_key(event, level) for event in events]
            count = [self.counts[level][*key, event.token] for key, event in zip(keys, events, strict=True)]
            total = [self.totals[level][key] for key in keys]
            made.append((np.array(count, float), np.array(total, float)))
        return made

    def nats(self, events: Sequence[Event], weights: Sequence[float]) -> NDArray[np.float64]:
        """-log p of every event."""
        return _nats(events, self.columns(events), weights)


def events_of(codec: Codec, flows: Sequence[Flow], context: Context) -> list[Event]:
    """The choices in `flows`, as a model of the same codec is asked for them."""
    back = codec.tokens_per_packet if context == "packet" else 1
    events = []
    for flow in flows:
        tokens = codec.encode(flow)
        for position in range(1, len(tokens)):
            low, high = codec.legal(position)
            if high - low > 1:
                is_packet = low >= codec.packet_base
                before = tokens[max(0, position - (back if is_packet else 1))]
                events.append(Event(flow.label, before, (low, high), tokens[position]))
    return events


def fit(events: Sequence[Event]) -> Chain:
    counts: tuple[Counter[tuple[object, ...]], ...] = (Counter(), Counter(), Counter())
    totals: tuple[Counter[tuple[object, ...]], ...] = (Counter(), Counter(), Counter())
    for event in events:
        for level in range(3):
            key = _key(event, level)
            counts[level][*key, event.token] += 1
            totals[level][key] += 1
    return Chain(counts, totals)


def tune(codec: Codec, training: Sequence[Flow], context: Context) -> tuple[float, ...]:
    """The weights with the least nats on a held-out fifth of the training flows."""
    held = events_of(codec, training[::HELD_OUT], context)
    rest = [flow for i, flow in enumerate(training) if i % HELD_OUT]
    columns = fit(events_of(codec, rest, context)).columns(held)
    return min(product(WEIGHTS, repeat=3), key=lambda weights: float(_nats(held, columns, weights).sum()))


def _key(event: Event, level: int) -> tuple[object, ...]:
    return (event.legal, event.label, event.context)[: level + 1]


def _nats(
    events: Sequence[Event],
    columns: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    weights: Sequence[float],
) -> NDArray[np.float64]:
    estimate = np.array([1 / (event.legal[1] - event.legal[0]) for event in events])
    for (count, total), weight in zip(columns, weights, strict=True):
        estimate = (count + weight * estimate) / (total + weight)
    return -np.log(estimate)
