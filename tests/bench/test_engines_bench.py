"""The comparison of engines: what is compared, what is refused, and one real round."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgegen import checkpoint
from edgegen.codec import Codec, Label
from edgegen.models import configure, create

CODEC = Codec((Label("dns", 0.5, 17), Label("web", 0.5, 6)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An untrained tiny LLaMA whose logits differ."""
    torch.manual_seed(0)
    model = create(configure("llama", "tiny", CODEC))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(std=weight.shape[1] ** -0.5)
    folder = tmp_path / "run"
    folder.mkdir()
    checkpoint.save(folder, model)
    config = {"arch": "llama", "size": "tiny", "model": model.config.to_json(), "codec": CODEC.to_json()}
    checkpoint.save_config(folder, config | {"provenance": {"data": "none"}})
    return folder


def row(one: dict[str, float], many: dict[str, float]) -> dict[str, Any]:
    return {"one_flow_ms": one, "flows_a_second": many}


def test_a_lead_is_reckoned_against_the_better_figure_of_the_best_peer() -> None:
    from peers import lineup, outcome

    found = {
        "a fp32": row({"forced": 9.0, "sampled": 10.0}, {"forced": 100.0, "sampled": 80.0}),
        "b int8": row({"forced": 12.0, "sampled": 8.0}, {"forced": 70.0, "sampled": 90.0}),
        "c int8": {"fault": "not installed: c"},
        lineup.OURS: row({"sampled": 2.0}, {"sampled": 500.0}),
        # No peer either.
        lineup.OURS_FP32: row({"sampled": 3.0}, {"sampled": 200.0}),
    }
    assert outcome.ratios("llama", found) == {"llama_latency_ratio": 4.0, "llama_throughput_ratio": 5.0}
    found[lineup.OURS]["kernels_us_a_token"] = {"1": {"head": 1.0, "attention": 3.0}}
    assert outcome.verdicts("llama", found) == [
        "llama_latency_ratio 4.00, goal 5: missed by 20%",
        "llama_throughput_ratio 5.00, goal 3: met",
        "where our time goes, batch 1: attention 75%, head 25%",
    ]
    assert outcome.ratios("llama", {lineup.OURS: found[lineup.OURS]}) == {}
    assert outcome.ratios("llama", found | {lineup.OURS: {"fault": "failed"}}) == {}


def test_rounds_are_merged_by_their_medians_at_the_best_batch() -> None:
    from peers import outcome

    def of(sample: float, rates: dict[str, float]) -> dict[str, Any]:
        found = {"one_flow_ms": {"forced": [sample, sample, 99.0]}, "flows_a_second": {"forced": rates}}
        return found | {"memory_mb": sample, "check": {}, "model_bytes": 1, "library_bytes": 2}

    merged = outcome.merged(
        [of(1.0, {"8": 5.0, "16": 9.0}), of(3.0, {"8": 50.0, "16": 8.0}), of(2.0, {"8": 6.0, "16": 7.0})]
    )
    assert merged["one_flow_ms"] == {"forced": 2.0}
    assert merged["flows_a_second"] == {"forced": 8.0}
    assert merged["best_batch"] == {"forced": 16}
    assert (merged["memory_mb"], len(merged["rounds"])) == (2.0, 3)


def test_an_engine_that_computes_something_else_gets_no_time() -> None:
    from peers import turn

    assert turn.refused({"divergence": 0.001}) == {}
    assert "computes something else" in turn.refused({"divergence": 0.5})["fault"]
    assert "computes something else" in turn.refused({"divergence": float("nan")})["fault"]


@pytest.mark.slow
def test_one_real_round(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import engines
    from peers import lineup

    output = tmp_path / "result.json"
    words = ["--llama", str(run), "--rounds", "1", "--seconds", "1", "--batch", "16", "--cpu", "0", "-o", str(output)]
    only = ["ONNX Runtime fp32", "llama.cpp int8", lineup.OURS]
    monkeypatch.setattr(sys, "argv", ["bench/engines.py", *words, *(w for name in only for w in ("--only", name))])
    # A peer that is not there is named, whether or not this machine has it.
    absent = ("llama_cpp", "gguf")
    for module in (engines, lineup):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name in absent else find_spec(name))
    engines.main()
    result = json.loads(output.read_text())
    assert result == json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = result["archs"]["llama"]
    assert list(rows) == only
    assert rows["llama.cpp int8"] == {"fault": "not installed: llama_cpp, gguf"}
    peer, ours = rows["ONNX Runtime fp32"], rows[lineup.OURS]
    assert set(peer["one_flow_ms"]) == {"forced", "sampled"}
    assert peer["check"]["divergence"] < 1e-6
    assert ours["check"]["divergence"] < 0.02
    assert ours["kernels_us_a_token"]
    assert 1_000_000 > ours["library_bytes"] > 200_000
    assert result["llama_latency_ratio"] == pytest.approx(
        min(peer["one_flow_ms"].values()) / ours["one_flow_ms"]["sampled"]
    )
    assert result["llama_latency_ratio"] > 1
    assert result["llama_throughput_ratio"] > 1


def test_histograms_that_share_nothing_are_one_bit_apart() -> None:
    import precision

    assert precision.divergence(np.array([3, 0]), np.array([0, 9])) == pytest.approx(1.0)
    assert precision.divergence(np.array([3, 1]), np.array([6, 2])) == pytest.approx(0.0)
    p, q = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    middle = (p + q) / 2
    expected = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum() / 2
    assert precision.divergence(p * 100, q * 100) == pytest.approx(expected)
