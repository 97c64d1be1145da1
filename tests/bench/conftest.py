"""The scripts of bench/ are modules beside each other, as they are for whoever runs one."""

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "bench"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
