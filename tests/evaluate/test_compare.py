import math
import random

import numpy as np
import pytest

from edgegen.errors import EdgegenError
from edgegen.evaluate.compare import compare, comparison_table, copy_rate, cut, divergence, print_comparison
from edgegen.flow import Flow

EDGES = np.array([0.0, 1.0, 2.0, 4.0])


def test_divergence_is_0_for_equals_1_for_strangers_and_symmetric() -> None:
    one, other = np.array([0.5, 0.5, 1.5]), np.array([3.0, 2.5])
    assert divergence(one, one, EDGES) == 0.0
    assert divergence(one, other, EDGES) == pytest.approx(1.0)
    mixed = np.array([0.5, 3.0])
    assert divergence(one, mixed, EDGES) == pytest.approx(divergence(mixed, one, EDGES))
    assert 0.0 < divergence(one, mixed, EDGES) < 1.0


def test_divergence_by_hand() -> None:
    # Shares (1, 0) and (1/2, 1/2), middle (3/4, 1/4).
    expected = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5 * math.log2(2)) / 2
    assert divergence(np.array([0.1]), np.array([0.1, 1.1]), EDGES) == pytest.approx(expected)


def test_values_beyond_the_edges_count_to_the_outer_bins() -> None:
    assert divergence(np.array([-5.0, 99.0]), np.array([0.5, 3.5]), EDGES) == 0.0
    assert math.isnan(divergence(np.array([]), np.array([1.0]), EDGES))


def test_figures_of_one_label_by_hand() -> None:
    real = [Flow("dns", [40, 100], [0, 1], [0.0, 0.25]), Flow("dns", [60], [0], [0.0])]
    synthetic = [Flow("dns", [40, 100], [0, 1], [0.0, 9.0]), Flow("dns", [41, 100], [0, 1], [0.0, 9.0])]
    (row,) = compare(real, synthetic, training=real[:1])
    assert (row.label, row.real.flows, row.real.packets) == ("dns", 2, 1.5)
    assert row.real.client == pytest.approx(2 / 3)
    assert row.real.pl == pytest.approx((42.0, 60.0, 96.0))
    assert row.real.iat == (0.25, 0.25, 0.25)
    assert (row.copies, row.real_copies) == (0.5, 0.5)
    assert row.iat_divergence == pytest.approx(1.0)
    assert 0.0 < row.pl_divergence < 1.0


def test_labels_of_one_side_are_left_out_and_no_common_one_is_an_error() -> None:
    a, b, c = (Flow(name, [1], [0], [0.0]) for name in "abc")
    assert [row.label for row in compare([a, b], [b, c], [])] == ["b"]
    with pytest.raises(EdgegenError, match="no label in common"):
        compare([a], [c], [])


def test_a_copy_is_told_by_lengths_and_directions() -> None:
    known = [Flow("a", [1, 2], [0, 1], [0.0, 1.0])]
    near = [Flow("b", [1, 2], [0, 1], [0.0, 7.0]), Flow("a", [1, 2], [0, 0], [0.0, 1.0])]
    assert copy_rate(near, known) == 0.5


def test_cut_keeps_the_first_packets_and_the_rest_of_the_flow() -> None:
    assert cut([Flow("a", [1, 2, 3], [0, 1, 0], [0.0, 0.1, 0.2], 17, "s")], 2) == [
        Flow("a", [1, 2], [0, 1], [0.0, 0.1], 17, "s")
    ]


def test_halves_of_one_source_are_nearer_than_two_sources() -> None:
    rng = random.Random(3)

    def flows(low: int, high: int) -> list[Flow]:
        return [Flow("a", [rng.randint(low, high)] * 4, [0, 1, 0, 1], [0.0, 0.1, 0.1, 0.1]) for _ in range(200)]

    small, again, large = flows(10, 500), flows(10, 500), flows(400, 1_400)
    near, far = compare(small, again, []), compare(small, large, [])
    assert near[0].pl_divergence < 0.1 < 0.4 < far[0].pl_divergence


def test_the_table_has_no_cell_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a.very.long.label.of.an.application"
    flows = [Flow(name, [1, 1_400], [0, 1], [0.0, 12.0]), Flow("one", [7], [0], [0.0])]
    rows = compare(flows, flows, flows)
    assert comparison_table(rows).row_count == 4
    print_comparison(rows)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert name in shown
    assert "12s 12s 12s" in shown
    assert "- - -" in shown  # a flow of one packet has no inter-arrival time


def test_a_label_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["GET [/v1]", "web[tls]", ":smile:"]
    flows = [Flow(name, [1], [0], [0.0]) for name in names]
    print_comparison(compare(flows, flows, flows))
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
