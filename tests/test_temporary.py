"""Temporary names: nobody else's is taken or removed, whatever the process number."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from bundled import FILES, MADE

from edgegen import temporary
from edgegen.bundle import Bundle
from edgegen.bundle_writer import write_bundle
from edgegen.flow import Flow
from edgegen.temporary import new_file, new_folder
from edgegen.writers import write_flows

Made = Callable[[Path], AbstractContextManager[Path]]


@pytest.mark.parametrize("made", [new_file, new_folder])
def test_a_name_that_is_taken_is_left_alone(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".x.taken.tmp").write_text("another's")
    names = iter(("taken", "free"))
    monkeypatch.setattr(temporary.secrets, "token_hex", lambda size: next(names))
    with made(tmp_path / "x") as path:
        assert path == tmp_path / ".x.free.tmp"
        assert path.exists()
    assert os.listdir(tmp_path) == [".x.taken.tmp"]
    assert (tmp_path / ".x.taken.tmp").read_text() == "another's"


@pytest.mark.parametrize(("made", "mode"), [(new_file, 0o640), (new_folder, 0o750)])
def test_the_mode_is_that_of_anything_new(tmp_path: Path, made: Made, mode: int) -> None:
    before = os.umask(0o027)
    try:
        with made(tmp_path / "x") as path:
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("made", [new_file, new_folder])
def test_what_has_its_real_name_stays(tmp_path: Path, made: Made) -> None:
    with made(tmp_path / "x") as path:
        path.rename(tmp_path / "x")
    assert os.listdir(tmp_path) == ["x"]


def test_files_of_a_process_with_the_same_number_are_left_alone(tmp_path: Path) -> None:
    """As in another container that has the same folder."""
    others = [f".{name}.{os.getpid()}.{what}" for name in ("f.jsonl", "b.edgegen") for what in ("tmp", "new", "old")]
    for name in others:
        (tmp_path / name).mkdir()
    write_flows([Flow("dns", [1], [0], [0.0])], tmp_path / "f.jsonl")
    for _ in range(2):
        write_bundle(tmp_path / "b.edgegen", FILES, MADE)
    assert Bundle.open(tmp_path / "b.edgegen").manifest == MADE
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "b.edgegen", "f.jsonl"])
