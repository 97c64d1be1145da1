"""Baselines and transforms: legal flows, as many as asked for, changed as they say and no further."""

import numpy as np
import pytest
from toy import table

from edgegen.errors import UsageError
from edgegen.evaluate import ctgan
from edgegen.evaluate.arrays import flows_of
from edgegen.evaluate.baselines import BASELINES, copy, markov
from edgegen.evaluate.transforms import TRANSFORMS, transform
from edgegen.flow import fault

TRAINING = table(60, 1)
WANTED = np.array([30, 50])


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for CTGAN to make flows, not for good ones."""
    monkeypatch.setattr(ctgan, "EPOCHS", 5)


@pytest.mark.parametrize("name", BASELINES)
def test_as_many_legal_flows_as_are_wanted(name: str) -> None:
    flows = BASELINES[name](TRAINING, WANTED, np.random.default_rng(0))
    assert np.bincount(flows.label).tolist() == WANTED.tolist()
    assert [fault(flow) for flow in flows_of(flows)] == [None] * len(flows)
    assert (flows.count >= 1).all()
    none = ~flows.present
    assert not any(column[none].any() for column in (flows.pl, flows.dir, flows.iat))


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_random_numbers_make_the_same_flows(name: str) -> None:
    one, two = (BASELINES[name](TRAINING, WANTED, np.random.default_rng(5)) for _ in range(2))
    assert one.features().tolist() == two.features().tolist()


def test_a_copy_is_a_training_flow_and_a_chain_follows_training_transitions() -> None:
    known = set(TRAINING.patterns())
    random = np.random.default_rng(0)
    assert set(copy(TRAINING, WANTED, random).patterns()) <= known
    flows = markov(TRAINING, WANTED, random)
    assert not set(flows.patterns()) <= known
    for label in (0, 1):
        seen = {
            pair
            for side in (TRAINING,)
            for row in np.flatnonzero(side.label == label)
            for pair in zip(side.pl[row], side.pl[row][1:], strict=False)
        }
        for row in np.flatnonzero(flows.label == label):
            n = flows.count[row]
            assert {*zip(flows.pl[row, : n - 1], flows.pl[row, 1:n], strict=True)} <= seen


def test_each_transform_changes_only_its_own() -> None:
    columns = {"payload": "pl", "direction": "dir", "time": "iat"}
    for name, column in columns.items():
        changed = transform(name, TRAINING, TRAINING, np.random.default_rng(0))
        for other in ("pl", "dir", "iat", "count", "label"):
            same = (getattr(changed, other) == getattr(TRAINING, other)).all()
            assert same == (other != column), (name, other)


def test_payload_stays_in_what_the_label_has() -> None:
    changed = transform("payload", TRAINING, TRAINING, np.random.default_rng(0))
    groups = [
        (TRAINING.label == label) & (TRAINING.dir[:, 2] == turn) & TRAINING.present[:, 2]
        for label, turn in ((0, 0), (1, 0), (1, 1))
    ]
    for group in groups:
        real, new = TRAINING.pl[group, 2], changed.pl[group, 2]
        assert real.min() <= new.min()
        assert new.max() <= real.max()
        assert (real != new).any()


def test_an_edit_drops_or_repeats_packets() -> None:
    changed = transform("edit", TRAINING, TRAINING, np.random.default_rng(0))
    for row in range(len(TRAINING)):
        before, after = (side.pl[row, : side.count[row]].tolist() for side in (TRAINING, changed))
        assert set(after) <= set(before)
        assert abs(len(after) - len(before)) <= 4


def test_an_unknown_transform_is_named() -> None:
    with pytest.raises(UsageError, match=f"'shuffle' is none of {', '.join(TRANSFORMS)}"):
        transform("shuffle", TRAINING, TRAINING, np.random.default_rng(0))
