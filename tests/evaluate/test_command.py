"""Where `edgegen evaluate` writes, by what its paths are told from; the evaluation itself is a dummy."""

import os
from pathlib import Path
from typing import Any

import pytest
from bundled import FILES, MADE

from edgegen.bundle import Bundle
from edgegen.bundle_writer import write_bundle
from edgegen.errors import UsageError
from edgegen.evaluate import card, command


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stood in."""

    def write_report(result: dict[str, Any], out: Path) -> list[Path]:
        out.mkdir()
        return [out]

    monkeypatch.setattr(command, "evaluate", lambda *_: {"verdict": [], "notes": []})
    monkeypatch.setattr(command, "_tables", lambda _: {})
    monkeypatch.setattr(command.report, "write_report", write_report)
    monkeypatch.setattr(card, "summary", lambda _: "It is good.\n")
    (tmp_path / "real.jsonl").touch()
    made = write_bundle(tmp_path / "a.edgegen", FILES, MADE)
    monkeypatch.chdir(made.path)
    return made.path


def evaluate(path: str, out: str, card: bool = True) -> None:
    command.run(Path("../real.jsonl"), Path(path), None, Path(out), 0, 1, (), card)


def test_report_and_card_of_the_bundle_that_one_stands_in(bundle: Path) -> None:
    evaluate(".", "../report")
    assert sorted(os.listdir(bundle.parent)) == ["a.edgegen", "real.jsonl", "report"]
    assert Bundle.open(bundle)
    assert "It is good." in (bundle / "card.md").read_text()


@pytest.mark.parametrize(("path", "out"), [(".", "report"), ("../a.edgegen", "../a.edgegen/report")])
def test_a_report_in_the_bundle_that_is_replaced_would_be_lost(bundle: Path, path: str, out: str) -> None:
    with pytest.raises(UsageError, match="inside the bundle"):
        evaluate(path, out)
    evaluate(path, out, card=False)
    assert (bundle / "report").is_dir()


def test_the_report_is_there_though_the_reader_of_the_tables_has_gone(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: dict[str, Any]) -> dict[str, Any]:
        raise BrokenPipeError

    monkeypatch.setattr(command, "_tables", gone)
    with pytest.raises(BrokenPipeError):
        evaluate("../a.edgegen", "../report")
    assert (bundle.parent / "report").is_dir()
    assert "It is good." in (bundle.parent / "a.edgegen/card.md").read_text()
