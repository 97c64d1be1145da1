"""Curves of macro-F1 by number of real flows: what is added helps where it should, and the real flows weigh as said."""

import numpy as np
import pytest
from toy import LABELS, made, table

from edgegen.evaluate import tables
from edgegen.evaluate.arrays import Arrays, Ints, arrays, some
from edgegen.evaluate.augmentation import ADDED, curves, edited, gains, together
from edgegen.evaluate.figures import augmentation

TRAINING, TEST = table(200, 1), table(100, 2)


def test_flows_of_the_same_kind_close_the_gap_and_others_open_it() -> None:
    def good(wanted: Ints, seed: int) -> Arrays:
        return some(arrays(made(int(wanted.max()), 10 + seed), LABELS, 10), wanted, seed)

    def swapped(wanted: Ints, seed: int) -> Arrays:
        flows = good(wanted, seed)
        return Arrays(flows.pl, flows.dir, flows.iat, flows.count, 1 - flows.label, flows.labels)

    found, other = (curves(TRAINING, TEST, source, (2, 10), draws=3) for source in (good, swapped))
    assert [row["real_flows"] for row in found["rows"]] == [2, 10]
    for row, worse in zip(found["rows"], other["rows"], strict=True):
        assert set(row) == {"real_flows", "real", "edit", *(f"generator_{n}" for n in ADDED)}
        assert row["generator_1000"]["macro_f1"] > 0.97 * found["all"]
        assert worse["generator_1000"]["macro_f1"] < row["real"]["macro_f1"]
        assert worse["real"] == row["real"]
    headings, lines = tables.augmentation(found)
    assert [len(line) for line in lines] == [len(headings)] * 3
    assert "<svg" in augmentation(found)


def test_gains_are_of_ten_flows() -> None:
    row = {
        name: {"macro_f1": value} for name, value in (("real", 0.5), ("generator_100", 0.6), ("generator_1000", 0.7))
    }
    assert gains([row | {"real_flows": 5}], 0.9) == {}
    found = gains([row | {"real_flows": 10}], 0.9)
    assert found == {
        "gain_points": pytest.approx(20),
        "gain_percent": pytest.approx(40),
        "gap_closed": pytest.approx(0.5),
    }
    nothing = gains([row | {"real": {"macro_f1": 0.0}, "real_flows": 10}], 0.9)
    assert (nothing["gain_points"], nothing["gain_percent"]) == (pytest.approx(70), None)
    assert gains([row | {"real_flows": 10}], 0.5)["gap_closed"] is None


def test_real_flows_weigh_half_and_a_label_gives_what_it_has() -> None:
    few = some(TRAINING, np.array([3, 500]), 0)
    assert np.bincount(few.label).tolist() == [3, 200]
    flows, weights = together(few, edited(few, 50, np.random.default_rng(0)))
    assert weights is not None
    assert len(flows) == len(weights) == 303
    assert weights[: len(few)].sum() == pytest.approx(weights[len(few) :].sum())
    assert weights.mean() == pytest.approx(1)
    assert together(few, None) == (few, None)
    assert set(few.patterns()) <= set(TRAINING.patterns())
