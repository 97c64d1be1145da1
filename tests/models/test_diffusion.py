"""The generator of whole flows: its noise, its codes, what it reads of a sequence, and its path."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgegen import models
from edgegen.codec import Codec, Label
from edgegen.errors import UsageError
from edgegen.flow import Flow
from edgegen.models.diffusion import TRAINING_NOISE, Diffusion, noise
from edgegen.models.kinds import trust
from edgegen.runtime import sampling
from edgegen.sequences import PAD, encode, nats

CODEC = Codec((Label("dns", 0.5), Label("web", 0.5)), max_packets=6)
FLOWS = [
    Flow("dns", [40, 90], [0, 1], [0.0, 0.02]),
    Flow("web", [517, 1400, 1400, 80, 60, 700], [0, 1, 1, 0, 0, 1], [0.0, 0.01, 0.0, 0.3, 2.0, 0.0]),
]


@pytest.fixture
def model() -> Diffusion:
    torch.manual_seed(0)
    made = models.create(models.configure("diffusion", "tiny", CODEC)).eval()
    assert isinstance(made, Diffusion)
    return made


def test_noise_is_that_of_the_engine() -> None:
    """As a distribution: what is trained on is what is sampled from."""
    ours = noise((100_000,), torch.Generator().manual_seed(0))
    theirs = torch.from_numpy(sampling.noise(7, np.arange(1000, dtype=np.uint64), 100).ravel())
    levels = torch.from_numpy((np.arange(1021, dtype=np.float32) - 510) * sampling.NOISE_SCALE)
    for sample in (ours, theirs):
        assert torch.isin(sample, levels).all()
        assert abs(sample.mean().item()) < 0.01
        assert sample.var().item() == pytest.approx(1, abs=0.01)


def test_codes_have_the_scale_of_noise(model: Diffusion) -> None:
    codes = model.codes()
    torch.testing.assert_close((codes * codes).mean(1), torch.ones(len(codes)), atol=1e-3, rtol=0)


def test_losses_are_of_the_choices_and_the_same_again(model: Diffusion) -> None:
    tokens = encode(CODEC, FLOWS)
    losses = nats(model, CODEC, tokens)
    # A packet each, its time but the first's, and the <end> that the longest does not choose.
    assert len(losses) == (2 + 1 + 1) + (6 + 5)
    assert torch.equal(losses, nats(model, CODEC, tokens))
    assert not torch.equal(losses, nats(model.train(), CODEC, tokens))


def test_what_follows_the_end_is_all_the_same(model: Diffusion) -> None:
    tokens = encode(CODEC, FLOWS[:1])
    cut = tokens[:, : int((tokens != PAD).sum())]
    torch.testing.assert_close(model.read(cut), model.read(tokens))


@torch.no_grad()
def test_training_shows_some_packets_by_their_bin_alone(model: Diffusion) -> None:
    up = CODEC.packet_base + 517
    same_bin, other_direction = up + 10, up + CODEC.max_pl + 1
    packets = torch.tensor([up, same_bin, other_direction]).expand(5_000, 3)
    others = torch.tensor([0, CODEC.packet_base - 1, CODEC.end]).expand(5_000, 3)
    codes = model.raw_codes()
    assert torch.equal(model.shown(codes[packets], packets), codes[packets])
    model.train()
    assert torch.equal(model.shown(codes[others], others), codes[others])
    shown = model.shown(codes[packets], packets)
    coarse = (shown != codes[packets]).any(2)
    assert coarse.float().mean().item() == pytest.approx(model.coarse_only_share, abs=0.01)
    here, beside, across = (shown[coarse[:, i], i] for i in range(3))
    torch.testing.assert_close(here, beside[:1].expand_as(here))
    assert not torch.isclose(here[0], across[0]).any()


@torch.no_grad()
def test_a_flow_starts_from_more_noise_than_is_learned_from(model: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Tensor] = []
    trunk = model.trunk

    def listening(x: Tensor, *others: Tensor) -> Tensor:
        read.append(x)
        return trunk(x, *others)

    monkeypatch.setattr(model, "trunk", listening)
    monkeypatch.setattr(model, "raw_codes", lambda: torch.zeros(model.config.vocabulary, model.config.code))
    model.read(encode(CODEC, FLOWS * 1_000))
    # Nothing but noise, less of it the later: a mean square of a third over all times.
    assert (3 * read[0].square().mean()).item() == pytest.approx(TRAINING_NOISE**2, rel=0.01)


def path(model: Diffusion, start: Tensor, label: int) -> list[tuple[Tensor, ...]]:
    """What every refinement gives."""
    made: list[tuple[Tensor, ...]] = []
    state: tuple[Tensor, ...] = (start, torch.full_like(start, 1e6))
    token = torch.full((len(start),), CODEC.label_base + label)
    for position in range(model.refinements):
        made.append(model.step(token, torch.full_like(token, position), *state))
        state = made[-1][1:]
    return made


@torch.no_grad()
def test_steps_go_the_path_to_the_codes_that_are_expected(model: Diffusion) -> None:
    start = noise((3, CODEC.steps * model.config.code))
    label = torch.full((3,), CODEC.label_base)
    vectors, expectations = model.path(label, start)
    logits = vectors @ model.table().T
    model.fold()
    made = path(model, start, 0)
    assert len(made) == len(expectations) == model.refinements
    torch.testing.assert_close(made[-1][1], expectations[-1])
    torch.testing.assert_close(made[-1][0], logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(made[0][1], start + (expectations[0] - start) / model.refinements**2)


def test_refinements_stand_closer_the_earlier_and_reach_the_end(model: Diffusion) -> None:
    model.refine_in(5)
    passed, shares = (model.get_buffer(name)[:, 0] for name in ("passed", "shares"))
    torch.testing.assert_close(passed, torch.tensor([0, 1, 4, 9, 16]) / 25)
    left = (1 - shares).cumprod(0)
    torch.testing.assert_close(left[:-1], 1 - passed[1:])
    assert left[-1] == 0


def test_odds_over_kinds_teach_the_network_too(model: Diffusion) -> None:
    model.train()
    _, besides = model.read(encode(CODEC, FLOWS))
    (taught,) = torch.autograd.grad(besides, [model.ask.weight])
    assert taught.abs().max() > 0


@torch.no_grad()
def test_a_path_that_is_known_is_gone_to_its_end(model: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that knows the kinds expects their codes at any time, and its path leads to them."""
    tokens = encode(CODEC, FLOWS)
    model.kinds.count_tokens(tokens)
    # Others are as good as never there, and leave a kind its one code.
    model.kinds.get_buffer("frequencies").mul_(1e9)
    tokens = tokens[:, 1 : 1 + CODEC.steps]
    filled = tokens.masked_fill(tokens == PAD, CODEC.end)
    codes, kinds = model.codes()[filled].flatten(1), model.kinds.of_tokens()[filled]
    monkeypatch.setattr(model.kinds, "logits", lambda vectors: 1e3 * F.one_hot(kinds, model.kinds.count).float())
    start = noise(tuple(codes.shape), torch.Generator().manual_seed(0))
    _, expectations = model.path(encode(CODEC, FLOWS)[:, 0], start)
    for expected in expectations:
        torch.testing.assert_close(expected, codes, atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_what_is_expected_is_the_estimate_the_more_the_later(model: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    estimates: list[Tensor] = []
    vectors = model.vectors

    def listening(hidden: Tensor, estimate: Tensor) -> Tensor:
        estimates.append(estimate)
        return vectors(hidden, estimate)

    kind, spread = torch.ones(model.config.code), torch.tensor(0.1)
    monkeypatch.setattr(model, "vectors", listening)
    monkeypatch.setattr(model.kinds, "means", lambda codes: (kind.expand(model.kinds.count, -1), spread))
    start = noise((3, CODEC.steps * model.config.code))
    _, expectations = model.path(torch.full((3,), CODEC.label_base), start)
    for number, (estimate, expected) in enumerate(zip(estimates, expectations, strict=True)):
        share = trust(torch.tensor((number / 8) ** 2), spread, TRAINING_NOISE)
        torch.testing.assert_close(expected, (1 - share) + share * estimate)


@torch.no_grad()
def test_another_label_is_another_path(model: Diffusion) -> None:
    model.fold()
    start = noise((1, CODEC.steps * model.config.code))
    assert not torch.equal(path(model, start, 0)[-1][0], path(model, start, 1)[-1][0])


@torch.no_grad()
def test_a_mode_is_its_label_and_what_it_adds() -> None:
    torch.manual_seed(0)
    codec = Codec((Label("dns", 0.5, modes=(1, 2)), Label("web", 0.5, modes=(3,))), max_packets=6)
    model = models.create(models.configure("diffusion", "tiny", codec)).eval()
    assert isinstance(model, Diffusion)
    model.know(codec, encode(codec, FLOWS))
    own, table = model.tokens[codec.mode_base : codec.size], model.table()
    labels = table[[codec.label_base, codec.label_base, codec.label_base + 1]]
    torch.testing.assert_close(table[codec.mode_base : codec.size], labels + own)
    model.fold()
    torch.testing.assert_close(model.table(), table)
    start = noise((1, codec.steps * model.config.code))
    first, second = (path(model, start, 2 + mode)[-1][0] for mode in (0, 1))
    assert not torch.equal(first, second)


@torch.no_grad()
def test_folding_keeps_the_guess(model: Diffusion) -> None:
    start = noise((2, CODEC.steps * model.config.code))
    label, time = model.table()[[CODEC.label_base] * 2], torch.full((2,), (3 / model.refinements) ** 2)
    before = model.guess(model.trunk(start, start, label, model.time_rows(time)))
    model.fold()
    model.fold()
    at = torch.full((2,), 3)
    after = model.step(torch.full((2,), CODEC.label_base), at, start, start)[2]
    torch.testing.assert_close(after, before)


@torch.no_grad()
def test_fewer_refinements_are_longer_steps_on_the_same_path(model: Diffusion) -> None:
    model.refine_in(2)
    assert model.config.refinements == model.refinements == 2
    start = noise((1, CODEC.steps * model.config.code))
    _, expectations = model.path(torch.tensor([CODEC.label_base]), start)
    model.fold()
    first, last = (codes for _, codes, _ in path(model, start, 0))
    torch.testing.assert_close(first, start + (expectations[0] - start) / 4)
    torch.testing.assert_close(last, expectations[1])


@pytest.mark.parametrize("wrong", [0, -1, 65])
def test_a_number_of_refinements_that_makes_no_sense_is_refused(model: Diffusion, wrong: int) -> None:
    with pytest.raises(UsageError, match=r"outside 1\.\.64"):
        model.refine_in(wrong)
