"""Flows as arrays: nothing is lost but what is cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toy import table

from edgegen.evaluate.arrays import Arrays, arrays, concatenate, flows_of, sets, some
from edgegen.evaluate.compare import cut
from edgegen.flow import Flow


@st.composite
def some_flows(draw: st.DrawFn) -> list[Flow]:
    flows = []
    for _ in range(draw(st.integers(1, 6))):
        n = draw(st.integers(1, 8))
        pl = draw(st.lists(st.integers(0, 65_535), min_size=n, max_size=n))
        direction = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
        iat = [0.0, *draw(st.lists(st.floats(0, 1e3), min_size=n - 1, max_size=n - 1))]
        flows.append(Flow(draw(st.sampled_from("xyz")), pl, direction, iat))
    return flows


@given(some_flows(), st.integers(1, 8))
def test_flows_come_back_cut(flows: list[Flow], packets: int) -> None:
    assert flows_of(arrays(flows, ("x", "y", "z"), packets)) == cut(flows, packets)


@given(some_flows(), st.integers(1, 8))
def test_copies_are_flows_with_the_same_lengths_and_directions(flows: list[Flow], packets: int) -> None:
    patterns = arrays(flows, ("x", "y", "z"), packets).patterns()
    # A generator makes no longer packets than its codec has: who has learned such a flow by heart repeats it so.
    same = [([min(pl, 1472) for pl in flow.pl[:packets]], flow.dir[:packets]) for flow in flows]
    for i in range(len(flows)):
        for j in range(len(flows)):
            assert (patterns[i] == patterns[j]) == (same[i] == same[j])


def test_features_tell_an_absent_packet_from_an_empty_one() -> None:
    flows = [Flow("x", [0], [0], [0.0]), Flow("x", [0, 0], [0, 0], [0.0, 0.0])]
    x = arrays(flows, ("x",), 2).features()
    assert x.tolist() == [[0, -1, -1, 0, -6, -7], [0, 0, -1, -1, -6, -6]]
    assert arrays(flows, ("x",), 2, times=False).features().shape == (2, 4)


def test_tables_are_put_together_and_taken_apart() -> None:
    flows = [Flow(label, [size], [0], [0.0]) for size, label in enumerate("xyx")]
    whole = arrays(flows, ("x", "y"), 3)
    both = concatenate([whole[np.array([2, 0])], whole[whole.label == 1]])
    assert both.pl[:, 0].tolist() == [2, 0, 1]
    assert both.label.tolist() == [0, 0, 1]


def test_sets_share_no_flow_and_are_as_many_as_there_are_flows_for() -> None:
    flows = table(200, 1)
    rows = np.arange(len(flows))
    numbered = Arrays(rows[:, None], rows[:, None], rows[:, None], rows, flows.label, flows.labels)
    found = list(sets(numbered, np.array([30, 60]), 0))
    assert [np.bincount(each.label).tolist() for each in found] == [[30, 60]] * 3
    assert len({flow for each in found for flow in each.count.tolist()}) == 3 * 90
    assert some(numbered, np.array([30, 60]), 0).count.tolist() == found[0].count.tolist()
    assert [np.bincount(each.label).tolist() for each in sets(numbered, np.array([30, 300]), 0)] == [[30, 200]]
    assert [len(each) for each in sets(numbered, np.array([0, 0]), 0)] == [0]
