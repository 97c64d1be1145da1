"""The split: by session within a label, the same every time."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegen.flow import Flow
from edgegen.split import Split, split


def flow(label: str, session: str, number: int = 0) -> Flow:
    return Flow(label, [number], [0], [0.0], session=session)


def parts_of(made: Split) -> tuple[list[Flow], list[Flow], list[Flow]]:
    return made.train, made.validation, made.test


flows_of_a_label = st.lists(st.integers(0, 12), min_size=1, max_size=60)


@given(st.lists(flows_of_a_label, min_size=1, max_size=4), st.integers(0, 5))
def test_parts_hold_every_flow_once_and_every_label_trains(sessions: list[list[int]], seed: int) -> None:
    flows = [
        flow(f"label {i}", f"capture {session}", number)
        for i, of_label in enumerate(sessions)
        for number, session in enumerate(of_label)
    ]
    made = split(flows, seed)
    assert sorted(map(id, flows)) == sorted(id(each) for part in parts_of(made) for each in part)
    assert {f.label for f in made.train} == {f.label for f in flows}


@given(st.lists(flows_of_a_label, min_size=1, max_size=4), st.integers(0, 5))
def test_no_session_stands_in_two_parts(sessions: list[list[int]], seed: int) -> None:
    flows = [flow(f"label {i}", f"{s}") for i, of_label in enumerate(sessions) for s in of_label]
    made = split(flows, seed)
    where = defaultdict(set)
    for index, part in enumerate(parts_of(made)):
        for each in part:
            where[each.label, each.session].add(index)
    assert all(len(places) == 1 for (label, _), places in where.items() if label not in made.by_flow)


def test_shares_and_recorded_choice() -> None:
    flows = [flow("web", f"s{i % 50}") for i in range(1000)]
    flows += [flow("dns", "") for _ in range(100)] + [flow("ntp", f"s{i % 2}") for i in range(100)]
    flows += [flow("ssh", f"s{i}") for i in range(100)]
    made = split(flows, seed=1)
    assert made.by_flow == ["dns", "ntp", "ssh"]
    for label, count in (("web", 1000), ("dns", 100), ("ntp", 100)):
        shares = [sum(each.label == label for each in part) / count for part in parts_of(made)]
        assert 0.75 <= shares[0] <= 0.85
        assert all(0.05 <= share <= 0.15 for share in shares[1:])
    assert made.to_json()["labels_split_by_flow"] == ["dns", "ntp", "ssh"]


def test_the_seed_alone_decides() -> None:
    flows = [flow("web", f"s{i % 30}", i) for i in range(300)]
    first, again, other = (split(flows, seed) for seed in (1, 1, 2))
    assert parts_of(first) == parts_of(again)
    assert first.test != other.test


def test_names_that_are_no_unicode_are_split_too() -> None:
    made = split([flow("caf\udce9", f"\ud800{i}", i) for i in range(10)])
    assert sum(map(len, parts_of(made))) == 10


def test_three_sessions_reach_three_parts() -> None:
    flows = [flow("web", session) for session in "aaaaaaaaaabc"]
    assert all(parts_of(split(flows, seed=3)))


@pytest.mark.parametrize("sizes", [(1_000, 10, 10), (500, 100, 50, 10, 5), (1_000, *[1] * 9)])
def test_training_has_most_flows_however_unequal_the_sessions_are(sizes: tuple[int, ...]) -> None:
    flows = [flow("web", f"s{i}") for i, n in enumerate(sizes) for _ in range(n)]
    for seed in range(20):
        train, *others = map(len, parts_of(split(flows, seed)))
        assert train >= max(sizes)
        assert all(others)
