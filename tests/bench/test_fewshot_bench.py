"""Few real flows and canaries: the scripts on small flows, from training to the figures."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edgegen.errors import EdgegenError
from edgegen.flow import Flow
from edgegen.readers import read_flows
from edgegen.train import train
from edgegen.writers import write_flows

ROOT = Path(__file__).parents[2]


def flows_of(labels: str, count: int, seed: int = 0) -> list[Flow]:
    """Each label has sizes of its own, and three packets."""
    random = np.random.default_rng(seed)
    made = []
    for i in range(count):
        for label in labels:
            size = 100 * (ord(label) - ord("a")) + 50
            pl = [size, *(size + random.integers(0, 40, 2)).tolist()]
            made.append(Flow(label, pl, [0, 1, int(random.integers(2))], [0.0] * 3, session=f"s{seed}-{i // 4}"))
    return made


@pytest.mark.slow
def test_few_flows_of_labels_that_the_start_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fewshot

    table, out = tmp_path / "flows.parquet", tmp_path / "out.json"
    write_flows(flows_of("abcde", 60), table)
    known = tmp_path / "known.parquet"
    monkeypatch.setattr(sys, "argv", ["fewshot.py", str(table), "--new", "d,e", "--write-known", str(known)])
    fewshot.main()
    assert {flow.label for flow in read_flows(known)} == set("abc")
    start = train(known, tmp_path / "start", "llama", "tiny", 2, max_packets=3, times=False)
    numbers = ["--number", "3", "--number", "6"]
    monkeypatch.setattr(fewshot, "ADDED", 20)
    monkeypatch.setattr(fewshot, "SCRATCH_STEPS", 10)
    command = ["fewshot.py", str(table), "--init", str(start), "--draws", "1", "--parts", str(tmp_path / "parts")]
    monkeypatch.setattr(sys, "argv", [*command, *numbers, "-o", str(out)])
    fewshot.main()
    result = json.loads(out.read_text())
    assert result["labels"] == ["d", "e"]
    assert [row["real_flows"] for row in result["rows"]] == [3, 6]
    assert all(set(fewshot.METHODS) < set(row) for row in result["rows"])
    assert result["rows"][1]["forest"]["macro_f1"] > 0.9
    # Finished draws are not made again.
    monkeypatch.setattr(fewshot.Bench, "draw", lambda *_: pytest.fail("made again"))
    fewshot.main()
    assert json.loads(out.read_text())["rows"] == result["rows"]
    # With fewer methods they are.
    monkeypatch.undo()
    monkeypatch.syspath_prepend(ROOT / "bench")
    monkeypatch.setattr(fewshot, "ADDED", 20)
    without = [*("--number", "3"), *("--without", "forest_scratch"), *("--without", "likelihood_tokens_edit")]
    monkeypatch.setattr(sys, "argv", [*command, *without, "-o", str(out)])
    fewshot.main()
    (row,) = json.loads(out.read_text())["rows"]
    assert "forest_scratch" not in row
    assert row["forest"] == result["rows"][0]["forest"]


def test_nats_become_as_unsure_as_a_classifier_is() -> None:
    from scipy.special import log_softmax, softmax

    import fewshot

    random = np.random.default_rng(0)
    logits = random.normal(size=(500, 11))
    # Twenty times as sure of the same, and each flow's nats the more the longer it is.
    nats = -20 * log_softmax(logits, axis=1) + random.uniform(50, 300, (500, 1))
    assert fewshot.as_unsure(nats, softmax(logits, axis=1)) == pytest.approx(1 / 20, rel=1e-4)


def test_canaries_are_new_and_as_long_as_can_be() -> None:
    import canaries

    walks = np.random.default_rng(0).integers(0, 5, (120, 8)) + 50
    flows = [Flow("a", walk, [0, 1] * 4, [0.0] * 8) for walk in walks.tolist()]
    for make in canaries.KINDS.values():
        made = {tuple(flow.pl) for flow in make(flows, "a", 50, 8, False)}
        assert len(made) == 50
        assert not made & {tuple(walk) for walk in walks.tolist()}
        assert {len(pl) for pl in made} == {8}
    pairs = {pair for walk in walks.tolist() for pair in pairwise(walk)}
    assert all(pair in pairs for flow in canaries.ordinary(flows, "a", 50, 8, False) for pair in pairwise(flow.pl))
    with pytest.raises(EdgegenError, match=r"^0 of 50 flows of 3 packets are all that a chain of a makes"):
        canaries.ordinary([Flow("a", [1, 2, 3], [0, 1, 0], [0.0] * 3)], "a", 50, 3, False)


@pytest.mark.slow
def test_a_generator_that_repeats_its_canaries_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import canaries

    table, out = tmp_path / "flows.parquet", tmp_path / "out.json"
    write_flows(flows_of("ab", 60), table)
    monkeypatch.setattr(canaries, "EACH", 2)
    monkeypatch.setattr(canaries, "OTHERS", 64)
    # A chain makes no new flows of two packets; and these are too short to be learned once.
    monkeypatch.setattr(canaries, "KINDS", {"strange": canaries.strange})
    monkeypatch.setattr(canaries, "train", lambda *a, **k: train(*a, **k, size="tiny", epochs=30))
    command = ["canaries.py", str(table), "--arch", "llama", "--no-iat", "--max-packets", "2", "--generate", "5000"]
    monkeypatch.setattr(sys, "argv", [*command, "-o", str(out)])
    canaries.main()
    rows = json.loads(out.read_text())["rows"]
    assert sum(row["canaries"] for row in rows) == 6 + 64
    by_times = {row["times_in_training"][1]: row for row in rows}
    most = by_times[max(by_times)]
    # Sixteen times among a hundred flows is learned by heart, and said to be.
    assert most["came_out"] == most["canaries"]
    assert most["exposure_bits"] > by_times[0]["exposure_bits"] + 2
