"""Modes of training flows: which flows share one, and what a model is told of them."""

import pytest
import torch

from edgegen.codec import Codec
from edgegen.flow import Flow
from edgegen.modes import LEAST, MEAN, MOST, Modes
from edgegen.sequences import encode


def flow(label: str, first: int, second: int) -> Flow:
    return Flow(label, [first, second], [0, 1], [0.0, 0.01])


# Of "web" a quarter goes another way; of "dns" there are too few to tell ways apart, and all of "ntp" are the same.
SHORT = [flow("web", 40, 90 + i) for i in range(2 * MEAN - LEAST)]
LONG = [flow("web", 1400, 1000 + i) for i in range(LEAST)]
FEW = [flow("dns", 30, 60 + i) for i in range(2 * MEAN - 1)]
SAME = [flow("ntp", 48, 48) for _ in range(9 * MEAN)]
FLOWS = SHORT + LONG + FEW + SAME


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.fit(FLOWS, 4)


@pytest.fixture(scope="module")
def modes(codec: Codec) -> Modes:
    return Modes(codec, FLOWS)


def test_flows_that_go_the_same_way_have_the_same_mode(modes: Modes) -> None:
    codec = modes.codec
    dns, ntp, web = codec.labels
    assert (dns.modes, ntp.modes, sorted(web.modes)) == ((), (), [len(LONG), len(SHORT)])
    for flows in (SHORT, LONG):
        (mode,) = set(modes.encode(codec, flows)[:, 0].tolist())
        assert web.modes[mode - codec.mode_starts[2]] == len(flows)
    for name, flows in (("dns", FEW), ("ntp", SAME)):
        assert set(modes.encode(codec, flows)[:, 0].tolist()) == {codec.label_token(name)}


def test_unseen_flows_have_the_nearest_mode_of_their_label(modes: Modes) -> None:
    codec = modes.codec
    near = modes.encode(codec, [flow("web", 1390, 1100), flow("web", 44, 80), flow("dns", 1400, 1000)])
    seen = modes.encode(codec, [LONG[0], SHORT[0], FEW[0]])
    assert near[:, 0].tolist() == seen[:, 0].tolist()


def test_only_the_label_is_replaced(modes: Modes, codec: Codec) -> None:
    assert torch.equal(modes.encode(modes.codec, FLOWS)[:, 1:], encode(codec, FLOWS)[:, 1:])


def test_the_same_flows_have_the_same_modes_again(modes: Modes, codec: Codec) -> None:
    again = Modes(codec, FLOWS)
    assert again.codec == modes.codec
    assert torch.equal(again.encode(codec, FLOWS), modes.encode(codec, FLOWS))


def test_no_label_has_more_modes_than_can_be_learned() -> None:
    flows = [flow("web", 10 * (i % 97), i % 1000) for i in range((MOST + 9) * MEAN)]
    (web,) = Modes(Codec.fit(flows, 2, times=False), flows).codec.labels
    assert MOST // 2 < len(web.modes) <= MOST
    assert sum(web.modes) == len(flows)


def test_flows_that_are_like_no_others_have_no_mode_of_their_own() -> None:
    """Told their mode, a generator would only have to learn them by heart."""
    alone = [Flow("web", [1472] * 4, [1] * 4, [0.0, 500.0, 500.0, 500.0])] * (LEAST - 1)
    flows = 2 * (SHORT + LONG) + alone
    (web,) = Modes(Codec.fit(flows, 4), flows).codec.labels
    assert min(web.modes) >= LEAST
    assert sum(web.modes) == len(flows)
