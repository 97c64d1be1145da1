"""The reference loop: step, mask, draw, repeat. export/device/rows.c is the same loop in C, bit for bit."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.runtime.philox import TOKENS, words
from edgegen.runtime.points import first_cells
from edgegen.runtime.request import Request
from edgegen.runtime.sampling import best, draw, draw_modes, inverse, noise

PADDING = -1

Ints = NDArray[np.int64]


class Stepper(Protocol):
    """A model that keeps a state for each row, which position 0 resets.

    It consumes one token per row; or, where whole flows are refined, each row's mode and the number of the refinement,
    and its rows start from noise.
    """

    @property
    def width(self) -> int: ...

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits (width, vocabulary) for each row's next position, or (width, steps, vocabulary) for all positions.

        tokens, positions: (width,)
        """
        ...

    @property
    def noise_size(self) -> int:
        """Numbers that a row starts from, where flows are refined."""
        ...

    def start(self, noise: NDArray[np.float32]) -> None:
        """Put noise (width, noise_size) into the rows; position 0 comes next."""
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


def no_memory(width: int) -> EdgegenError:
    """For a stepper of so many rows."""
    return EdgegenError(f"there is not enough memory for a batch of {width}: lower --batch")


def generate_tokens(codec: Codec, stepper: Stepper, request: Request, refinements: int = 0) -> Sequences:
    """The sequences of the flows that are asked for.

    refinements: how many steps make a whole flow; 0 where each makes one token
    """
    request.check(codec)
    loop = _Loop(codec, stepper, request)
    if refinements:
        loop.refine(refinements)
    else:
        loop.go_on()
    return Sequences(loop.tokens, loop.places)


class _Loop:
    """Sequences in the making, and the cells from which they go on."""

    def __init__(self, codec: Codec, stepper: Stepper, request: Request) -> None:
        self.codec, self.stepper, self.request = codec, stepper, request
        self.tokens = np.full((request.count, codec.length), PADDING, np.int32)
        self.tokens[:, 0] = codec.label_base + request.label_indices(codec)
        self.places = np.zeros((request.count, codec.length), np.uint32)
        self.cells = first_cells(request.seed, self._numbers(np.arange(request.count)))

    def go_on(self) -> None:
        """Token by token. A row whose flow has ended takes the next; with none left, it steps token 0 at position 0."""
        codec, count, width, tokens = self.codec, self.request.count, self.stepper.width, self.tokens
        rows = np.arange(width)
        flow = rows.copy()
        position = np.zeros(width, np.int32)
        waiting = width
        while (active := flow < count).any():
            current = np.zeros(width, np.int32)
            current[active] = tokens[flow[active], position[active]]
            logits = self.stepper.step(current, position)
            position[active] += 1
            for at in np.unique(position[active]):
                group = rows[active & (position == at)]
                self._draw(flow[group], int(at), logits[group])
            forced = active & (position == codec.steps)
            tokens[flow[forced], -1] = np.where(tokens[flow[forced], position[forced]] == codec.end, PADDING, codec.end)
            for row in rows[active]:
                if forced[row] or tokens[flow[row], position[row]] == codec.end:
                    flow[row], position[row], waiting = waiting, 0, waiting + 1

    def refine(self, refinements: int) -> None:
        """All tokens of a flow at once, out of noise that has been refined some times."""
        codec, seed, width, tokens = self.codec, self.request.seed, self.stepper.width, self.tokens
        for start in range(0, self.request.count, width):
            flows = np.arange(start, min(start + width, self.request.count))
            numbers = np.zeros(width, np.uint64)
            numbers[: len(flows)] = self._numbers(flows)
            current = np.zeros(width, np.int32)
            modes, self.cells[flows] = draw_modes(codec, seed, numbers[: len(flows)], tokens[flows, 0])
            current[: len(flows)] = modes
            self.stepper.start(noise(seed, numbers, self.stepper.noise_size))
            for position in range(refinements):
                logits = self.stepper.step(current, np.full(width, position, np.int32))
            for at in range(1, codec.length):
                going = flows[tokens[flows, at - 1] != codec.end]
                flows = going[tokens[going, at - 1] != PADDING]
                if at == codec.length - 1:
                    tokens[flows, at] = codec.end
                elif len(flows):
                    self._draw(flows, at, logits[flows - start, at - 1])

    def _draw(self, flows: Ints, at: int, logits: NDArray[np.float32]) -> None:
        """The tokens at position `at` of `flows` (n,), from the logits (n, vocabulary)."""
        request = self.request
        low, high = self.codec.legal(at, request.min_packets)
        if high - low == 1:
            self.tokens[flows, at] = low
            return
        block = words(request.seed, self._numbers(flows), at, TOKENS)
        legal, inverse_temperature = logits[:, low:high], inverse(request.temperature)
        if inverse_temperature:
            chosen, self.cells[flows] = draw(legal, self.cells[flows], block[:, 0], inverse_temperature)
        else:
            chosen = best(legal)
        self.tokens[flows, at] = low + chosen
        self.places[flows, at] = block[:, 1]

    def _numbers(self, flows: Ints) -> NDArray[np.uint64]:
        """Of flows (n,) of the request, counted from its first."""
        return flows.astype(np.uint64) + np.uint64(self.request.first)
