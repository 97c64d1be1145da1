"""Consecutive flows against independent ones: the script on a mock generator's own flows."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgegen.runtime import generate
from edgegen.writers import write_flows


@pytest.mark.slow
def test_flows_of_a_run_are_set_against_independent_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The mock model and the C host around it are those of the runtime's tests.
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "runtime")
    import mock_host

    import evenness

    bundle = mock_host.make_bundle(tmp_path / "m.edgegen")
    table, out = tmp_path / "flows.parquet", tmp_path / "out.json"
    flows = generate(bundle, 1_500, seed=99)
    write_flows((replace(flow, session=str(i)) for i, flow in enumerate(flows)), table)
    command = ["evenness.py", str(table), "--bundle", str(bundle.path), "--sets", "2", "-o", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    evenness.main()
    (row,) = json.loads(out.read_text())["rows"]
    for way in ("consecutive", "picked"):
        assert len(row[way]["sets"]) == 2
        assert 0 < row[way]["macro_f1"] < 1
        # They are flows of the same generator, and nobody should tell them apart for sure.
        assert 0.3 < row[way]["two_sample_auc"] < 0.7
    assert row["consecutive"]["sets"] != row["picked"]["sets"]
