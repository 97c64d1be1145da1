"""One evaluation from end to end, and its report."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from toy import made

from edgegen import checkpoint
from edgegen.bundle import Bundle
from edgegen.bundle_writer import write_bundle
from edgegen.codec import Codec
from edgegen.datasets import edgelab
from edgegen.errors import EdgegenError
from edgegen.evaluate import axes, beside, classifiers, evaluation, figures, likeness, tables, transforms, utility
from edgegen.evaluate.arrays import Arrays, Ints, arrays, some
from edgegen.evaluate.axes import Settings
from edgegen.evaluate.card import add_to_card
from edgegen.evaluate.doubts import Doubts, doubts
from edgegen.evaluate.evaluation import evaluate
from edgegen.evaluate.privacy import copies
from edgegen.evaluate.real import Real, real_flows
from edgegen.evaluate.report import _taken, page, write_report
from edgegen.evaluate.subject import TableSubject
from edgegen.evaluate.verdict import verdict
from edgegen.export import export
from edgegen.flow import Flow
from edgegen.models import configure, create
from edgegen.split import split
from edgegen.writers import write_flows

REAL = made(600, 1)
COSTS = ("ms_a_flow", "flows_a_second", "executables")
QUICK = Settings(draws=1, seeds=1, baselines=("copy", "markov"))


def written(folder: Path, name: str, flows: list[Flow]) -> Path:
    path = folder / name
    write_flows(flows, path)
    return path


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of flows that are as good as real ones."""
    folder = tmp_path_factory.mktemp("evaluation")
    real, synthetic = written(folder, "real.jsonl", REAL), written(folder, "made.jsonl", made(600, 2))
    return evaluate(real, synthetic=synthetic, settings=QUICK)


def test_flows_as_good_as_real_ones_are_found_good(result: dict[str, Any]) -> None:
    assert result["fidelity"]["pl_jsd"] < 2 * result["fidelity"]["pl_jsd_floor"]
    assert result["fidelity"]["two_sample_auc"] < result["fidelity"]["two_sample_auc_floor"] + 0.1
    assert result["synthetic_only"]["macro_f1"] == pytest.approx(result["synthetic_only"]["real_macro_f1"], abs=0.02)
    as_they_come = result["synthetic_only"]["as_they_come"]["macro_f1"]
    assert as_they_come == pytest.approx(result["synthetic_only"]["real_macro_f1"], abs=0.02)
    assert set(result["synthetic_only"]["baselines"]) == set(result["fidelity"]["baselines"]) == set(QUICK.baselines)
    for name in ("tokens", "convolution"):
        sides = result["synthetic_only"]["classifiers"][name]
        assert sides["synthetic"]["macro_f1"] == pytest.approx(sides["real"]["macro_f1"], abs=0.03)
        assert sides["real"]["macro_f1"] > 0.9
    assert result["privacy"]["copy_rate"] == pytest.approx(result["privacy"]["holdout_copy_rate"], abs=0.03)
    assert result["privacy"]["picked"]["copy_rate"] == pytest.approx(result["privacy"]["copy_rate"], abs=0.03)
    assert [entry["level"] for entry in result["verdict"]] == ["good"] * 3
    assert "membership_auc" not in result["privacy"]
    assert "taken for granted" in result["notes"][0]


