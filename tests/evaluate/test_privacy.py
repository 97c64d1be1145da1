"""Privacy: a copying generator is found out, an honest one is not."""

from dataclasses import replace

import numpy as np
import pytest
from toy import table

from edgegen.evaluate import transforms
from edgegen.evaluate.arrays import Arrays, concatenate
from edgegen.evaluate.privacy import copies, distance_ratio, membership, mixed_as, nats_of_flows, traced

TRAINING, HELD_OUT = table(200, 1), table(200, 2)


def test_copies_are_counted() -> None:
    half = concatenate([TRAINING[:50], table(25, 3)])
    found = copies(TRAINING, HELD_OUT, half)
    assert found["copy_rate"] == pytest.approx(0.5, abs=0.03)
    assert found["holdout_copy_rate"] < 0.03
    assert found["copy_excess_points"] == pytest.approx(100 * (found["copy_rate"] - found["holdout_copy_rate"]))


def mixed(a: int, b: int, seed: int) -> Arrays:
    """Flows of the first label that are all the same, and of the second as they come."""
    flows = table(a + b, seed)
    first, second = np.flatnonzero(flows.label == 0)[:a], np.flatnonzero(flows.label == 1)[:b]
    return concatenate([flows[np.full(a, first[0])], flows[second]])


def test_labels_that_repeat_more_are_no_copying_where_they_are_more_of() -> None:
    training = mixed(80, 20, 1)
    same = np.flatnonzero(training.label == 0)[:1]
    held_out, generated = mixed(20, 80, 2), mixed(80, 20, 3)
    held_out, generated = (
        concatenate([training[np.repeat(same, (side.label == 0).sum())], side[side.label == 1]])
        for side in (held_out, generated)
    )
    found = copies(training, held_out, generated)
    assert found["copy_rate"] == pytest.approx(0.8, abs=0.05)
    assert found["copy_excess_points"] == pytest.approx(0, abs=5)
    # Nor does an attacker learn anything from nats that are those of a label.
    inside, outside = training.label.astype(float), held_out.label.astype(float)
    assert membership(inside, outside)["membership_auc"] > 0.7
    assert membership(inside, outside, mixed_as(held_out, training))["membership_auc"] == pytest.approx(0.5)


def test_lengths_are_given_away_whatever_the_directions() -> None:
    turned = replace(TRAINING, dir=1 - TRAINING.dir)
    found = copies(TRAINING, HELD_OUT, turned)
    assert found["copy_rate"] < 0.03
    assert found["lengths_copy_rate"] == 1
    assert found["lengths_holdout_copy_rate"] < 0.1


def test_who_copies_lies_nearer_to_training_flows() -> None:
    assert distance_ratio(TRAINING, HELD_OUT, table(200, 3)) == pytest.approx(1, abs=0.1)
    assert distance_ratio(TRAINING, HELD_OUT, TRAINING) is None
    moved = replace(TRAINING, pl=TRAINING.pl + 1)
    assert (distance_ratio(TRAINING, HELD_OUT, moved) or 1) < 0.5


def test_changed_copies_lead_back_to_where_they_are_from() -> None:
    def back(generated: Arrays) -> float:
        found = traced(TRAINING, HELD_OUT, generated)
        assert found is not None
        return found

    # Twice as many training flows as held-out ones are no reason.
    assert back(table(400, 3)) == pytest.approx(0, abs=0.15)
    assert traced(concatenate([TRAINING, table(200, 4)]), HELD_OUT, table(400, 3)) == pytest.approx(0, abs=0.15)
    ceiling = back(TRAINING)
    assert ceiling > 0.9
    random = np.random.default_rng(0)
    for change in (transforms.edit, transforms.direction):
        assert 0.5 < back(change(TRAINING, TRAINING, random)) <= ceiling


def test_who_has_no_flow_to_compare_with_is_not_traced() -> None:
    assert traced(TRAINING, HELD_OUT[:0], TRAINING) is None


def test_membership_by_hand() -> None:
    found = membership(np.array([1.0, 2.0, 3.0]), np.array([2.5, 4.0]))
    # Of six pairs one is in the wrong order.
    assert found["membership_auc"] == pytest.approx(5 / 6)
    assert membership(np.arange(100.0), np.arange(100.0))["membership_auc"] == pytest.approx(0.5)
    assert membership(np.zeros(100), np.ones(100))["membership_true_positives"] == 1
    # One in a hundred of fewer is less than one.
    assert membership(np.zeros(100), np.ones(99))["membership_true_positives"] is None


def test_nats_are_those_of_the_model() -> None:
    """Against the one other way that they are reckoned, PyTorch's over whole sequences."""
    import torch
    from toy import made

    from edgegen.codec import Codec
    from edgegen.likelihood import nats_per_token
    from edgegen.models import configure, create
    from edgegen.models.stepper import TorchStepper

    flows = made(9, 4)
    codec = Codec.fit(flows, 10)
    torch.manual_seed(0)
    model = create(configure("llama", "tiny", codec)).eval()
    found = nats_of_flows(TorchStepper(model, 4), codec, flows)
    assert len(found) == len(flows)
    for flow, nats in zip(flows, found, strict=True):
        assert nats == pytest.approx(nats_per_token(model, codec, [flow]).per_token, rel=1e-4)
