"""Flows as padded token tensors, and what a model says of them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgegen.codec import Codec
from edgegen.flow import Flow
from edgegen.models import Generator

PAD = -1

# Lengths this far from each other are alike: half of a coarse bin.
NEAR_BYTES = 16

# (model, codec, tokens, near: see losses_of) -> nats of every token that was a choice, and what else is made small.
Objective = Callable[[Generator, Codec, Tensor, float], tuple[Tensor, Tensor]]
# Flows as what a model reads.
Encode = Callable[[Codec, Sequence[Flow]], Tensor]


def encode(codec: Codec, flows: Sequence[Flow]) -> Tensor:
    """Token ids (flows, codec.length), int64, PAD after <end>."""
    tokens = torch.full((len(flows), codec.length), PAD)
    for row, flow in zip(tokens, flows, strict=True):
        sequence = codec.encode(flow)
        row[: len(sequence)] = torch.tensor(sequence)
    return tokens


def choices(codec: Codec) -> dict[tuple[int, int], list[int]]:
    """Legal token bounds -> the positions that have them, without positions where only one token is legal."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position in range(1, codec.length):
        low, high = codec.legal(position)
        if high - low > 1:
            groups[low, high].append(position)
    return groups


def nats(model: Generator, codec: Codec, tokens: Tensor) -> Tensor:
    """-log p of every token that was a choice, in no particular order, given what the model reads.

    That is the tokens before it, or for a model that refines whole flows all of them under noise. Probabilities are
    over the legal tokens of a position only, so a model spends nothing on the grammar, and the head is computed for
    those rows of the table alone. tokens: (batch, time).
    """
    return objective(model, codec, tokens)[0]


def objective(model: Generator, codec: Codec, tokens: Tensor, near: float = 0.0) -> tuple[Tensor, Tensor]:
    """What training makes small: the nats, and what else the model has to learn; near: see losses_of."""
    tokens = _cut(tokens)
    hidden, besides = model.read(tokens)
    return torch.cat([losses for _, losses in losses_of(hidden, model.table(), codec, tokens, near)]), besides


def nats_of_each(model: Generator, codec: Codec, tokens: Tensor) -> Tensor:
    """(batch,) -log p of each sequence, the sum of its tokens'."""
    tokens = _cut(tokens)
    total = torch.zeros(len(tokens), device=tokens.device)
    for rows, losses in losses_of(model.read(tokens)[0], model.table(), codec, tokens):
        total.index_add_(0, rows, losses)
    return total


def _cut(tokens: Tensor) -> Tensor:
    """Without the columns that are padding in every row."""
    return tokens[:, : int((tokens != PAD).sum(1).max())]


def losses_of(
    hidden: Tensor, table: Tensor, codec: Codec, tokens: Tensor, near: float = 0.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Sequence and -log p of every token that was a choice, those with the same legal tokens together.

    near: the share of a packet that is taken for another of its direction and about its length, any within NEAR_BYTES:
          label smoothing (Szegedy et al. 2016), but over what may well be instead
    """
    longest = tokens.shape[1]
    for (low, high), positions in choices(codec).items():
        within = torch.tensor([p for p in positions if p < longest], device=tokens.device)
        if not len(within):
            continue
        targets = tokens[:, within]
        real = targets != PAD
        logits = F.linear(hidden[:, within - 1][real], table[low:high]).float()
        losses = F.cross_entropy(logits, targets[real] - low, reduction="none")
        if near and high > codec.packet_base:
            losses = losses + near * _above_near(logits, targets[real], low, codec)
        yield real.nonzero()[:, 0], losses


def _above_near(logits: Tensor, targets: Tensor, low: int, codec: Codec) -> Tensor:
    """(n,) the logit of each packet less the mean of those near it, itself among them; 0 for what is no packet.

    logits: (n, legal), the first of token `low`; targets: (n,) token ids
    """
    packet = targets - codec.packet_base
    offsets = torch.arange(-NEAR_BYTES, NEAR_BYTES + 1, device=targets.device)
    length = (packet % (codec.max_pl + 1)).unsqueeze(1) + offsets
    near = (length >= 0) & (length <= codec.max_pl) & (targets < codec.end).unsqueeze(1)
    # What is not near is read from where the target is, and counts for nothing.
    at = (targets - low).unsqueeze(1)
    apart = logits.gather(1, at) - logits.gather(1, at + offsets * near)
    return (apart * near).sum(1) / near.sum(1).clamp(min=1)