@pytest.mark.slow
def test_an_untrained_bundle_is_found_out(tmp_path: Path) -> None:
    """The real thing: a compiled generator, its likelihood and its cost."""
    real = written(tmp_path, "real.jsonl", REAL)
    codec = Codec.fit(split(REAL).train, 10)
    torch.manual_seed(0)
    model = create(configure("llama", "tiny", codec))
    run = tmp_path / "run"
    run.mkdir()
    checkpoint.save(run, model)
    config = {"arch": "llama", "size": "tiny", "model": model.config.to_json(), "codec": codec.to_json()}
    checkpoint.save_config(run, config | {"provenance": {"data": "none"}})
    bundle = export(run, tmp_path / "tiny.edgegen").bundle
    found = evaluate(real, bundle.path, folder=tmp_path / "out", settings=QUICK, others=[bundle])
    assert found["subject"] == {"name": "tiny.edgegen", "packets": 10, "times": True}
    assert "was trained on other flows (none)" in found["notes"][0]
    assert found["fidelity"]["two_sample_auc"] > 0.99
    assert found["synthetic_only"]["macro_f1"] < 0.7 < found["synthetic_only"]["real_macro_f1"]
    # Of what it was trained on nothing is known, so nothing is said of what it gives away.
    assert [entry["level"] for entry in found["verdict"]] == ["poor", "poor", "unknown"]
    assert "No sign" not in found["verdict"][2]["text"]
    # It was never trained, so nothing tells its training flows from others.
    assert found["privacy"]["membership_auc"] == pytest.approx(0.5, abs=0.06)
    assert found["cost"]["executables"] == {"x86_64": (bundle.path / "x86_64/edgegen").stat().st_size}
    assert found["cost"]["ms_a_flow"] > 0
    assert set(found["cost"]["others_ms_a_flow"]) == {"ONNX Runtime fp32", "ONNX Runtime int8"}
    more = found["synthetic_only"]["more"]
    assert set(more["baselines"]) == set(QUICK.baselines)
    assert more["macro_f1"] < 0.7 < more["baselines"]["copy"]["macro_f1"]
    assert "Cost" in (shown := page(found))
    assert f"macro-F1, {more['flows']:,} flows" in shown
    # What stands beside itself has the same worth; its cost was measured once more.
    own, other = ({k: v for k, v in row.items() if k not in COSTS} for row in found["beside"])
    assert own == other
    assert own["kind"] == "llama"
    assert all(row[name] for row in found["beside"] for name in COSTS)
    assert "Quality by number of refinements" not in page(found)
    # The card has the summary once, however often it is written, and nothing that was found depends on it.
    once = (add_to_card(bundle, found).path / "card.md").read_text()
    again = add_to_card(Bundle.open(bundle.path), found)
    assert (again.path / "card.md").read_text() == once
    assert once.count("## Is it any good") == 1
    assert "| unseen real flows that do |" in once
    assert "## How fast is it" in once
    assert evaluate(real, bundle.path, folder=tmp_path / "out", settings=QUICK, others=[bundle]) == found
    # A run that held nothing out leaves nothing to call unseen.
    files = {name: (bundle.path / name).read_bytes() for name in again.files}
    write_bundle(bundle.path, files, replace(bundle.manifest, provenance={"training": {"hold_out": False}}))
    _, doubt = evaluation._subject(bundle.path, None, "", QUICK)
    assert "trained on all of its flows" in doubt.notes[0]


def told_of_privacy(result: dict[str, Any], flows: Callable[[Real], Arrays], picked: Callable[[Real], Arrays]) -> Any:
    """The verdict on a generator of such flows."""
    real = real_flows(REAL, Path("real"), ("a", "b"), 10, True, 0)
    found, chosen, plain = (
        copies(real.training, real.held_out, some) for some in (flows(real), picked(real), real.training)
    )
    return verdict(result | {"privacy": found | {"picked": chosen, "baselines": {"copy": plain}}})[2]


def test_a_generator_that_copies_is_said_to_have_memorised(result: dict[str, Any]) -> None:
    told = told_of_privacy(result, lambda real: real.training, lambda real: real.held_out)
    assert told["level"] == "poor"
    assert "MEMORISED" in told["text"]


def test_that_picked_flows_are_the_commoner_ones_is_not_held_against_it(result: dict[str, Any]) -> None:
    told = told_of_privacy(result, lambda real: real.held_out, lambda real: real.training)
    assert told["level"] == "good"
    assert "of picked ones 100.0%" in told["text"]


def test_nothing_is_judged_by_flows_that_it_has_seen_or_by_few(result: dict[str, Any]) -> None:
    def levels(**changed: Any) -> list[str]:
        return [entry["level"] for entry in verdict(result | changed)]

    doubt = {"other_split": True, "held_out_seen": True}
    assert levels() == ["good"] * 3
    assert levels(doubts=doubt) == ["good", "unknown", "unknown"]
    assert levels(doubts=doubt | {"held_out_seen": False}) == ["good", "good", "unknown"]
    assert levels(real=result["real"] | {"held_out": 99}) == ["good", "unknown", "unknown"]
    assert "fewer than 100 held-out flows" in verdict(result | {"real": result["real"] | {"held_out": 99}})[2]["text"]


