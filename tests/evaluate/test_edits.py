"""Edits: as many as the textbook counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgegen.evaluate.arrays import LONGEST_PL, Arrays, arrays
from edgegen.evaluate.edits import FIRST, nearest
from edgegen.flow import Flow

packets = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6)


def those(flows: list[list[tuple[int, int]]], most: int = 6) -> Arrays:
    made = [Flow("a", [pl for pl, _ in flow], [turn for _, turn in flow], [0.0] * len(flow)) for flow in flows]
    return arrays(made, ["a"], most)


def levenshtein(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> int:
    if not one or not two:
        return len(one) + len(two)
    changed = levenshtein(one[1:], two[1:]) + (one[0] != two[0])
    return min(changed, levenshtein(one[1:], two) + 1, levenshtein(one, two[1:]) + 1)


@given(st.lists(packets, min_size=1, max_size=4), st.lists(packets, min_size=1, max_size=4))
def test_edits_are_those_of_the_plain_recursion(flows: list, others: list) -> None:
    least, many = nearest(those(flows), those(others))
    for flow, few, n in zip(flows, least, many, strict=True):
        there = [levenshtein(flow, other) for other in others]
        assert few == min(there)
        assert n == there.count(min(there))


def test_all_packets_that_are_compared_may_differ() -> None:
    one, two = ([(n + i, 0) for i in range(FIRST + 4)] for n in (0, 1_000))
    least, _ = nearest(those([one], FIRST + 4), those([two], FIRST + 4))
    assert least.tolist() == [FIRST]
    assert least.dtype == np.int64


def test_a_packet_that_a_generator_cuts_is_the_same() -> None:
    least, _ = nearest(those([[(1_500, 0), (LONGEST_PL, 1)]]), those([[(1_500, 0), (60_000, 1)]]))
    assert least.tolist() == [0]
