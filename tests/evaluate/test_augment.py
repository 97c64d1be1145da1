"""Training sets with added flows: as many as asked for, marked, weighted, and readable again."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from toy import LABELS, made

from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate import augment
from edgegen.evaluate.command import run_augment
from edgegen.evaluate.evaluation import evaluate
from edgegen.evaluate.subject import TableSubject
from edgegen.flow import AddedFlow, Flow
from edgegen.readers import read_flows
from edgegen.writers import write_flows

REAL = [*made(10, 1), *made(5, 2)[::2]]  # 15 of label a, 10 of b


def weights(flows: list[AddedFlow]) -> dict[tuple[str, bool], list[float]]:
    found = defaultdict(list)
    for flow in flows:
        found[flow.label, flow.synthetic].append(flow.weight)
    return found


def test_labels_are_filled_up_to_as_many() -> None:
    counts = augment.wanted(REAL, LABELS, 22, None)
    assert counts.tolist() == [7, 12]
    found = weights(augment.from_transform(REAL, "edit", counts, 0))
    assert {key: len(value) for key, value in found.items()} == {
        ("a", False): 15,
        ("a", True): 7,
        ("b", False): 10,
        ("b", True): 12,
    }
    # Ten real flows and twelve added ones weigh the same, and twenty-two together.
    assert sum(found["b", False]) == pytest.approx(11)
    assert sum(found["b", True]) == pytest.approx(11)
    # Where fewer are added than there are, none of them weighs more than a real one.
    assert set(found["a", False]) == {1.0}
    assert set(found["a", True]) == {1.0}


def test_changed_copies_stay_in_the_session_that_they_are_of() -> None:
    flows = augment.from_transform(REAL, "time", np.array([20, 20]), 0)
    sessions = {(flow.label, tuple(flow.pl), tuple(flow.dir)): flow.session for flow in REAL}
    added = [flow for flow in flows if flow.synthetic]
    assert len(added) == 40
    assert all(flow.session == sessions[flow.label, tuple(flow.pl), tuple(flow.dir)] != "" for flow in added)


def test_flows_that_differ_by_form_alone_are_told_of(tmp_path: Path) -> None:
    write_flows([Flow("a", [5] * 3, [0] * 3, [0.0] * 3)] * 9, tmp_path / "short.jsonl")
    short, long = augment.unlike(REAL, TableSubject(tmp_path / "short.jsonl"))
    assert "at most 3 packets, the real ones have up to" in short
    assert "makes no times" in long
    write_flows(REAL, tmp_path / "real.jsonl")
    assert augment.unlike(REAL, TableSubject(tmp_path / "real.jsonl")) == []


def test_or_in_proportion() -> None:
    assert augment.wanted(REAL, LABELS, None, 2.5).tolist() == [38, 25]
    assert augment.wanted(REAL, LABELS, None, None).tolist() == [15, 10]


@pytest.mark.parametrize(
    ("per_label", "ratio", "sentence"),
    [
        (5, 1.0, "not both"),
        (0, None, "must be positive"),
        (None, 0.0, "within 0"),
        (None, float("nan"), "within 0"),
        (10**12, None, "1,999,999,999,975 flows, more than 10,000,000"),
        (10**30, None, "ask for fewer"),
    ],
)
def test_counts_that_make_no_sense(per_label: int | None, ratio: float | None, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        augment.wanted(REAL, LABELS, per_label, ratio)


def test_a_generator_adds_flows_of_the_labels_it_knows(tmp_path: Path) -> None:
    write_flows(made(50, 9), tmp_path / "made.jsonl")
    subject = TableSubject(tmp_path / "made.jsonl")
    flows = augment.from_generator(REAL, subject, np.array([5, 20]), 0)
    assert [flow.synthetic for flow in flows] == [False] * len(REAL) + [True] * 25
    assert {(flow.label, flow.proto) for flow in flows} == {("a", 6), ("b", 17)}
    other = [*REAL, *(AddedFlow("c", [1], [0], [0.0]) for _ in range(3))]
    with pytest.raises(EdgegenError, match="does not know the label c"):
        augment.from_generator(other, subject, np.array([1, 1, 1]), 0)
    # Nothing is asked of it there.
    assert len(augment.from_generator(other, subject, np.array([1, 1, 0]), 0)) == len(other) + 2


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_table_holds_marks_and_weights_and_is_read_again(suffix: str, tmp_path: Path) -> None:
    real, out = tmp_path / "real.parquet", tmp_path / f"out.{suffix}"
    write_flows(REAL, real)
    run_augment(real, None, "payload", None, 1.0, 3, out)
    again = read_flows(out)
    assert [(flow.label, flow.pl, flow.session) for flow in again[: len(REAL)]] == [
        (flow.label, flow.pl, flow.session) for flow in REAL
    ]
    assert len(again) == 2 * len(REAL)
    if suffix == "parquet":
        from pyarrow import parquet

        columns = parquet.read_table(out).to_pydict()
        rows = [{"synthetic": a, "weight": b} for a, b in zip(columns["synthetic"], columns["weight"], strict=True)]
    elif suffix == "csv":
        with out.open(newline="") as file:
            rows = [
                {"synthetic": row["synthetic"] == "True", "weight": float(row["weight"])}
                for row in csv.DictReader(file)
            ]
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["synthetic"] for row in rows] == [False] * len(REAL) + [True] * len(REAL)
    assert sum(row["weight"] for row in rows) == pytest.approx(len(rows))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_generated_flows_are_not_taken_for_real_ones_nor_these_for_those(suffix: str, tmp_path: Path) -> None:
    real, out = tmp_path / f"real.{suffix}", tmp_path / f"more.{suffix}"
    write_flows(augment.from_transform(REAL, "edit", np.array([0, 0]), 0), real, extra=augment.COLUMNS)
    run_augment(real, None, "edit", None, 1.0, 0, out)
    sentence = rf"more.{suffix} holds {len(REAL)} generated flows .*give the real ones"
    with pytest.raises(EdgegenError, match=sentence):
        run_augment(out, None, "edit", None, 1.0, 0, tmp_path / "again.jsonl")
    with pytest.raises(EdgegenError, match=sentence):
        evaluate(out, synthetic=out)
    assert not (tmp_path / "again.jsonl").exists()
    assert len(read_flows(out)) == 2 * len(REAL)
    write_flows(REAL, tmp_path / "real.jsonl")
    sentence = rf"more.{suffix} holds real flows, too, {len(REAL)} of {2 * len(REAL)} .*give the generated ones"
    with pytest.raises(EdgegenError, match=sentence):
        evaluate(tmp_path / "real.jsonl", synthetic=out)


def test_the_same_seed_adds_the_same_flows(tmp_path: Path) -> None:
    write_flows(REAL, tmp_path / "real.jsonl")
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        run_augment(tmp_path / "real.jsonl", None, "edit", 40, None, seed, tmp_path / f"{name}.jsonl")
    one, two, three = ((tmp_path / f"{name}.jsonl").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_a_pcap_has_no_place_for_marks(tmp_path: Path) -> None:
    write_flows(REAL, tmp_path / "real.jsonl")
    with pytest.raises(UsageError, match=r"out\.pcap is no table that edgegen writes"):
        run_augment(tmp_path / "real.jsonl", None, "edit", None, None, 0, tmp_path / "out.pcap")
    assert [path.name for path in tmp_path.iterdir()] == ["real.jsonl"]


def test_one_source_of_flows(tmp_path: Path) -> None:
    for bundle, transform in ((None, None), (tmp_path, "edit")):
        with pytest.raises(UsageError, match="name where the flows come from"):
            run_augment(tmp_path, bundle, transform, None, None, 0, tmp_path / "out.csv")
