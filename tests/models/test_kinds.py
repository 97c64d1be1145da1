"""Kinds of tokens: which share one, what a kind's code is, and how much of a code it leaves out."""

from dataclasses import replace

import pytest
import torch

from edgegen import models
from edgegen.codec import Codec, Label
from edgegen.models.base import COARSE_BYTES
from edgegen.models.diffusion import Diffusion, DiffusionConfig
from edgegen.models.kinds import MULTIPLE, Kinds, trust

CODEC = Codec((Label("dns", 0.5), Label("web", 0.5)), max_packets=6)
UP = CODEC.packet_base
DOWN = UP + CODEC.max_pl + 1


def config_of(codec: Codec) -> DiffusionConfig:
    config = models.configure("diffusion", "tiny", codec)
    assert isinstance(config, DiffusionConfig)
    return config


def kinds_of(config: DiffusionConfig) -> Kinds:
    model = models.create(config)
    assert isinstance(model, Diffusion)
    return model.kinds


@pytest.fixture
def kinds() -> Kinds:
    """That has seen 90 bytes up most often, then 517 down."""
    torch.manual_seed(0)
    config = config_of(CODEC)
    made = kinds_of(config)
    ends = [CODEC.end, -1, -1]
    flows = [[CODEC.label_base, UP + 90, *ends]] * 3 + [[CODEC.label_base, DOWN + 517, *ends]] * 2
    made.count_tokens(torch.tensor(flows))
    return made


def test_common_packets_have_a_kind_each_and_others_one_for_a_bin(kinds: Kinds) -> None:
    of_tokens = kinds.of_tokens()
    assert len(of_tokens) == CODEC.end + 1
    assert kinds.count % MULTIPLE == 0
    # Each time, <end>, and the two that are common are alone in their kinds.
    for token in (*range(CODEC.packet_base), CODEC.end, UP + 90, DOWN + 517):
        assert (of_tokens == of_tokens[token]).sum() == 1
    assert of_tokens[UP + 1300] == of_tokens[UP + 1301] != of_tokens[UP + 1300 + COARSE_BYTES]
    assert of_tokens[UP + 1300] != of_tokens[DOWN + 1300]
    assert of_tokens[UP + 91] != of_tokens[UP + 90]
    assert of_tokens.min() == 0
    assert of_tokens.max() == kinds.count - 1


def test_a_codec_of_few_lengths_has_fewer_common_packets_than_there_is_room_for() -> None:
    config = replace(config_of(CODEC), max_pl=2, common=100)
    kinds = kinds_of(config)
    packets = kinds.of_tokens()[config.packet_base : config.packet_base + 6]
    assert len(packets.unique()) == 6
    means, spread = kinds.means(torch.randn(config.vocabulary, 4))
    assert means.isfinite().all()
    assert spread.item() == pytest.approx(0, abs=1e-9)  # Each packet is its kind.


def test_the_code_of_a_kind_is_its_tokens_mean_as_often_as_they_are(kinds: Kinds) -> None:
    frequencies, codes = kinds.get_buffer("frequencies"), torch.randn(kinds.config.vocabulary, 8)
    frequencies.copy_(torch.randint(1, 100, frequencies.shape))
    means, spread = kinds.means(codes)
    of_tokens, left_out, total = kinds.of_tokens(), 0.0, 0.0
    for kind in range(kinds.count):
        tokens = (of_tokens == kind).nonzero()[:, 0]
        weights = frequencies[tokens, None]
        mean = (weights * codes[tokens]).sum(0) / weights.sum()
        torch.testing.assert_close(means[kind], mean, atol=1e-3, rtol=1e-3)
        left_out += (weights * (codes[tokens] - mean).square().mean(1, keepdim=True)).sum().item()
        total += weights.sum().item()
    assert spread.item() == pytest.approx(left_out / total, rel=1e-3)


def test_tokens_that_were_never_seen_have_a_code(kinds: Kinds) -> None:
    means, _ = kinds.means(torch.randn(kinds.config.vocabulary, 8))
    assert means.isfinite().all()
    assert (means[kinds.of_tokens()] != 0).any(1).all()


def test_an_estimate_is_trusted_when_a_place_tells_more_than_a_kind() -> None:
    time = torch.linspace(0, 0.99, 12)
    shares = trust(time, torch.tensor(0.05), noise=0.8)
    assert shares[0] == 0
    assert (shares.diff() > 0).all()
    assert shares[-1] > 0.99
    assert (trust(time, torch.tensor(0.0), noise=0.8) == 0).all()
