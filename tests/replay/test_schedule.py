import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegen.errors import UsageError
from edgegen.replay import schedule
from edgegen.replay.schedule import FASTEST, SLOWEST, Pace, Schedule, wait_until

GAPS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(60, 65_549)), min_size=1, max_size=50)


@given(GAPS, st.floats(SLOWEST, FASTEST))
def test_all_times_are_reckoned_from_the_first(gaps: list[tuple[int, int]], rate: float) -> None:
    schedule, at, first = Schedule(Pace(rate)), 1_767_225_600_000_000, 1_767_225_600_000_000
    schedule.start(at, 77)
    for gap, size in gaps:
        at += gap
        assert abs(schedule.due(at, size) - 77 - (at - first) * 1_000 / rate) <= 1


@given(GAPS, st.floats(0.01, 10_000))
def test_never_more_bits_than_the_bound(gaps: list[tuple[int, int]], mbps: float) -> None:
    bound, free = Schedule(Pace(1.0, mbps)), Schedule(Pace(1.0))
    bound.start(0, 0)
    free.start(0, 0)
    at, before = 0, 0
    for gap, size in gaps:
        at += gap
        due = bound.due(at, size)
        assert due == max(before, free.due(at, size))
        before = due + round(size * 8_000 / mbps)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_wrong_usage(rate: float) -> None:
    with pytest.raises(UsageError, match="--rate"):
        Pace(rate)
    with pytest.raises(UsageError, match="--mbps"):
        Pace(1.0, -rate if rate < float("inf") and rate > 0 else rate)


def test_a_wait_ends_when_it_is_due_or_when_asked_to() -> None:
    due = time.monotonic_ns() + 3_000_000
    assert wait_until(due, [])
    assert time.monotonic_ns() >= due
    stop: list[int] = []
    threading.Timer(0.05, stop.append, [15]).start()
    assert not wait_until(time.monotonic_ns() + 3_600 * 10**9, stop)
    assert not wait_until(0, stop)


def test_processors_are_kept_awake_where_that_may_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "latency"
    monkeypatch.setattr(schedule, "LATENCY", str(asked))
    with schedule.awake():
        assert asked.read_bytes() == bytes(4)
    monkeypatch.setattr(schedule, "LATENCY", str(tmp_path / "none" / "latency"))
    with schedule.awake():
        pass
