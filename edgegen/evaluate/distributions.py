"""What flows are distributed like: samples of each quantity, and how far two of them are apart."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgegen.evaluate.arrays import MICROSECOND, Arrays, Floats, Ints

PL_BIN = 32  # bytes
PL_EDGES: Floats = np.append(np.arange(0.0, 1_473.0, PL_BIN), np.inf)
IAT_EDGES: Floats = np.concatenate(([0.0], np.geomspace(MICROSECOND, 1e3, 55), [np.inf]))  # six bins to a decade
BYTES_EDGES: Floats = np.concatenate(([0.0, 1.0], np.geomspace(16, 1e6, 49), [np.inf]))
SIGNED_BIN = 64  # bytes; of the states of transitions
SIGNED_BINS = 1472 // SIGNED_BIN + 1
FEWEST = 20  # samples on either side; a histogram of fewer says nothing


def payload(flows: Arrays) -> Floats:
    """Payload bytes of every packet."""
    return flows.pl[flows.present].astype(np.float64)


def direction(flows: Arrays) -> Floats:
    """0 or 1 for every packet."""
    return flows.dir[flows.present].astype(np.float64)


def times(flows: Arrays) -> Floats:
    """Seconds before every packet but each flow's first."""
    sample: Floats = flows.iat[:, 1:][flows.present[:, 1:]]
    return sample


def packets(flows: Arrays) -> Floats:
    """Packets of every flow."""
    return flows.count.astype(np.float64)


def bytes_up(flows: Arrays) -> Floats:
    """Payload bytes of every flow from client to server."""
    return (flows.pl * (flows.dir == 0)).sum(1).astype(np.float64)


def bytes_down(flows: Arrays) -> Floats:
    """Payload bytes of every flow from server to client."""
    return (flows.pl * (flows.dir == 1)).sum(1).astype(np.float64)


def bursts(flows: Arrays) -> tuple[Floats, Floats, Floats]:
    """Runs of packets in one direction: packets, bytes and seconds of each."""
    start = flows.present.copy()
    start[:, 1:] &= flows.dir[:, 1:] != flows.dir[:, :-1]
    number = np.cumsum(start.ravel())[flows.present.ravel()] - 1
    inside = np.where(start, 0.0, flows.iat)[flows.present]
    return (
        np.bincount(number).astype(np.float64),
        np.bincount(number, flows.pl[flows.present]).astype(np.float64),
        np.bincount(number, inside).astype(np.float64),
    )


# The quantities whose divergence is reported, and the bins of each.
QUANTITIES: dict[str, tuple[Callable[[Arrays], Floats], Floats]] = {
    "pl": (payload, PL_EDGES),
    "dir": (direction, np.array([0.0, 1.0, np.inf])),
    "iat": (times, IAT_EDGES),
    "packets": (packets, np.append(np.arange(1.0, 129.0), np.inf)),
    "bytes_up": (bytes_up, BYTES_EDGES),
    "bytes_down": (bytes_down, BYTES_EDGES),
    "burst_packets": (lambda flows: bursts(flows)[0], np.append(np.arange(1.0, 129.0), np.inf)),
    "burst_bytes": (lambda flows: bursts(flows)[1], BYTES_EDGES),
    "burst_seconds": (lambda flows: bursts(flows)[2], IAT_EDGES),
}


def histogram(sample: Floats, edges: Floats) -> Floats:
    """Shares of a sample in the bins of `edges`, whose last is open above."""
    bins = np.clip(np.searchsorted(edges, sample, side="right") - 1, 0, len(edges) - 2)
    return np.bincount(bins, minlength=len(edges) - 1) / max(len(sample), 1)


def jensen_shannon(p: NDArray[np.floating], q: NDArray[np.floating]) -> float:
    """In bits: 0 where the two distributions are equal, 1 where they share nothing. (Lin 1991)"""
    middle = (p + q) / 2
    return float(sum((x[x > 0] * np.log2(x[x > 0] / middle[x > 0])).sum() for x in (p, q)) / 2)


def transitions(flows: Arrays) -> Floats:
    """(s, s) joint distribution of one packet's state and the next one's.

    A state is a direction and a bin of 64 bytes; before the first packet and after the last there is one of its own.
    """
    edge = 2 * SIGNED_BINS
    state = flows.dir * SIGNED_BINS + np.minimum(flows.pl // SIGNED_BIN, SIGNED_BINS - 1)
    state = np.where(flows.present, state, edge)
    padded: Ints = np.pad(state, ((0, 0), (1, 1)), constant_values=edge)
    before, after = padded[:, :-1].ravel(), padded[:, 1:].ravel()
    real = (before != edge) | (after != edge)
    joint = np.bincount((before * (edge + 1) + after)[real], minlength=(edge + 1) ** 2)
    return (joint / max(joint.sum(), 1)).reshape(edge + 1, edge + 1)


def autocorrelation(flows: Arrays, lag: int) -> float | None:
    """Correlation of the signed payload length of packets `lag` apart, over all flows; None of too few packets.

    0 where all are alike.
    """
    signed = flows.pl * (1 - 2 * flows.dir)
    both = flows.present[:, lag:]
    one, other = signed[:, :-lag][both].astype(np.float64), signed[:, lag:][both].astype(np.float64)
    if len(one) < FEWEST:
        return None
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
