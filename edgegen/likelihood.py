"""How well a model foretells real flows, in nats."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.evaluate.arrays import Floats
from edgegen.flow import Flow
from edgegen.models import Generator
from edgegen.sequences import Encode, Objective, encode, nats_of_each, objective

BATCH = 256


@dataclass(frozen=True)
class Likelihood:
    """Mean -log p of held-out flows.

    per_token:  over the tokens where the grammar leaves a choice; the forced ones cost nothing
    per_packet: all of a flow's nats, its end included, over its packets
    """

    per_token: float
    per_packet: float
    tokens: int
    packets: int


@torch.no_grad()
def nats_per_token(
    model: Generator, codec: Codec, flows: Sequence[Flow], what: Objective = objective, encode: Encode = encode
) -> Likelihood:
    """The likelihood of `flows` under `model`, with dropout off; the model is left as it was.

    what: whose nats, where a model does not learn the flows themselves
    encode: what it reads of flows, where that is not their labels and packets alone. One that is told their modes has
            nothing to pay for these, and its nats are not to be compared with those of others.
    """
    if not flows:
        raise EdgegenError("there are no flows to measure a likelihood on")
    training = model.training
    model.eval()
    device = model.tokens.device
    total, tokens = 0.0, 0
    for start in range(0, len(flows), BATCH):
        losses, _ = what(model, codec, encode(codec, flows[start : start + BATCH]).to(device), 0.0)
        total += losses.double().sum().item()
        tokens += len(losses)
    model.train(training)
    packets = sum(min(len(flow), codec.max_packets) for flow in flows)
    return Likelihood(total / tokens, total / packets, tokens, packets)


@torch.no_grad()
def nats_by_label(model: Generator, codec: Codec, flows: Sequence[Flow], labels: Sequence[str]) -> Floats:
    """(flows, labels) -log p of each flow, had it each of the labels: the lowest is what the generator takes it for."""
    model.eval()
    device = model.tokens.device
    tokens = encode(codec, [replace(flow, label=labels[0]) for flow in flows]).to(device)
    made = []
    for label in labels:
        tokens[:, 0] = codec.label_token(label)
        made.append(torch.cat([nats_of_each(model, codec, part) for part in tokens.split(BATCH)]))
    return np.asarray(torch.stack(made, 1).double().cpu().numpy())
