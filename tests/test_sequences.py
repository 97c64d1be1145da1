"""Token tensors and the loss over legal tokens."""

from collections.abc import Iterator

import pytest
import torch

from edgegen import models
from edgegen.codec import Codec, Label
from edgegen.errors import EdgegenError
from edgegen.flow import Flow
from edgegen.likelihood import nats_per_token
from edgegen.sequences import NEAR_BYTES, PAD, encode, nats, objective

LABELS = (Label("dns", 0.5), Label("web", 0.5))
FLOWS = [
    Flow("dns", [40, 90], [0, 1], [0.0, 0.01]),
    Flow("web", [517, 1400, 1400, 80], [0, 1, 1, 0], [0.0, 0.02, 0.0, 0.1]),
    Flow("web", [300], [0], [0.0]),
]


def codec_of(times: bool) -> Codec:
    return Codec(LABELS, 4) if times else Codec(LABELS, 4, iat_edges_us=())


def model_of(codec: Codec) -> models.Generator:
    torch.manual_seed(0)
    return models.create(models.configure("llama", "tiny", codec)).eval()


def choices_of(model: models.Generator, codec: Codec, flows: list[Flow]) -> Iterator[tuple[int, int, torch.Tensor]]:
    """The slow way, one position at a time: each token that was a choice, the first legal one, and all legal logits."""
    for flow in flows:
        sequence = codec.encode(flow)
        logits = model(torch.tensor([sequence[:-1]])[:, : codec.steps])[0]
        for position in range(1, len(sequence)):
            low, high = codec.legal(position)
            if high - low > 1:
                yield sequence[position], low, logits[position - 1, low:high]


@pytest.mark.parametrize("times", [True, False])
def test_padding_follows_the_end(times: bool) -> None:
    codec = codec_of(times)
    tokens = encode(codec, FLOWS)
    assert tokens.shape == (3, codec.length)
    for row, flow in zip(tokens.tolist(), FLOWS, strict=True):
        end = row.index(codec.end)
        assert row[: end + 1] == codec.encode(flow)
        assert set(row[end + 1 :]) <= {PAD}


@pytest.mark.parametrize("times", [True, False])
@torch.no_grad()
def test_nats_are_a_softmax_over_the_legal_tokens(times: bool) -> None:
    codec = codec_of(times)
    model, tokens = model_of(codec), encode(codec, FLOWS)
    made = choices_of(model, codec, FLOWS)
    expected = [-logits.log_softmax(-1)[token - low].item() for token, low, logits in made]
    losses = nats(model, codec, tokens)
    torch.testing.assert_close(losses.sort().values, torch.tensor(expected).sort().values, atol=1e-4, rtol=0)


@pytest.mark.parametrize("times", [True, False])
@torch.no_grad()
def test_a_share_of_a_packet_goes_to_those_of_about_its_length(times: bool) -> None:
    """Against the slow way: the whole distribution that is aimed at, for one packet at a time."""
    codec = codec_of(times)
    flows = [*FLOWS, Flow("dns", [3, codec.max_pl], [0, 0], [0.0, 0.0]), Flow("web", [1, 1], [0, 1], [0.0, 0.0])]
    model, tokens = model_of(codec), encode(codec, flows)
    expected = []
    for token, low, logits in choices_of(model, codec, flows):
        aim = torch.zeros(len(logits))
        aim[token - low] = 1.0
        if codec.packet_base <= token < codec.end:
            direction, pl = divmod(token - codec.packet_base, codec.max_pl + 1)
            first, last = max(0, pl - NEAR_BYTES), min(codec.max_pl, pl + NEAR_BYTES)
            start = codec.packet_base - low + direction * (codec.max_pl + 1)
            aim *= 0.9
            aim[start + first : start + last + 1] += 0.1 / (last - first + 1)
        expected.append(-(aim * logits.log_softmax(-1)).sum().item())
    losses, _ = objective(model, codec, tokens, 0.1)
    torch.testing.assert_close(losses.sort().values, torch.tensor(expected).sort().values, atol=1e-4, rtol=0)


@pytest.mark.parametrize("times", [True, False])
def test_forced_tokens_are_no_choice(times: bool) -> None:
    codec = codec_of(times)
    model = model_of(codec)
    choices = [len(nats(model, codec, encode(codec, [flow]))) for flow in FLOWS]
    # Three packets of a flow of four (its end is forced), and so on; the first time is always 0.
    packets_and_ends, later_times = [3, 4, 2], [1, 3, 0]
    expected = [p + t if times else p for p, t in zip(packets_and_ends, later_times, strict=True)]
    assert choices == expected


@torch.no_grad()
def test_likelihood_counts_tokens_and_packets() -> None:
    codec = codec_of(times=True)
    model = model_of(codec).train()
    found = nats_per_token(model, codec, FLOWS)
    assert (found.tokens, found.packets) == (13, 7)
    assert found.per_token * 13 == pytest.approx(found.per_packet * 7)
    assert model.training
    assert found == nats_per_token(model, codec, FLOWS), "dropout must be off"
    with pytest.raises(EdgegenError, match="no flows"):
        nats_per_token(model, codec, [])
