"""Every model: its sizes, and step() against forward()."""

import pytest
import torch

from edgegen import models
from edgegen.codec import Codec, Label
from edgegen.errors import EdgegenError, UsageError

CODEC = Codec((Label("dns", 0.5), Label("web", 0.5)), max_packets=6)
PARAMETERS = {"tiny": (180_000, 230_000), "base": (1_900_000, 2_100_000)}
# Codes of eight numbers leave a diffusion fewer.
FEWER = {("diffusion", "base"): (1_750_000, 1_900_000)}
each_arch = pytest.mark.parametrize("arch", models.ARCHS)
token_by_token = pytest.mark.parametrize("arch", ["llama", "mamba"])


def model_of(arch: str, size: str = "tiny", codec: Codec = CODEC) -> models.Generator:
    torch.manual_seed(0)
    return models.create(models.configure(arch, size, codec)).eval()


@each_arch
@pytest.mark.parametrize("size", PARAMETERS)
def test_size(arch: str, size: str) -> None:
    low, high = FEWER.get((arch, size), PARAMETERS[size])
    parameters = sum(p.numel() for p in model_of(arch, size, Codec(CODEC.labels)).parameters())
    assert low < parameters < high


@token_by_token
@torch.no_grad()
def test_training_hides_exact_lengths_and_nothing_else(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(arch)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    packet = CODEC.packet_base + 64
    tokens = torch.tensor([[CODEC.label_base, packet, packet + 9, packet + 31, 0, 0]])
    same_bins = tokens + torch.tensor([[0, 31, 1, -31, 0, 0]])
    another_bin, another_label = (tokens + torch.tensor([[*change, 0, 0, 0, 0]]) for change in ((0, 32), (1, 0)))

    def alike(other: torch.Tensor) -> bool:
        return torch.allclose(model.read(tokens)[0], model.read(other)[0], atol=1e-4)

    monkeypatch.setattr(model, "coarse_only_share", 1.0)
    assert not alike(same_bins)
    model.train()
    assert alike(same_bins)
    assert not alike(another_bin)
    assert not alike(another_label)
    monkeypatch.setattr(model, "coarse_only_share", 0.0)
    trained = model.read(tokens)[0]
    torch.testing.assert_close(trained, model.eval().read(tokens)[0])


@token_by_token
@torch.no_grad()
def test_step_equals_forward_with_rows_refilled(arch: str) -> None:
    """Rows end at random times and start anew at position 0 while the others go on."""
    model = model_of(arch)
    generator = torch.Generator().manual_seed(1)
    rows, steps = 5, CODEC.steps

    def fresh() -> torch.Tensor:
        return torch.randint(0, CODEC.size, (steps,), generator=generator)

    tokens = [fresh() for _ in range(rows)]
    whole = [model(row[None])[0] for row in tokens]
    position = torch.zeros(rows, dtype=torch.int64)
    # Stale contents of a state must not matter.
    state = tuple(torch.full_like(part, 1e6) for part in model.initial_state(rows))
    for _ in range(3 * steps):
        now = torch.stack([tokens[r][position[r]] for r in range(rows)])
        logits, *new = model.step(now, position, *state)
        state = tuple(new)
        for r in range(rows):
            torch.testing.assert_close(logits[r], whole[r][position[r]], atol=1e-4, rtol=0)
        position += 1
        over = (position == steps) | (torch.rand(rows, generator=generator) < 0.1)
        for r in torch.nonzero(over).flatten().tolist():
            tokens[r], position[r] = fresh(), 0
            whole[r] = model(tokens[r][None])[0]


@each_arch
@torch.no_grad()
def test_state_matches_its_names(arch: str) -> None:
    model = model_of(arch)
    model.fold()
    state = model.initial_state(3)
    assert len(state) == len(model.state_names()) == len(set(model.state_names()))
    logits, *new = model.step(torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), *state)
    outputs = (CODEC.steps,) if model.refinements else ()
    assert logits.shape == (3, *outputs, model.config.vocabulary)
    assert [part.shape for part in new] == [part.shape for part in state]


@token_by_token
@torch.no_grad()
def test_folding_keeps_the_outputs(arch: str) -> None:
    model = model_of(arch)
    tokens = torch.arange(2 * CODEC.steps).reshape(2, -1)
    before = model(tokens)
    model.fold()
    assert model.coarse is None
    torch.testing.assert_close(model(tokens), before, atol=0, rtol=0)


@each_arch
def test_coarse_part_is_shared_by_a_bin_of_one_direction_only(arch: str) -> None:
    model = model_of(arch)
    assert model.coarse is not None
    with torch.no_grad():
        coarse = model.table() - model.tokens
    base, span = CODEC.packet_base, CODEC.max_pl + 1
    torch.testing.assert_close(coarse[base], coarse[base + 31], atol=1e-6, rtol=0)
    assert (coarse[base] - coarse[base + 32]).abs().max() > 1e-3
    assert (coarse[base] - coarse[base + span]).abs().max() > 1e-3
    assert not coarse[:base].any()
    assert not coarse[CODEC.end :].any()


@each_arch
def test_configuration_survives_json(arch: str) -> None:
    config = models.configure(arch, "base", CODEC)
    assert models.from_json(config.to_json()) == config


@pytest.mark.parametrize("damage", [{"arch": "gru"}, {"unknown": 1}])
def test_damaged_configuration_is_named(damage: dict[str, object]) -> None:
    data = models.configure("llama", "tiny", CODEC).to_json() | damage
    with pytest.raises(EdgegenError, match="configuration is damaged"):
        models.from_json(data)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match="llama, mamba, diffusion"):
        models.configure("gru", "tiny", CODEC)
    with pytest.raises(UsageError, match="tiny, base"):
        models.configure("llama", "huge", CODEC)
