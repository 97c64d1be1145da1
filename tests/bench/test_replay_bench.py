"""The script that compares arrivals with their schedule."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_it_measures_what_arrives(tmp_path: Path) -> None:
    if shutil.which("ip") is None:
        pytest.skip("ip is missing: apt-get install iproute2")
    if os.geteuid() != 0:
        pytest.skip("root is missing: network namespaces need it")
    out = tmp_path / "replay.json"
    command = [sys.executable, str(ROOT / "bench/replay.py"), "--flows", "20", "--rate", "100", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    result = json.loads(out.read_text())
    assert json.loads(done.stdout.splitlines()[-1]) == result
    assert result["machine"]["command"] == "python replay.py --flows 20 --rate 100 -o replay.json"
    assert result["flows"] == 20
    assert 0 < result["arrival_us"]["p50"] <= result["arrival_us"]["p99"] <= result["arrival_us"]["max"]


def test_deviations_are_reckoned_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import replay

    schedule = [(5, b"a"), (1_005, b"b"), (3_005, b"c")]
    arrived = [(7_000, b"a"), (507_000, b"b"), (1_497_000, b"c")]
    assert replay.deviations(arrived, schedule, 2.0) == [0.0, 0.0, 10.0]
