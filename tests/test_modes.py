"""Modes of training flows: which flows share one, what a model is told of them, and how they are drawn."""

import numpy as np
import pytest
import torch

from edgegen.codec import Codec
from edgegen.flow import Flow
from edgegen.models import Generator
from edgegen.modes import LEAST, MEAN, MOST, Modes, draw_modes, label_of_modes
from edgegen.sequences import PAD, encode


def flow(label: str, first: int, second: int) -> Flow:
    return Flow(label, [first, second], [0, 1], [0.0, 0.01])


# Of "web" a quarter goes another way; of "dns" there are too few to tell ways apart.
SHORT = [flow("web", 40, 90 + i) for i in range(2 * MEAN - LEAST)]
LONG = [flow("web", 1400, 1000 + i) for i in range(LEAST)]
FEW = [flow("dns", 30, 60 + i) for i in range(2 * MEAN - 1)]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.fit(SHORT + LONG + FEW, 4)


@pytest.fixture(scope="module")
def modes(codec: Codec) -> Modes:
    return Modes(codec, encode(codec, SHORT + LONG + FEW))


def test_flows_that_go_the_same_way_have_the_same_mode(modes: Modes) -> None:
    codec = modes.codec
    dns, web = codec.labels
    assert (dns.modes, sorted(web.modes)) == ((), [len(LONG), len(SHORT)])
    for flows in (SHORT, LONG):
        (mode,) = set(modes.of(encode(codec, flows)).tolist())
        assert web.modes[mode - codec.mode_base] == len(flows)
    assert set(modes.of(encode(codec, FEW)).tolist()) == {codec.label_token("dns")}


def test_unseen_flows_have_the_nearest_mode_of_their_label(modes: Modes) -> None:
    codec = modes.codec
    near = encode(codec, [flow("web", 1390, 1100), flow("web", 44, 80), flow("dns", 1400, 1000)])
    seen = encode(codec, [LONG[0], SHORT[0], FEW[0]])
    assert modes.of(near).tolist() == modes.of(seen).tolist()
    cut = near[:, : int((near != PAD).sum(1).max())]
    assert torch.equal(modes.of(cut), modes.of(near))


def test_no_label_has_more_modes_than_can_be_learned() -> None:
    flows = [flow("web", 10 * (i % 97), i % 1000) for i in range((MOST + 9) * MEAN)]
    codec = Codec.fit(flows, 2, times=False)
    made = Modes(codec, encode(codec, flows)).codec
    (web,) = made.labels
    assert MOST // 2 < len(web.modes) <= MOST
    assert sum(web.modes) == len(flows)
    assert label_of_modes(made).tolist() == [made.label_base] * len(web.modes)


def test_a_flow_that_is_like_no_other_has_no_mode_of_its_own() -> None:
    """Told its mode, a generator would only have to learn it by heart."""
    alone = [Flow("web", [1472] * 4, [1] * 4, [0.0, 500.0, 500.0, 500.0])] * (LEAST - 1)
    flows = 2 * (SHORT + LONG) + alone
    codec = Codec.fit(flows, 4)
    made = Modes(codec, encode(codec, flows)).codec
    assert min(made.labels[0].modes) >= LEAST
    assert sum(made.labels[0].modes) == len(flows)


def test_a_model_is_told_the_mode_in_place_of_the_label(modes: Modes, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, told = encode(modes.codec, SHORT + LONG + FEW), []
    monkeypatch.setattr("edgegen.modes.objective", lambda model, codec, tokens: told.append(tokens))
    modes(Generator, modes.codec, tokens)  # type: ignore[arg-type]
    assert torch.equal(told[0][:, 0], modes.of(tokens))
    assert torch.equal(told[0][:, 1:], tokens[:, 1:])


def test_modes_are_drawn_by_share(modes: Modes) -> None:
    codec = modes.codec
    labels = codec.label_base + torch.arange(2).repeat(5_000)
    drawn = draw_modes(codec, labels, torch.Generator().manual_seed(0))
    assert set(drawn[::2].tolist()) == {codec.label_base}
    counts = np.bincount(drawn[1::2] - codec.mode_base, minlength=2)
    sizes = np.array(codec.labels[1].modes)
    assert np.abs(counts / 5_000 - sizes / sizes.sum()).max() < 0.02
    again = draw_modes(codec, labels, torch.Generator().manual_seed(0))
    assert torch.equal(again, drawn)
