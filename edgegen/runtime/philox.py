"""Philox4x32-10, the counter-based random numbers of Salmon, Moraes, Dror and Shaw (SC 2011).

A block of four words is a pure function of a key and a counter: number i of a stream needs none of those
before it, so a flow is the same whatever was generated beside it. export/device/philox.c is this file in C.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)

TOKENS, POINTS, NOISE = 0, 1, 2


def philox(counter: ArrayLike, key: tuple[int, int]) -> NDArray[np.uint32]:
    """Blocks (n, 4) uint32 of the counters (n, 4) uint32 under one key."""
    c = np.asarray(counter, np.uint64).T
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIERS[0] * c[0], MULTIPLIERS[1] * c[2]
        c = np.stack(((p1 >> HALF) ^ c[1] ^ np.uint64(k0), p1 & LOW, (p0 >> HALF) ^ c[3] ^ np.uint64(k1), p0 & LOW))
        k0, k1 = (k0 + KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + KEY_STEPS[1]) & 0xFFFFFFFF
    return c.T.astype(np.uint32)


def words(seed: int, flows: ArrayLike, positions: ArrayLike, stream: int) -> NDArray[np.uint32]:
    """The block (n, 4) of each of n flows at its position: key the seed, counter (flow, position, stream).

    seed: 0..2^64-1; flows: (n,) flow numbers 0..2^64-1; positions: (n,) or one for all
    """
    flow = np.asarray(flows, np.uint64)
    position = np.broadcast_to(np.asarray(positions, np.uint64), flow.shape)
    counter = np.stack((flow & LOW, flow >> HALF, position, np.full_like(flow, stream)), axis=1)
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32))
