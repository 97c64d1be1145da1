"""Flows as images, as others have them: nothing is lost on the way there and back, and the script makes its tables."""

import json
import sys
from pathlib import Path

import pytest
import torch

from edgegen.evaluate.arrays import arrays
from edgegen.flow import Flow
from edgegen.readers import read_flows
from edgegen.writers import write_flows

SIZES = (("a", 100), ("b", 700))  # payload bytes of each label's first packet


def test_a_flow_comes_back_out_of_its_image() -> None:
    import netdiffus

    flow = Flow("a", [517, 1472, 1, 40], [0, 1, 0, 1], [0.0] * 4)
    image = netdiffus.images(netdiffus.series_of(arrays([flow], ["a"], 10)))
    assert image.shape == (1, 1, 12, 12)
    assert image.abs().max() <= 1
    assert netdiffus.flow_of(netdiffus.series_in(image, 10)[0].tolist(), "a") == flow


def test_an_image_is_the_cosine_of_the_sum_of_two_angles() -> None:
    import netdiffus

    series = torch.tensor([[0.0, 0.3, 0.8, 1.0]])
    angle = series[0].arccos()
    wanted = (angle[:, None] + angle[None, :]).cos()
    torch.testing.assert_close(netdiffus.images(series)[0, 0], wanted, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_from_flows_to_a_table_for_each_number_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import netdiffus

    flows = [Flow(label, [n, 2 * n], [0, 1], [0.0, 0.0], session=str(i)) for i in range(9) for label, n in SIZES]
    write_flows(flows, tmp_path / "flows.parquet")
    command = ["netdiffus.py", str(tmp_path / "flows.parquet"), "--max-packets", "3", "--epochs", "2", "--steps", "4"]
    monkeypatch.setattr(sys, "argv", [*command, "--per-label", "5", "-o", str(tmp_path / "out")])
    netdiffus.main()
    made = read_flows(tmp_path / "out" / "netdiffus-4.parquet")
    assert [flow.label for flow in made] == ["a"] * 5 + ["b"] * 5
    assert all(1 <= len(flow) <= 3 for flow in made)
    result = json.loads((tmp_path / "out" / "netdiffus.json").read_text())
    assert result["rows"][0]["flows"] == 10
    assert result["rows"][0]["cpu_ms_a_flow"] > 0
