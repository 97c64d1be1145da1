"""Start a model for new labels from one trained on others."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.flow import Flow
from edgegen.models.base import Generator
from edgegen.sequences import encode, nats

STEPS, BATCH, LEARNING_RATE = 150, 32, 1e-2


@torch.no_grad()
def adapt(model: Generator, codec: Codec, trained: Generator, trained_codec: Codec) -> list[str]:
    """Copy into `model` the weights of `trained`.

    A label that both know keeps its row of the table, a new one starts at the mean of the known ones. Returns
    the new ones.
    Raises UsageError where the two do not have the same shapes and tokens, labels aside.
    """
    if replace(codec, labels=trained_codec.labels) != trained_codec:
        wanted = f"--max-packets {trained_codec.max_packets} --{'iat' if trained_codec.has_iat else 'no-iat'}"
        raise UsageError(f"the run to start from cuts flows differently: train with {wanted}")
    theirs = trained.config
    if replace(model.config, vocabulary=theirs.vocabulary, dropout=theirs.dropout) != theirs:
        wanted = f"--arch {theirs.arch} --size {theirs.size}"
        raise UsageError(f"the run to start from has another architecture or size: train with {wanted}")
    weights = trained.state_dict()
    rows = weights.pop("tokens")
    model.load_state_dict(weights, strict=False)
    labels = rows[trained_codec.label_base : trained_codec.mode_base]
    model.tokens[: codec.label_base] = rows[: codec.label_base]
    model.tokens[codec.label_base : codec.mode_base] = labels.mean(0)
    new = []
    for label in codec.labels:
        if label.name in trained_codec.label_index:
            model.tokens[codec.label_token(label.name)] = rows[trained_codec.label_token(label.name)]
        else:
            new.append(label.name)
    return new


def learn_labels(model: Generator, codec: Codec, flows: Sequence[Flow], labels: Sequence[str], seed: int) -> None:
    """Learn the rows of `labels` from `flows`, all other weights as they are: a prompt of one vector for each.

    So few weights cannot learn the flows by heart. (Lester et al. 2021)
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = encode(codec, [flow for flow in flows if flow.label in labels])
    learned = torch.zeros(len(model.tokens), 1)
    learned[[codec.label_token(label) for label in labels]] = 1.0
    # A row that has no gradient stays: nothing decays here.
    optimiser = torch.optim.Adam([model.tokens], lr=LEARNING_RATE)
    model.train()
    torch.manual_seed(seed)
    for step in range(STEPS):
        batch = tokens[torch.randint(len(tokens), (BATCH,), generator=generator)]
        optimiser.zero_grad()
        (gradient,) = torch.autograd.grad(nats(model, codec, batch).mean(), [model.tokens])
        model.tokens.grad = gradient * learned
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
        optimiser.step()
    model.tokens.grad = None