def test_what_leads_back_is_held_against_copies_whatever_baselines_are_asked_for() -> None:
    real = real_flows(REAL, Path("real"), ("a", "b"), 10, True, 0)
    subject = _Made(transforms.edit(real.training, real.training, np.random.default_rng(0)))
    found = axes.given_away(subject, real, replace(QUICK, baselines=("markov",)), lambda text: None)
    assert list(found["baselines"]) == ["copy", "markov"]
    assert found["baselines"]["copy"]["traced"] > 0.5


class _Made(TableSubject):
    """Flows that are there already."""

    def __init__(self, flows: Arrays) -> None:
        self.flows = flows

    def draw(self, labels: Sequence[str], wanted: Ints, seed: int) -> Arrays:
        return some(self.flows, wanted, seed)


def test_a_table_with_few_flows_of_a_label_is_measured_by_as_few() -> None:
    real = real_flows(made(800, 1), Path("real"), ("a", "b"), 10, True, 0)
    whole, short = (
        _Made(arrays([f for i, f in enumerate(made(200, 2)) if f.label == "a" or i < most], ("a", "b"), 10))
        for most in (400, 60)
    )
    settings = replace(QUICK, baselines=())
    even, uneven = (likeness.likeness(each, real, settings, lambda text: None) for each in (whole, short))
    assert (even["few_generated"], uneven["few_generated"]) == ([], ["b"])
    for name in ("pl_jsd", "packets_jsd", "bytes_up_jsd"):
        assert uneven[name] < 2 * uneven[f"{name}_floor"]
    assert uneven["two_sample_auc"] < 0.58
    notes = evaluation._of_the_flows(real, uneven, {"longer": 0.2})
    assert notes[0].startswith("Of b there are fewer generated flows")
    assert "20% of the generated flows are longer than any real one" in notes[1]
    assert evaluation._of_the_flows(real, even, {"longer": 0.0}) == []
    found = axes.synthetic_only(short, real, settings, lambda text: None)
    assert (found["among"], found["flows"]) == (1, 230)
    said = _taken(found, len(real.training))
    assert said.startswith("230, as the table has no more of some labels, where there are 1,280 real ones, as they")


def test_every_label_and_position_has_its_floor(result: dict[str, Any]) -> None:
    fidelity = result["fidelity"]
    assert set(fidelity["per_label"]) == {"a", "b"}
    assert list(fidelity["per_position"]) == [str(i + 1) for i in range(result["subject"]["packets"])]
    for row in (*fidelity["per_label"].values(), *fidelity["per_position"].values()):
        names = {name.removesuffix("_floor") for name in row}
        assert set(row) == names | {f"{name}_floor" for name in names}
    label = fidelity["per_label"]["a"]
    assert 0 <= label["bytes_down_jsd"] < 0.5
    assert label["burst_packets_wasserstein"] >= 0
    assert "iat_jsd" not in fidelity["per_position"]["1"]
    assert tables.by_position(fidelity)[1][0][2] == ""
    assert 0 <= fidelity["per_position"]["2"]["iat_jsd"] < 0.5
    for baseline in fidelity["baselines"].values():
        assert set(baseline["per_label"]["b"]) == {name for name in label if not name.endswith("_floor")}


def test_a_generator_that_changes_copies_is_said_to_have_memorised(result: dict[str, Any]) -> None:
    def turned(real: Real) -> Arrays:
        return transforms.direction(real.training, real.training, np.random.default_rng(0))

    told = told_of_privacy(result, turned, lambda real: real.held_out)
    assert told["level"] in ("fair", "poor")
    assert re.search(r"as if \d+% were copies with packets changed", told["text"])


def test_likeness_is_the_mean_of_every_set_that_a_generator_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Arrays] = []

    def numbered(half: Arrays, other: Arrays, seed: int) -> dict[str, Any]:
        asked.append(other)
        return {"two_sample_auc": float(len(asked))}

    monkeypatch.setattr(likeness, "_figures", numbered)
    real = real_flows(REAL, Path("real"), ("a", "b"), 10, True, 0)
    subject = TableSubject(written(tmp_path, "made.jsonl", made(600, 2)))
    found = likeness.likeness(subject, real, QUICK, lambda text: None)
    sets = len(asked) - 1 - len(QUICK.baselines)
    assert 3 <= sets <= likeness.AMONG
    assert found["two_sample_auc"] == np.mean(range(1, sets + 1))
    assert found["two_sample_auc_floor"] == sets + 1
    assert len({id(each) for each in asked}) == len(asked)


