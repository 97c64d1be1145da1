"""Flows changed a little: the augmentations of the field that need no generator."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgegen.errors import UsageError
from edgegen.evaluate.arrays import Arrays

SHARE = 0.3  # of a flow's packets that a payload or direction change touches
RARE = 0.05  # a direction that fewer flows of a label have at a position is not allowed there
EDITS = 4  # at most
STRETCH = (0.5, 1.5)  # of times

Random = np.random.Generator
Transform = Callable[[Arrays, Arrays, Random], Arrays]


def payload(flows: Arrays, real: Arrays, random: Random) -> Arrays:
    """Other payload lengths, within what the middle 80 % of the label's real packets there have.

    There: at the same position, in the same direction.
    """
    pl = flows.pl.copy()
    for label in np.unique(flows.label):
        rows = np.flatnonzero(flows.label == label)
        those = real[real.label == label]
        for position in range(pl.shape[1]):
            for direction in (0, 1):
                there = those.present[:, position] & (those.dir[:, position] == direction)
                chosen = rows[
                    flows.present[rows, position]
                    & (flows.dir[rows, position] == direction)
                    & (random.random(len(rows)) < SHARE)
                ]
                if there.any() and len(chosen):
                    low, high = np.quantile(those.pl[there, position], (0.1, 0.9)).round().astype(np.int64)
                    pl[chosen, position] = random.integers(low, high, len(chosen), endpoint=True)
    return replace(flows, pl=pl)


def direction(flows: Arrays, real: Arrays, random: Random) -> Arrays:
    """Other directions, where the label's real flows have both at that position; the first packet keeps its own."""
    changed = flows.dir.copy()
    for label in np.unique(flows.label):
        rows = np.flatnonzero(flows.label == label)
        those = real[real.label == label]
        for position in range(1, changed.shape[1]):
            there = those.dir[those.present[:, position], position]
            share = there.mean() if len(there) else 0.0
            if RARE <= share <= 1 - RARE:
                chosen = rows[flows.present[rows, position] & (random.random(len(rows)) < SHARE)]
                changed[chosen, position] = random.random(len(chosen)) < share
    return replace(flows, dir=changed)


def time(flows: Arrays, real: Arrays, random: Random) -> Arrays:
    """All times of a flow longer or shorter by one factor: another round trip (Wang et al., tcbench)."""
    factor = random.uniform(*STRETCH, (len(flows), 1))
    return replace(flows, iat=flows.iat * factor)


def edit(flows: Arrays, real: Arrays, random: Random) -> Arrays:
    """One to four packets dropped or sent twice, as by loss and retransmission."""
    width = flows.pl.shape[1]
    order = np.zeros(flows.pl.shape, np.int64)
    count = flows.count.copy()
    for row, n in enumerate(flows.count.tolist()):
        places = list(range(n))
        for _ in range(random.integers(1, EDITS, endpoint=True)):
            at = int(random.integers(len(places)))
            if random.random() < 0.5:
                places.insert(at, places[at])
            elif len(places) > 1:
                del places[at]
        count[row] = min(len(places), width)
        order[row, : count[row]] = places[:width]
    rows = np.arange(len(flows))[:, None]
    present = np.arange(width) < count[:, None]
    pl, turned, iat = (np.where(present, x[rows, order], 0) for x in (flows.pl, flows.dir, flows.iat))
    iat[:, 0] = 0.0
    # Who sends first is the client.
    turned = np.where(present, turned ^ turned[:, :1], 0)
    return Arrays(pl, turned, iat, count, flows.label, flows.labels, flows.times)


TRANSFORMS: dict[str, Transform] = {"payload": payload, "direction": direction, "time": time, "edit": edit}


def transform(name: str, flows: Arrays, real: Arrays, random: Random) -> Arrays:
    """`flows` changed by the transform of that name; real: what the labels' flows look like."""
    if name not in TRANSFORMS:
        raise UsageError(f"transform {name!r} is none of {', '.join(TRANSFORMS)}")
    return TRANSFORMS[name](flows, real, random)
