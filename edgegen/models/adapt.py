"""Start a model for new labels from one trained on others."""

from dataclasses import replace

import torch

from edgegen.codec import Codec
from edgegen.errors import UsageError
from edgegen.models.base import Generator


@torch.no_grad()
def adapt(model: Generator, codec: Codec, trained: Generator, trained_codec: Codec) -> None:
    """Copy into `model` the weights of `trained`.

    A label that both know keeps its row of the table, a new one starts at the mean of the known ones.
    Raises UsageError where the two do not have the same shapes and tokens, labels aside.
    """
    if replace(codec, labels=trained_codec.labels) != trained_codec:
        raise UsageError("the run to start from cuts or bins flows differently: give the same packets and times")
    if replace(model.config, vocabulary=trained.config.vocabulary) != trained.config:
        theirs = f"{trained.config.arch} {trained.config.size}"
        raise UsageError(f"the run to start from is a {theirs}, which another architecture or size cannot take over")
    weights = trained.state_dict()
    rows = weights.pop("tokens")
    model.load_state_dict(weights, strict=False)
    labels = rows[trained_codec.label_base : trained_codec.size]
    model.tokens[: codec.label_base] = rows[: codec.label_base]
    model.tokens[codec.label_base : codec.size] = labels.mean(0)
    for label in codec.labels:
        if label.name in trained_codec.label_index:
            model.tokens[codec.label_token(label.name)] = rows[trained_codec.label_token(label.name)]
