"""Repeats: what gives its owner away is learned once, what is common as often as it is."""

from hypothesis import given
from hypothesis import strategies as st

from edgegen.flow import Flow
from edgegen.repeats import OWN_PAIRS, once


def flow(pl: list[int], label: str = "web") -> Flow:
    return Flow(label, pl, [i % 2 for i in range(len(pl))], [0.0] * len(pl))


OWN = [101, 202, 303, 404, 505, 606, 707]
SPOKEN = [[20, 30, *[40] * i, 50, 60, 70, 80, 90] for i in range(8)]  # a protocol, with a part that may be any length


def test_a_flow_like_no_other_stands_once() -> None:
    assert len(OWN) == OWN_PAIRS + 1
    flows = [flow(OWN), flow([9]), flow(OWN), *map(flow, SPOKEN), flow(OWN)]
    kept = once(flows, 16)
    assert [each.pl for each in kept] == [OWN, [9], *SPOKEN]
    assert kept[0] is flows[0]


def test_what_others_are_like_stays() -> None:
    flows = [flow(each) for each in SPOKEN for _ in range(3)]
    assert once(flows, 16) == flows
    # One other flow that has its middle, and it is not its owner's alone.
    shared = [flow(OWN), flow(OWN), flow([5, 6, *OWN[2:5]])]
    assert once(shared, 16) == shared


def test_short_and_steady_flows_stay() -> None:
    flows = [flow(OWN[:6])] * 4 + [flow([27] * 16)] * 4
    assert once(flows, 16) == flows


def test_only_packets_that_are_learned_count() -> None:
    flows = [flow(OWN), flow(OWN)]
    assert len(once(flows, 7)) == 1
    assert once(flows, 6) == flows
    # What comes later makes no difference.
    assert len(once([flow([*OWN, 1]), flow([*OWN, 2])], 7)) == 1


def test_each_label_keeps_one() -> None:
    flows = [flow(OWN, "a"), flow(OWN, "b"), flow(OWN, "a"), flow(OWN, "b")]
    assert [each.label for each in once(flows, 16)] == ["a", "b"]


def test_who_differs_in_a_packet_is_another_flow() -> None:
    flows = [flow(OWN), flow(OWN), flow([*OWN[:4], 506, *OWN[5:]])]
    assert once(flows, 16) == flows


# A few long flows, so that most tables repeat some.
long = st.sampled_from([OWN, OWN[::-1], [pl + 1 for pl in OWN], *SPOKEN[:3], [27] * 9])


@given(st.lists(long | st.lists(st.integers(0, 3), min_size=1, max_size=10), max_size=20), st.integers(1, 10))
def test_every_kind_of_flow_is_still_there_in_order(lengths: list[list[int]], packets: int) -> None:
    flows = [flow(pl) for pl in lengths]
    kept = once(flows, packets)
    assert {tuple(each.pl[:packets]) for each in kept} == {tuple(each.pl[:packets]) for each in flows}
    where = [next(i for i, each in enumerate(flows) if each is one) for one in kept]
    assert where == sorted(where)
    assert once(kept, packets) == kept
