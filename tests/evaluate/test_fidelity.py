"""Figures of fidelity: right where they can be worked out by hand, and in order where they cannot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from toy import LABELS, made, table

from edgegen.evaluate.arrays import Arrays, arrays
from edgegen.evaluate.distributions import (
    SIGNED_BINS,
    autocorrelation,
    bursts,
    bytes_down,
    bytes_up,
    jensen_shannon,
    transitions,
)
from edgegen.evaluate.fidelity import by_label, density_and_coverage, fidelity, two_sample_auc
from edgegen.flow import Flow


def one(*flows: Flow) -> Arrays:
    return arrays(flows, ("x",), 6)


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4), st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_divergence_is_scipys_squared(a: list[int], b: list[int]) -> None:
    p, q = (np.array(counts) + 1.0 for counts in (a, b))
    p, q = p / p.sum(), q / q.sum()
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-12)


def test_bursts_are_runs_of_one_direction() -> None:
    flows = one(Flow("x", [1, 2, 3, 4], [0, 0, 1, 1], [0.0, 1.0, 2.0, 3.0]), Flow("x", [5], [0], [0.0]))
    count, size, seconds = bursts(flows)
    assert (count.tolist(), size.tolist(), seconds.tolist()) == ([2, 2, 1], [3, 7, 5], [1, 3, 0])
    assert (bytes_up(flows).tolist(), bytes_down(flows).tolist()) == ([3, 5], [7, 0])


def test_transitions_count_start_and_end() -> None:
    joint = transitions(one(Flow("x", [10, 1472], [0, 1], [0.0, 0.0])))
    edge = 2 * SIGNED_BINS
    assert joint.sum() == pytest.approx(1)
    assert joint[edge, 0] == joint[0, edge - 1] == joint[edge - 1, edge] == pytest.approx(1 / 3)


def test_a_flow_as_long_as_the_table_ends_too() -> None:
    joint = transitions(one(Flow("x", [10] * 6, [0] * 6, [0.0] * 6)))
    assert joint[0, 2 * SIGNED_BINS] == pytest.approx(1 / 7)


def test_alternating_packets_correlate_negatively() -> None:
    flow = Flow("x", [100, 100] * 3, [0, 1] * 3, [0.0] * 6)
    assert autocorrelation(one(*[flow] * 10), 1) == pytest.approx(-1)
    assert autocorrelation(one(*[flow] * 10), 2) == pytest.approx(1)


def test_what_is_alike_scores_well_and_what_is_not_badly() -> None:
    real, alike, other = table(300, 1), table(300, 2), table(300, 3, shift=40)
    good, bad = fidelity(real, alike), fidelity(real, other)
    assert good["two_sample_auc"] < 0.6 < 0.95 < bad["two_sample_auc"]
    for name in ("pl_jsd", "pl_wasserstein", "transition_jsd", "pl_position_jsd", "bytes_up_jsd"):
        assert good[name] < bad[name] / 3
    assert bad["pl_wasserstein"] > 10
    assert good["coverage"] > 0.9 > bad["coverage"]
    assert 0.9 < good["density"] < 1.1
    assert good["dir_jsd"] < 0.001


def test_flows_of_another_label_are_found_out() -> None:
    real, other = table(300, 1), table(300, 2)
    swapped = Arrays(other.pl, other.dir, other.iat, other.count, 1 - other.label, LABELS)
    assert two_sample_auc(real, other, 0) == pytest.approx(0.5, abs=0.06)
    assert two_sample_auc(real, swapped, 0) > 0.95
    assert by_label(real, swapped)["a"]["pl_jsd"] > 10 * by_label(real, other)["a"]["pl_jsd"]


def test_times_that_nobody_makes_are_not_measured() -> None:
    without = [arrays(made(60, seed), LABELS, 10, times=False) for seed in (1, 2)]
    assert not [name for name in fidelity(*without) if name.startswith(("iat", "burst_seconds"))]


def test_too_few_flows_are_none_and_never_nan() -> None:
    real, few = table(4, 1), table(4, 2)
    found = fidelity(real, few)
    assert found["two_sample_auc"] is found["density"] is found["packets_jsd"] is None
    assert found["transition_jsd"] is None
    one = table(1, 1)
    assert fidelity(one, one)["autocorrelation"] is None
    assert all(value is None or np.isfinite(value) for value in found.values())


def test_equal_flows_lie_in_each_others_balls() -> None:
    """However far they are from the origin, where differences of squares are rounded most."""
    kinds = np.random.default_rng(0).integers(900, 1_400, (20, 6)).tolist()
    flows = [Flow("x", kinds[i % 20], [i % 2] * 6, [0.0] * 6) for i in range(400)]
    density, coverage = density_and_coverage(one(*flows), one(*flows), 0)
    assert coverage == 1
    # Each ball is of one kind: it holds all twenty of it where five are expected.
    assert density == pytest.approx(4)


def test_density_and_coverage_by_hand() -> None:
    flows = [Flow("x", [i], [0], [0.0]) for i in range(40)]
    density, coverage = density_and_coverage(one(*flows), one(*[Flow("x", [20], [0], [0.0])] * 40), 0)
    # A ball of a flow in the middle reaches three to either side: seven balls hold the one point that is made.
    assert coverage == pytest.approx(7 / 40)
    assert density == pytest.approx(7 / 5)
