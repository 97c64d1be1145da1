"""Flows that stand several times though nothing else is like them: said again, they give their owner away."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from edgegen.codec import Codec
from edgegen.flow import Flow

# So many different pairs of neighbouring packets that are in no other flow. A shorter flow or a steady stream has
# fewer: what it looks like may well be somebody else's tomorrow.
OWN_PAIRS = 6

Packets = tuple[tuple[int, int], ...]  # (length, direction) of each


def once(flows: Sequence[Flow], packets: int) -> list[Flow]:
    """`flows` in their order, the first of each label for every flow that stands several times and is like no other.

    What a generator sees several times it says again, whoever it is of; what it sees once it seldom does. Dropping all
    repeats (Kandpal et al. 2022) would change what is common: most of them are how a protocol is spoken, and share
    pairs of neighbouring packets with flows that go on in another way. One that has OWN_PAIRS pairs to itself does not.
    Repeats are exact ones: two flows of one owner that differ in a packet share all their other pairs, and both stay.

    packets: of a flow, those that a generator learns from
    """
    starts = [_start(flow, packets) for flow in flows]
    seen = Counter((flow.label, start) for flow, start in zip(flows, starts, strict=True))
    asked = {pair for (_, start), times in seen.items() if times > 1 for pair in pairwise(start)}
    owners = Counter(pair for start in set(starts) for pair in asked.intersection(pairwise(start)))
    kept, gone = [], set()
    for flow, start in zip(flows, starts, strict=True):
        name = flow.label, start
        if seen[name] > 1 and sum(owners[pair] == 1 for pair in set(pairwise(start))) >= OWN_PAIRS:
            if name in gone:
                continue
            gone.add(name)
        kept.append(flow)
    return kept


def _start(flow: Flow, packets: int) -> Packets:
    # Longer packets are all the same to a generator.
    return tuple((min(pl, Codec.max_pl), turn) for pl, turn in zip(flow.pl[:packets], flow.dir[:packets], strict=True))
