"""What is asked of an engine."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.runtime.sampling import draw_labels, inverse

LARGEST = 2**64 - 1
MOST_FLOWS = 2**63 - 1  # what the compiled engine counts with is signed


@dataclass(frozen=True)
class Request:
    """Flows first .. first + count - 1. Each is a function of the generator, its number, and what follows here.

    labels:      flow i has labels[i % len(labels)], label indices; None for labels drawn by their share of the training
                 flows
    temperature: 0 takes the most likely token always; else 0.01..100
    min_packets: a flow does not end before it has as many, 1..max_packets of the codec
    """

    count: int
    seed: int = 0
    first: int = 0
    labels: tuple[int, ...] | None = None
    temperature: float = 1.0
    min_packets: int = 1

    def check(self, codec: Codec) -> None:
        """Raises UsageError for what makes no sense to a generator with that codec."""
        if not 0 <= self.count <= MOST_FLOWS:
            raise UsageError(f"the number of flows, {self.count}, is not in 0..{MOST_FLOWS}")
        if not 0 <= self.seed <= LARGEST or not 0 <= self.first <= LARGEST:
            raise UsageError("the seed and the flow numbers must lie in 0..2^64-1")
        if self.first > LARGEST - max(self.count - 1, 0):
            raise UsageError(f"flow numbers end at {LARGEST}: lower --first or -n")
        inverse(self.temperature)
        if not 1 <= self.min_packets <= codec.max_packets:
            raise UsageError(f"min packets {self.min_packets} is outside 1..{codec.max_packets}")
        if self.labels is not None and not all(0 <= label < len(codec.labels) for label in self.labels or (-1,)):
            raise UsageError(f"a label index is outside 0..{len(codec.labels) - 1}")

    def part(self, skip: int, count: int) -> "Request":
        """Flows first + skip .. first + skip + count - 1 of it."""
        return replace(self, first=self.first + skip, count=min(count, self.count - skip))

    def label_indices(self, codec: Codec) -> NDArray[np.int32]:
        """(count,) the label of each flow."""
        if self.labels is None:
            return draw_labels(codec, self.seed, self.first, self.count)
        turn = self.first % len(self.labels)
        return np.resize(np.roll(np.array(self.labels, np.int32), -turn), self.count)
