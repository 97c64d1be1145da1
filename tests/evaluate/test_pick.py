"""Few flows in place of many: as many as asked for, and those that stand for all."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import LABELS, made, table

from edgegen.errors import EdgegenError
from edgegen.evaluate import augment
from edgegen.evaluate import pick as module
from edgegen.evaluate.arrays import LONGEST_PL, Arrays, Floats, arrays
from edgegen.evaluate.command import run_pick
from edgegen.evaluate.pick import AMONG, draw_picked, herd, pick, picked, runs
from edgegen.evaluate.real import counts
from edgegen.evaluate.subject import TableSubject
from edgegen.flow import Flow
from edgegen.readers import read_flows
from edgegen.writers import write_flows

PACKET = st.tuples(st.integers(1, 3), st.integers(0, 1))
FLOWS = st.lists(st.lists(PACKET, min_size=1, max_size=5), min_size=1, max_size=12)


def flows_of(packets: list[list[tuple[int, int]]]) -> Arrays:
    flows = [Flow("a", [pl for pl, _ in one], [d for _, d in one], [0.0] * len(one)) for one in packets]
    return arrays(flows, ("a",), max(map(len, packets)))


def alike(flows: Arrays) -> Floats:
    """(n, n) how many runs of packets two flows have in common."""
    last = flows.pl.shape[1]

    def of(pl: list[int], direction: list[int], n: int) -> set[tuple[object, ...]]:
        # Where a flow is as long as can be, there is no end to be seen.
        seen = [*zip(pl[:n], direction[:n], strict=True), "end"][:last]
        starts = {("start", *seen[: i + 1]) for i in range(len(seen))}
        pairs = {("pair", i, *pair) for i, pair in enumerate(pairwise(seen))}
        return starts | pairs | {("end", i, *seen[i:]) for i in range(n)}

    known = [of(*row) for row in zip(flows.pl.tolist(), flows.dir.tolist(), flows.count.tolist(), strict=True)]
    return np.array([[len(one & other) for other in known] for one in known])


@given(FLOWS)
def test_runs_are_the_same_where_packets_are(packets: list[list[tuple[int, int]]]) -> None:
    flows = flows_of(packets)
    found = runs(flows)
    same = (found[:, :, None] == found[:, None, :]).sum(axis=0)
    apart = ~np.eye(len(flows), dtype=bool)
    assert (same[apart] == alike(flows)[apart]).all()


@given(FLOWS)
def test_each_pick_is_what_the_others_lack_most(packets: list[list[tuple[int, int]]]) -> None:
    flows = flows_of(packets)
    common = alike(flows)
    np.fill_diagonal(common, len(runs(flows)))  # beyond its end a flow is like itself alone
    left, known = list(range(len(flows))), []
    for row in herd(runs(flows), len(flows)).tolist():
        # Chen, Welling and Smola (2010), equation 8, where all flows are as like themselves.
        gains = {i: common[i].mean() - sum(common[i, j] for j in known) / (len(known) + 1) for i in left}
        assert gains[row] == pytest.approx(max(gains.values()))
        left.remove(row)
        known.append(row)
    assert not left


@given(FLOWS, st.integers(1, 12))
def test_a_wider_table_changes_nothing(packets: list[list[tuple[int, int]]], n: int) -> None:
    flows, other = flows_of(packets), [(9, 0)] * 7
    wider, widest = (flows_of([*packets, other[:width]]) for width in (6, 7))
    wanted = np.array([min(n, len(flows))])
    assert pick(wider[:-1], wanted).tolist() == pick(widest[:-1], wanted).tolist()


def test_what_is_frequent_is_picked_as_often() -> None:
    flows = flows_of([[(1, 0), (2, 1)]] * 90 + [[(7, 0), (9, 0)]] * 10)
    assert Counter(flows.pl[pick(flows, np.array([10])), 0].tolist()) == {1: 9, 7: 1}


def test_lengths_that_no_generator_tells_apart_are_the_same() -> None:
    flows = flows_of([[(LONGEST_PL, 0)], [(LONGEST_PL + 1, 0)], [(LONGEST_PL, 1)]])
    assert [len(set(run)) for run in runs(flows).tolist()] == [2, 2]


@pytest.mark.parametrize("part", [7, 1_000])
def test_as_many_of_each_label_as_wanted(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", part)
    flows = table(100, 3)
    rows = pick(flows, np.array([17, 300]))
    assert len(set(rows.tolist())) == len(rows)
    assert counts(flows[rows]).tolist() == [17, 100]
    assert counts(picked(flows, np.array([0, 5]))).tolist() == [0, 5]
    assert len(pick(flows[:0], np.array([5, 5]))) == 0


@pytest.mark.parametrize("part", [10, 1_000])
def test_they_are_more_like_all_than_others_are(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", part)
    flows = table(400, 4)
    flows = flows[flows.label == 1]
    flows.pl[:] //= 40  # so that flows have something in common
    common = alike(flows)

    def apart(rows: list[int]) -> float:
        return float(common.mean() - 2 * common[rows].mean() + common[np.ix_(rows, rows)].mean())

    random = np.random.default_rng(0)
    others = [apart(random.permutation(len(flows))[:40].tolist()) for _ in range(20)]
    assert apart(pick(flows, np.array([0, 40])).tolist()) < 0.9 * min(others)


def test_a_generators_flows_are_picked_out_of_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flows(made(200, 9), tmp_path / "made.jsonl")
    subject = TableSubject(tmp_path / "made.jsonl")
    wanted = np.array([5, 10])
    found = draw_picked(subject, LABELS, wanted, 0).patterns()
    assert found == picked(subject.draw(LABELS, AMONG * wanted, 0), wanted).patterns()
    assert found != subject.draw(LABELS, wanted, 0).patterns()
    # There is room for twice as many only.
    monkeypatch.setattr(module, "MOST", 30)
    few = draw_picked(subject, LABELS, wanted, 0).patterns()
    assert few == picked(subject.draw(LABELS, 2 * wanted, 0), wanted).patterns() != found


def test_a_table_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many, few = tmp_path / "many.jsonl", tmp_path / "few.parquet"
    write_flows(made(50, 1), many)
    run_pick(many, 8, few)
    found = read_flows(few)
    assert Counter(flow.label for flow in found) == {"a": 8, "b": 8}
    # Each is one of the flows as it stood, with protocol and session.
    assert all(flow in read_flows(many) for flow in found)
    assert capsys.readouterr().err.endswith(f"{few}: 16 flows, picked out of 100\n")


def test_added_flows_do_not_lose_their_mark(tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    write_flows(augment.from_transform(made(5, 1), "edit", np.array([3, 3]), 0), many, extra=augment.COLUMNS)
    with pytest.raises(EdgegenError, match=r"holds 6 added flows .*pick before adding"):
        run_pick(many, 2, tmp_path / "few.jsonl")
    assert not (tmp_path / "few.jsonl").exists()
