"""Which kind of token a position nears: odds over kinds, and from them the code that is to be expected there.

What is expected turns from one token's code to another's as their odds do, and a sum of what a network has found
cannot say that. A softmax over all tokens could, and is most of a flow's arithmetic; one over kinds says much of it at
a fifth of the cost. The most common packets have a kind each, others that of their direction and coarse bin.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgegen.models.base import Config, SwiGLU

# Of the number of kinds: whole registers of odds.
MULTIPLE = 16
# How often what was not seen is: its code counts in its kind where nothing else does.
UNSEEN = 1e-3


def trust(time: Tensor, spread: Tensor, noise: float) -> Tensor:
    """Share of an estimate in the code that is expected at a time; the mean of the kinds that it may be has the rest.

    A code is its kind's and, of variance `spread`, its own; the path's place is time times that, and noise of so wide a
    start: the share is what such a place tells of a normal variable. Late it is all, and kinds are too coarse.
    """
    signal, blur = spread * time**2, (noise * (1 - time)) ** 2
    return signal / (signal + blur)


class Kinds(nn.Module):
    """Shapes: d width of the vectors that the head reads, c of a code.

    common: at least so many packets have a kind of their own
    coarse_of_packet: the direction and bin of each packet, as a generator has them
    """

    def __init__(self, config: Config, common: int, coarse_of_packet: Tensor) -> None:
        super().__init__()
        self.config = config
        self.first_common = config.packet_base + 2 * config.bins + 1
        self.count = -(-(self.first_common + common) // MULTIPLE) * MULTIPLE
        self.look = SwiGLU(config.d, 2 * config.d, dropout=0.0)
        self.keys = nn.Linear(config.d, self.count, bias=False)
        nn.init.normal_(self.keys.weight, std=config.d**-0.5)
        nn.init.normal_(self.look.down.weight, std=0.02)
        self.register_buffer("coarse_of_packet", coarse_of_packet, persistent=False)
        # How often each token is in the training flows, until fold() leaves nothing of that but codes (c, count).
        self.register_buffer("frequencies", torch.zeros(config.vocabulary))
        self.codes: nn.Parameter | None = None

    def count_tokens(self, tokens: Tensor) -> None:
        """Learn from training sequences, negative after their ends, what is common."""
        self.get_buffer("frequencies").copy_(tokens[tokens >= 0].bincount(minlength=self.config.vocabulary))

    def logits(self, vectors: Tensor) -> Tensor:
        """(..., count) of vectors (..., d)."""
        made: Tensor = self.keys(self.look.swiglu(vectors))
        return made

    def of_tokens(self) -> Tensor:
        """(end + 1,) int64: the kind of each token that a position may have."""
        config, frequencies = self.config, self.get_buffer("frequencies")
        packets = config.packet_base + self.get_buffer("coarse_of_packet")
        of_packets = frequencies[config.packet_base : config.packet_base + len(packets)]
        common = of_packets.argsort(descending=True, stable=True)[: self.count - self.first_common]
        packets[common] = self.first_common + torch.arange(len(common), device=frequencies.device)
        times = torch.arange(config.packet_base, device=frequencies.device)
        return torch.cat([times, packets, packets.new_tensor([self.first_common - 1])])

    def means(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The kinds' codes (count, c) of the tokens' (vocabulary, c), and the variance of these around them."""
        of_tokens = self.of_tokens()
        codes = codes[: len(of_tokens)]
        weights = self.get_buffer("frequencies")[: len(of_tokens), None] + UNSEEN
        total = weights.new_zeros(self.count, 1).index_add(0, of_tokens, weights)
        # A codec of few lengths has kinds without a token.
        means = codes.new_zeros(self.count, codes.shape[1]).index_add(0, of_tokens, codes * weights)
        means = means / total.clamp(UNSEEN)
        own = (codes - F.embedding(of_tokens, means)).square().mean(1, keepdim=True)
        return means, (own * weights).sum() / weights.sum()

    def fold(self, codes: Tensor) -> Tensor:
        """Keep what a step needs: the kinds' codes. Their spread is given back."""
        means, spread = self.means(codes)
        self.codes = nn.Parameter(means.T.contiguous())
        self.register_buffer("frequencies", None)
        return spread