def test_finished_parts_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_parts: list[str] = []

    def part(name: str) -> Callable[..., dict[str, Any]]:
        def make(*_: object) -> dict[str, Any]:
            made_parts.append(name)
            return {"made": len(made_parts), "few_generated": [], "longer": 0.0}

        return make

    for module, name in ((likeness, "likeness"), (likeness, "shapes"), (axes, "synthetic_only")):
        monkeypatch.setattr(module, name, part(name))
    monkeypatch.setattr(evaluation, "verdict", lambda result: [])
    real, synthetic = written(tmp_path, "real.jsonl", REAL), written(tmp_path, "made.jsonl", made(60, 2))

    def run() -> dict[str, Any]:
        return evaluate(real, synthetic=synthetic, folder=tmp_path / "out", settings=QUICK)

    with monkeypatch.context() as patch:
        patch.setattr(axes, "given_away", lambda *_: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            run()
    first = run()
    assert run() == first
    assert made_parts == ["likeness", "shapes", "synthetic_only"]
    # A part that is broken is made again, and so are all of other flows.
    (tmp_path / "out" / "parts" / "fidelity.json").write_text('{"key": ')
    run()
    assert made_parts[3:] == ["likeness"]
    written(tmp_path, "made.jsonl", made(60, 3))
    run()
    assert made_parts[4:] == ["likeness", "shapes", "synthetic_only"]


def test_labels_of_one_side_are_left_out_and_named() -> None:
    extra = [Flow("c", [5], [0], [0.0], 6, f"c{i}") for i in range(9)]
    real = real_flows([*REAL, *extra], Path("real"), ("a", "b", "d"), 10, True, 0)
    assert real.labels == ("a", "b")
    assert (real.only_real, real.only_made) == (("c",), ("d",))
    assert "Labels that only the real flows have are left out: c." in evaluation._notes(real)


def test_held_out_halves_share_no_session() -> None:
    real = real_flows(REAL, Path("real"), ("a", "b"), 10, True, 0)
    known = dict(zip(real.held_out.patterns(), real.sessions, strict=True))
    for seed in range(3):
        one, two = ({known[pattern] for pattern in half.patterns()} for half in real.halves(seed))
        assert not one & two
        assert one | two == set(real.sessions)


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
    assert parsed.tags.count("svg") == 5
    assert parsed.tags.count("table") == 6
    assert [link for link in parsed.links if not link.startswith(("#", "data:"))] == []
    assert "script" not in parsed.tags
    assert parsed.tags.index("div") < parsed.tags.index("svg")


def test_quality_is_drawn_against_refinements(result: dict[str, Any]) -> None:
    subject = TableSubject.__new__(TableSubject)
    subject.name = "made.jsonl"
    own = beside.own_row(subject, result)
    rows = [own, *(own | {"name": f"{n}.edgegen", "refinements": n, "distilled": n == 2} for n in (2, 4, 8))]
    shown = page(result | {"beside": rows})
    assert "Quality by number of refinements" in shown
    assert "4.edgegen" in shown
    assert "Beside other generators" not in page(result)
    assert "Quality by number of refinements" not in page(result | {"beside": rows[:2]})


def test_flows_of_other_kinds_do_not_stand_side_by_side(tmp_path: Path) -> None:
    short, long = (
        TableSubject(written(tmp_path, f"{n}.jsonl", [Flow("a", [5] * n, [0] * n, [0.0] * n)])) for n in (3, 7)
    )
    with pytest.raises(EdgegenError, match=r"3 packets without times and 7\.jsonl of 7 packets without times"):
        beside.check(short, long, ["a"])
    with pytest.raises(EdgegenError, match=r"3.jsonl does not know the label b: it cannot stand beside 3.jsonl"):
        beside.check(short, short, ["a", "b"])


def test_what_a_generator_comes_from_is_asked_what_it_has_seen() -> None:
    seen = {"sha256": "d", "hold_out": True, "split": {"seed": 0}}

    def asked(training: dict[str, Any]) -> Doubts:
        provenance = SimpleNamespace(provenance={"training": training})
        subject = SimpleNamespace(name="it", bundle=SimpleNamespace(manifest=provenance))
        return doubts(subject, "d", 0)  # type: ignore[arg-type]

    assert asked(seen) == asked(seen | {"source": None, "init": None}) == Doubts()
    all_of_them = asked(seen | {"hold_out": False, "split": {"seed": None}})
    assert "trained on all of its flows" in all_of_them.notes[0]
    otherwise = asked(seen | {"split": {"seed": 1}})
    assert "or another split" in otherwise.notes[0]
    assert all_of_them.to_json() == otherwise.to_json() == {"other_split": True, "held_out_seen": True}
    assert asked(seen | {"sha256": "other"}).to_json() == {"other_split": True, "held_out_seen": False}
    assert asked(seen | {"distill": "run", "source": seen}) == Doubts()
    # Other flows, as with --init, are not those that are held out here.
    assert asked(seen | {"init": "run", "source": seen | {"sha256": "other", "hold_out": False}}) == Doubts()
    for source in (seen | {"hold_out": False}, seen | {"split": {"seed": 1}}):
        found = asked(seen | {"distill": "one", "source": seen | {"distill": "two", "source": source}})
        (note,) = found.notes
        assert note.startswith("two, from which it comes, was trained on flows that are called held out")
        assert found.held_out_seen


def test_a_label_without_held_out_flows_has_no_score(result: dict[str, Any]) -> None:
    real = real_flows(REAL, Path("real"), ("a", "b"), 10, True, 0)
    alone = real.held_out[real.held_out.label == 0]
    found = utility.scores(classifiers.forest, lambda seed: real.training, alone, 1)
    assert found["per_label"]["b"] is None
    shown = tables.by_label(result | {"synthetic_only": found | {"real_per_label": found["per_label"]}})
    assert shown[1][1][:3] == ("b", "-", "-")
    assert tables.note(shown[1]) == tables.WHY_NONE
    assert tables.note([("-a", "0.5", "", "-4.2, -4.5")]) == ""
    assert tables.note([("a", "- (0.5)")]) == tables.WHY_NONE


def test_what_a_bundle_for_another_machine_costs_is_said_as_far_as_it_is_known() -> None:
    unknown = {"parameters": None, "fp32_bytes": None, "int8_bytes": 2_000_000, "seconds_per_epoch": None}
    rows = tables.cost(unknown | {"executables": {"armv7": 2_280_000}})
    assert [row[1] for row in rows] == ["unknown", "2.00", "2.28", "unknown"]
    assert tables.note(rows) == ""


@pytest.mark.filterwarnings("error")
def test_labels_of_any_letters_and_lengths_are_drawn() -> None:
    shown = figures.confusion({"confusion": [[1.0, 0.0], [0.0, 1.0]]}, ["\u6d41\u91cf", "x" * 200])
    assert "\u6d41\u91cf" in shown
    assert "x" * 39 + "\u2026" in shown


def test_names_are_escaped(result: dict[str, Any]) -> None:
    evil = result | {"notes": ["<script>alert(1)</script>"]}
    assert "<script>" not in page(evil)


def test_a_table_without_flows_to_spare_is_not_called_picked(result: dict[str, Any]) -> None:
    assert result["synthetic_only"]["among"] == 1
    assert "those that together are most like" not in page(result)
    spared = result | {"synthetic_only": result["synthetic_only"] | {"among": 8}}
    assert "picked out of 8 times as many" in page(spared)


def test_no_label_of_a_figure_is_left_in_tex(result: dict[str, Any]) -> None:
    shown = page(result)
    assert "mathdefault" not in shown
    assert all(f">{tick}</text>" in shown for tick in ("1 k", "1 M", "1 ms"))


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
        (["--synthetic", "b.csv", "--baseline", "all", "--baseline", "copy"], 1, "there is no b.csv"),
        (["--bundle", "a.edgegen"], 1, "there is no bundle a.edgegen"),
        (["--synthetic", str(edgelab()), "--beside", "b.edgegen"], 1, "there is no bundle b.edgegen"),
    ],
)
def test_wrong_usage_is_one_sentence(words: list[str], status: int, sentence: str) -> None:
    done = subprocess.run([sys.executable, "-m", "edgegen.cli", "evaluate", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
