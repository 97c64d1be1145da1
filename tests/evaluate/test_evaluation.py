"""One evaluation from end to end, and its report."""

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from toy import made

from edgegen.errors import EdgegenError
from edgegen.evaluate import evaluation
from edgegen.evaluate.evaluation import Settings, evaluate
from edgegen.evaluate.report import page, write_report
from edgegen.flow import Flow
from edgegen.split import split
from edgegen.writers import write_flows

REAL = made(600, 1)
QUICK = Settings(seeds=1, baselines=("copy", "markov"))


def written(folder: Path, name: str, flows: list[Flow]) -> Path:
    path = folder / name
    write_flows(flows, path)
    return path


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of flows that are as good as real ones."""
    folder = tmp_path_factory.mktemp("evaluation")
    real, synthetic = written(folder, "real.jsonl", REAL), written(folder, "made.jsonl", made(600, 2))
    return evaluate(real, synthetic=synthetic, folder=folder / "out", settings=QUICK)


def test_flows_as_good_as_real_ones_are_found_good(result: dict[str, Any]) -> None:
    assert result["fidelity"]["pl_jsd"] < 2 * result["fidelity"]["pl_jsd_floor"]
    assert result["fidelity"]["two_sample_auc"] < result["fidelity"]["two_sample_auc_floor"] + 0.1
    assert result["synthetic_only"]["macro_f1"] == pytest.approx(result["synthetic_only"]["real_macro_f1"], abs=0.02)
    assert set(result["synthetic_only"]["baselines"]) == set(result["fidelity"]["baselines"]) == set(QUICK.baselines)
    assert set(result["synthetic_only"]["cnn"]) == {"synthetic", "real"}
    assert result["privacy"]["copy_rate"] == pytest.approx(result["privacy"]["holdout_copy_rate"], abs=0.03)
    assert [entry["level"] for entry in result["verdict"]] == ["good"] * 3
    assert "membership_auc" not in result["privacy"]
    assert "taken for granted" in result["notes"][0]
    json.dumps(result, allow_nan=False)


def test_a_generator_that_copies_is_said_to_have_memorised(tmp_path: Path) -> None:
    real = written(tmp_path, "real.jsonl", REAL)
    synthetic = written(tmp_path, "copied.jsonl", split(REAL).train)
    found = evaluate(real, synthetic=synthetic, settings=QUICK)
    assert found["privacy"]["copy_rate"] == 1
    privacy = found["verdict"][2]
    assert privacy["level"] == "poor"
    assert "MEMORISED" in privacy["text"]


def test_finished_parts_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, synthetic = written(tmp_path, "real.jsonl", REAL), written(tmp_path, "made.jsonl", made(600, 2))
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "_privacy", lambda *_: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            evaluate(real, synthetic=synthetic, folder=tmp_path / "out", settings=QUICK)
    whole = evaluate(real, synthetic=synthetic, settings=QUICK)
    with monkeypatch.context() as patch:
        for name in ("_fidelity", "_synthetic_only"):
            patch.setattr(evaluation, name, lambda *_: pytest.fail("made again"))
        assert evaluate(real, synthetic=synthetic, folder=tmp_path / "out", settings=QUICK) == whole
        # Broken parts, and parts of other flows, are made again.
        written(tmp_path, "made.jsonl", made(600, 3))
        with pytest.raises(pytest.fail.Exception):
            evaluate(real, synthetic=synthetic, folder=tmp_path / "out", settings=QUICK)
    (tmp_path / "out" / "parts" / "privacy.json").write_text('{"key": ')
    assert evaluate(real, synthetic=synthetic, folder=tmp_path / "out", settings=QUICK)["privacy"]["copy_rate"] < 0.1


def test_labels_of_one_side_are_named_and_left_out(tmp_path: Path) -> None:
    extra = [Flow("c", [5], [0], [0.0], 6, f"c{i}") for i in range(9)]
    real = written(tmp_path, "real.jsonl", [*REAL, *extra])
    found = evaluate(real, synthetic=written(tmp_path, "made.jsonl", made(600, 2)), settings=QUICK)
    assert found["real"]["labels"] == ["a", "b"]
    assert "Labels that only the real flows have are left out: c." in found["notes"]


@pytest.mark.parametrize(
    ("flows", "sentence"),
    [
        ([Flow("z", [5], [0], [0.0])] * 30, "no label in common"),
        (made(1, 1), "too few flows to hold some out"),
        ([Flow(f.label, f.pl, f.dir, [0.0] * len(f)) for f in REAL], "has no times and the generator makes some"),
    ],
)
def test_real_flows_that_do_not_fit_are_one_sentence(flows: list[Flow], sentence: str, tmp_path: Path) -> None:
    real, synthetic = written(tmp_path, "real.jsonl", flows), written(tmp_path, "made.jsonl", made(20, 2))
    with pytest.raises(EdgegenError, match=sentence):
        evaluate(real, synthetic=synthetic, settings=QUICK)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]


def test_the_report_needs_nothing_else(result: dict[str, Any], tmp_path: Path) -> None:
    paths = write_report(result, tmp_path)
    assert [path.name for path in paths] == ["results.json", "report.html"]
    assert json.loads(paths[0].read_text()) == result
    parsed = _Page()
    parsed.feed(paths[1].read_text())
    assert parsed.tags.count("svg") == 4
    assert parsed.tags.count("table") == 4
    assert [link for link in parsed.links if not link.startswith(("#", "data:"))] == []
    assert "script" not in parsed.tags
    assert parsed.tags.index("div") < parsed.tags.index("svg")


def test_names_are_escaped(result: dict[str, Any]) -> None:
    evil = result | {"notes": ["<script>alert(1)</script>"]}
    assert "<script>" not in page(evil)


def test_a_browser_shows_it(result: dict[str, Any], tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("chromium is missing")
    _, report = write_report(result, tmp_path)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    picture = tmp_path / "page.png"
    command += ["--window-size=420,900", f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}"]
    done = subprocess.run([*command, report.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "CONSOLE" not in done.stderr
    assert picture.stat().st_size > 20_000


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ([], 2, "name what to evaluate"),
        (["--bundle", "a", "--synthetic", "b"], 2, "name what to evaluate"),
        (["--synthetic", "b.csv", "--baseline", "gan"], 2, "'gan' is none of copy, markov"),
        (["--synthetic", "b.csv"], 1, "there is no b.csv"),
        (["--bundle", "a.edgegen"], 1, "there is no bundle a.edgegen"),
    ],
)
def test_wrong_usage_is_one_sentence(words: list[str], status: int, sentence: str) -> None:
    done = subprocess.run([sys.executable, "-m", "edgegen.cli", "evaluate", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
