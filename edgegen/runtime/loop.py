"""The reference loop: step, mask, draw, repeat. export/device/rows.c is the same loop in C, bit for bit."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.runtime.philox import TOKENS, words
from edgegen.runtime.request import Request
from edgegen.runtime.sampling import best, draw, inverse

PADDING = -1


class Stepper(Protocol):
    """A model that consumes one token per row; it keeps each row's state, and position 0 resets its row."""

    @property
    def width(self) -> int: ...

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits (width, vocabulary) for each row's next position; tokens and positions (width,)."""
        ...


@dataclass(frozen=True)
class Sequences:
    """Generated sequences, one flow a row.

    tokens: (flows, codec.length) int32, -1 after <end>
    places: (flows, codec.length) uint32, where a token was drawn the second word of its block, else 0
    """

    tokens: NDArray[np.int32]
    places: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.tokens)

    def bytes(self) -> bytes:
        """Tokens, then places, as 32-bit little-endian: what golden hashes are made of."""
        return self.tokens.astype("<i4").tobytes() + self.places.astype("<u4").tobytes()


def generate_tokens(codec: Codec, stepper: Stepper, request: Request) -> Sequences:
    """The sequences of the flows that are asked for.

    A row whose flow has ended takes the next one; rows beyond the flows asked for step token 0 at position 0.
    """
    request.check(codec)
    count, width = request.count, stepper.width
    inverse_temperature = inverse(request.temperature)
    tokens = np.full((count, codec.length), PADDING, np.int32)
    tokens[:, 0] = codec.label_base + request.label_indices(codec)
    places = np.zeros((count, codec.length), np.uint32)

    rows = np.arange(width)
    flow = rows.copy()
    position = np.zeros(width, np.int32)
    waiting = width
    while (active := flow < count).any():
        current = np.zeros(width, np.int32)
        current[active] = tokens[flow[active], position[active]]
        logits = stepper.step(current, position)
        position[active] += 1
        for at in np.unique(position[active]):
            group = rows[active & (position == at)]
            low, high = codec.legal(int(at), request.min_packets)
            if high - low == 1:
                tokens[flow[group], at] = low
                continue
            numbers = flow[group].astype(np.uint64) + np.uint64(request.first)
            block = words(request.seed, numbers, at, TOKENS)
            legal = logits[group, low:high]
            chosen = draw(legal, block[:, 0], inverse_temperature) if inverse_temperature else best(legal)
            tokens[flow[group], at] = low + chosen
            places[flow[group], at] = block[:, 1]
        forced = active & (position == codec.steps)
        tokens[flow[forced], -1] = np.where(tokens[flow[forced], position[forced]] == codec.end, PADDING, codec.end)
        for row in rows[active]:
            if forced[row] or tokens[flow[row], position[row]] == codec.end:
                flow[row], position[row], waiting = waiting, 0, waiting + 1
    return Sequences(tokens, places)
