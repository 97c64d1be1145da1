"""The benchmark of the selective scan: it measures, and it refuses what computes something else."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import selective_scan

    every = selective_scan.contenders

    def few(device: torch.device) -> Any:
        """Without what is compiled first."""
        found, missing = every(device)
        return {name: scan for name, scan in found.items() if "torch.compile" not in name}, missing

    monkeypatch.setattr(selective_scan, "contenders", few)
    return selective_scan


def test_it_measures_what_is_here_and_names_what_is_not(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "scan.json"
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["selective_scan.py", "--quick", "--device", "cpu", "--runs", "2", "-o", str(out)])
    bench.main()
    torch.set_num_threads(threads)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads(out.read_text())
    assert result["path"] == "c"
    names = [row["name"] for row in result["rows"]]
    assert names == ["ours", "ours, time innermost", "reference", "ours without a C compiler"]
    assert "mamba_ssm" in result["missing"]
    for row in result["rows"]:
        assert row["error"] < 1e-5
        assert row["forward_ms"] > 0
        assert row["backward_ms"] > 0


def test_a_wrong_contender_is_not_timed(bench: Any) -> None:
    def wrong(**given: Tensor) -> Tensor:
        return given["u"] * sum(x.sum() for x in given.values())

    case = {"time": 4, "dim": 8, "state": 4, "batch": 2}
    with pytest.raises(SystemExit, match="wrong at time 4"):
        bench.measure("wrong", wrong, case, torch.device("cpu"), torch.float32, 1)
