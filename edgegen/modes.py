"""Modes: the few ways that the flows of a label go, told apart before anything is learned.

Out of noise alone a diffusion decides early, and badly, which flow it is to be: what it could be next to what it could
be is a mean of both. Which mode a flow has is drawn instead, by how many training flows have it, and the network is
told. Modes are clusters (k-means) of a label's training flows. A generator has a row of its table for each, and its
codec how many flows it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor

from edgegen.codec import Codec
from edgegen.flow import Flow
from edgegen.models.base import COARSE_BYTES
from edgegen.sequences import PAD, encode

# Training flows of a mode, in the mean and at least: a flow that is alone in its mode would be known by heart.
MEAN, LEAST = 16, 8
MOST = 64  # of a label
# Random numbers that tell tokens apart, and other bins of payload lengths; then direction and length.
EXACT, WIDTH = 8, 10


class Modes:
    """The modes of some training flows.

    codec: the flows', its labels with the modes that they have

    Shapes: n flows, p positions, m modes of a label.
    """

    def __init__(self, codec: Codec, flows: Sequence[Flow]) -> None:
        """codec: that of the training flows, which knows of no modes"""
        self._stand, self._centres = _stand(codec), list[Tensor]()
        tokens, labels = encode(codec, flows), list(codec.labels)
        for i, label in enumerate(labels):
            places = self._places(codec, tokens[tokens[:, 0] == codec.label_base + i])
            centres = _centres(places)
            self._centres.append(centres)
            if len(centres):
                sizes = torch.cdist(places, centres).argmin(1).bincount(minlength=len(centres))
                labels[i] = replace(label, modes=tuple(sizes.tolist()))
        self.codec = replace(codec, labels=tuple(labels))

    def encode(self, codec: Codec, flows: Sequence[Flow]) -> Tensor:
        """Token ids as `sequences.encode` gives them, each flow's mode in place of its label, where that has modes."""
        tokens = encode(codec, flows)
        for i, centres in enumerate(self._centres):
            rows = tokens[:, 0] == codec.label_base + i
            if len(centres) and rows.any():
                nearest = torch.cdist(self._places(codec, tokens[rows]), centres).argmin(1)
                tokens[rows, 0] = self.codec.mode_starts[i] + nearest
        return tokens

    def _places(self, codec: Codec, tokens: Tensor) -> Tensor:
        """Where flows stand among others, (n, p * WIDTH), from tokens (n, codec.length)."""
        positions = tokens[:, 1 : 1 + codec.steps]
        return F.embedding(positions.where(positions != PAD, codec.end), self._stand).flatten(1)


def _centres(places: Tensor) -> Tensor:
    """The centres (m, p * WIDTH) of the modes of one label's flows (n, p * WIDTH), none where they are too few."""
    # Only a diffusion needs these.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    count = min(MOST, len(places) // MEAN, len(places.unique(dim=0)))
    if count < 2:
        return places[:0]
    # With more threads the order of sums would be another each time, and a run could not be resumed.
    with threadpool_limits(1):
        found = KMeans(count, n_init=1, random_state=0).fit(places.numpy())
    centres = torch.from_numpy(found.cluster_centers_)
    sizes = torch.cdist(places, centres).argmin(1).bincount(minlength=count)
    # Flows whose centre goes make other modes larger, so that one round is enough.
    kept = centres[sizes >= LEAST]
    return kept if len(kept) > 1 else places[:0]


def _stand(codec: Codec) -> Tensor:
    """Where tokens stand, (end + 1, WIDTH): equal lengths together, those of a bin near, times by their bin."""
    generator = torch.Generator().manual_seed(0)
    packets = torch.arange(2 * (codec.max_pl + 1))
    direction, pl = packets // (codec.max_pl + 1), packets % (codec.max_pl + 1)
    coarse = torch.randn(2, codec.max_pl // COARSE_BYTES + 1, EXACT, generator=generator)
    exact = torch.randn(len(packets), EXACT, generator=generator)
    rows = torch.zeros(codec.end + 1, WIDTH)
    at = slice(codec.packet_base, codec.end)
    rows[at, :EXACT] = (coarse[direction, pl // COARSE_BYTES] + exact) / (2 * EXACT**0.5)
    rows[at, EXACT] = 0.5 - direction
    rows[at, EXACT + 1] = (1.0 + pl).log2() / log2(codec.max_pl + 2)
    rows[: codec.packet_base, EXACT + 1] = torch.arange(codec.packet_base) / max(1, codec.packet_base)
    return rows
