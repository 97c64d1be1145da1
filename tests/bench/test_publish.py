"""What is left of a measurement whose reader has gone."""

import json
import sys
from pathlib import Path

import pytest


class Gone:
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_the_result_is_in_its_file_before_anything_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from publish import publish

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        publish({"rows": [1]}, tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text()) == {"rows": [1]}
