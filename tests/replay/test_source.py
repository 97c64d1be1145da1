from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import TCP, Flow
from edgegen.replay.source import AHEAD, Source, _ahead, batches
from edgegen.writers import write_flows

FLOWS = [Flow(f"l{i % 2}", [100 + i], [0], [0.0], TCP) for i in range(10)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_flows(FLOWS, tmp_path / "flows.jsonl")
    return tmp_path / "flows.jsonl"


def test_a_table_gives_what_is_asked_for(table: Path) -> None:
    assert [flow.pl for flow in Source(table).flows()] == [flow.pl for flow in FLOWS]
    assert [flow.pl for flow in Source(table, 3, None, ("l1",)).flows()] == [[101], [103], [105]]
    with pytest.raises(EdgegenError, match="holds no flow of label x or y"):
        list(Source(table, labels=("x", "y")).flows())
    with pytest.raises(UsageError, match="--seed is for a bundle"):
        Source(table, seed=0).check()


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda rest: b'{"label": "x", "pl": [1' + rest)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_lies_in_a_file_is_flows_or_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    said = ""
    try:
        assert list(Source(tmp_path / "x.jsonl").flows())
    except EdgegenError as error:
        said = str(error)
    assert "\n" not in said


def test_no_more_flows_are_made_ahead_than_there_is_room_for() -> None:
    made = 0

    def endless() -> Iterator[Flow]:
        nonlocal made
        while True:
            made += 1
            yield FLOWS[0]

    ahead = _ahead(endless())
    for taken in range(1, 3_000):
        next(ahead)
        # One is in the hand of the thread that makes them, and one it may have handed over since.
        assert made <= taken + AHEAD + 2


def test_what_goes_wrong_in_the_other_process_is_raised_in_this_one(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgegenError, match=r"cannot read .*nosuch.jsonl"):
        list(batches(Source(tmp_path / "nosuch.jsonl"), 1_500, []))
    with pytest.raises(UsageError, match="label 'nosuch' is unknown"):
        list(batches(Source(bundle, labels=("nosuch",)), 1_500, []))


@pytest.mark.parametrize("gap", [1e300, 1e305])
def test_a_packet_that_is_never_due_is_one_sentence(tmp_path: Path, gap: float) -> None:
    path = tmp_path / "late.jsonl"
    path.write_text(f'{{"label": "x", "pl": [1, 2], "dir": [0, 1], "iat": [0, {gap}]}}\n')
    with pytest.raises(EdgegenError, match=r"a flow of x has a packet .* seconds after another"):
        list(batches(Source(path), 1_500, []))


def test_nothing_comes_once_it_is_to_stop(table: Path) -> None:
    assert list(batches(Source(table), 1_500, [15])) == []
