"""Modes: the few ways that the flows of a label go, told apart before anything is learned.

Out of noise alone a diffusion decides early, and badly, which flow it is to be: what it could be next to what it could
be is a mean of both. Which mode a flow has is drawn instead, by how many training flows have it, and the network is
told. Modes are clusters (k-means) of a label's training flows, and the generator keeps of them their sizes alone.
"""

from dataclasses import replace
from math import log2

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from edgegen.codec import Codec
from edgegen.models import Generator
from edgegen.models.base import COARSE_BYTES
from edgegen.sequences import PAD, objective

# Training flows of a mode, in the mean and at least: one of fewer would be known by heart.
MEAN, LEAST = 16, 8
MOST = 64  # of a label
# Random numbers that tell tokens apart, and other bins of payload lengths; then direction and length.
EXACT, WIDTH = 8, 10


class Modes:
    """The modes of some training flows: called, what a model of them has to make small, `sequences.objective`.

    codec: the flows', its labels with the modes that they have

    Shapes: n flows, p positions, m modes of all labels.
    """

    def __init__(self, codec: Codec, tokens: Tensor) -> None:
        """tokens: the training flows (n, codec.length), of a codec that knows of no modes"""
        self._places, self.codec = _places(codec), codec
        places, first = self.places(tokens), codec.label_base
        centres = [_centres(places[tokens[:, 0] == first + i]) for i in range(len(codec.labels))]
        self._centres = torch.cat(centres)
        self._labels = torch.cat([torch.full((len(own),), first + i) for i, own in enumerate(centres)])
        sizes = self.of(tokens).bincount(minlength=codec.mode_base + len(self._centres))[codec.mode_base :]
        by_label = sizes.split([len(own) for own in centres])
        labels = zip(codec.labels, by_label, strict=True)
        self.codec = replace(codec, labels=tuple(replace(label, modes=tuple(own.tolist())) for label, own in labels))

    def places(self, tokens: Tensor) -> Tensor:
        """Where flows stand among others, (n, p * WIDTH), from tokens (n, time)."""
        positions = tokens[:, 1 : 1 + self.codec.steps]
        filled = F.pad(positions, (0, self.codec.steps - positions.shape[1]), value=PAD)
        return F.embedding(filled.where(filled != PAD, self.codec.end), self._places.to(tokens.device)).flatten(1)

    def of(self, tokens: Tensor) -> Tensor:
        """The mode of each of some flows (n, time), a token id; the label's where that has none."""
        if not len(self._centres):
            return tokens[:, 0]
        away = torch.cdist(self.places(tokens), self._centres.to(tokens.device))
        away = away.masked_fill(tokens[:, :1] != self._labels.to(tokens.device), torch.inf)
        nearest, mode = away.min(1)
        return (self.codec.mode_base + mode).where(nearest.isfinite(), tokens[:, 0])

    def __call__(self, model: Generator, codec: Codec, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return objective(model, codec, torch.cat([self.of(tokens)[:, None], tokens[:, 1:]], 1))


def label_of_modes(codec: Codec) -> Tensor:
    """(m,) the label's token of each mode."""
    sizes = torch.tensor([len(label.modes) for label in codec.labels])
    return (codec.label_base + torch.arange(len(sizes))).repeat_interleave(sizes)


def draw_modes(codec: Codec, label: Tensor, generator: torch.Generator | None) -> Tensor:
    """Modes of flows with label tokens (n,), token ids by their share of the label's training flows."""
    most = max(1, *(len(each.modes) for each in codec.labels))
    sizes = torch.zeros(len(codec.labels), most)
    for row, each in zip(sizes, codec.labels, strict=True):
        row[: max(1, len(each.modes))] = torch.tensor(each.modes or (1,))
    index = label.cpu() - codec.label_base
    starts = torch.tensor(codec.mode_starts)
    drawn = starts[index] + torch.multinomial(sizes[index], 1, generator=generator)[:, 0]
    return drawn.to(label).where((starts[index] < starts[index + 1]).to(label.device), label)


def _centres(places: Tensor) -> Tensor:
    """The centres of the modes of one label's flows (n, p * WIDTH), none where they are too few to have some."""
    count = min(MOST, len(places) // MEAN)
    if count < 2:
        return places[:0]
    centres = torch.from_numpy(KMeans(count, n_init=1, random_state=0).fit(places.numpy()).cluster_centers_)
    # Whoever loses its centre goes to another, so that one round is enough.
    sizes = torch.cdist(places, centres).argmin(1).bincount(minlength=count)
    kept = centres[sizes >= LEAST]
    return kept if len(kept) > 1 else places[:0]


def _places(codec: Codec) -> Tensor:
    """Where tokens stand, (end + 1, WIDTH): equal lengths together, those of a bin near, times by their bin."""
    generator = torch.Generator().manual_seed(0)
    packets = torch.arange(2 * (codec.max_pl + 1))
    direction, pl = packets // (codec.max_pl + 1), packets % (codec.max_pl + 1)
    coarse = torch.randn(2, codec.max_pl // COARSE_BYTES + 1, EXACT, generator=generator)
    exact = torch.randn(len(packets), EXACT, generator=generator)
    rows = torch.zeros(codec.end + 1, WIDTH)
    at = slice(codec.packet_base, codec.end)
    rows[at, :EXACT] = (coarse[direction, pl // COARSE_BYTES] + exact) / (2 * EXACT) ** 0.5 / 2**0.5
    rows[at, EXACT] = 0.5 - direction
    rows[at, EXACT + 1] = (1.0 + pl).log2() / log2(codec.max_pl + 2)
    rows[: codec.packet_base, EXACT + 1] = torch.arange(codec.packet_base) / max(1, codec.packet_base)
    return rows
