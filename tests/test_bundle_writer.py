import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundled import FILES, MADE

from edgegen.bundle import MANIFEST, REFINEMENT, Bundle
from edgegen.bundle_writer import write_bundle
from edgegen.errors import EdgegenError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a.edgegen", FILES, MADE).path


def test_a_bundle_replaces_a_bundle_even_a_damaged_one_and_nothing_else(bundle: Path) -> None:
    (bundle / "card.md").write_text("changed")
    write_bundle(bundle, {**FILES, "extra": b"more"}, MADE)
    assert "extra" in Bundle.open(bundle).files
    folder = bundle.parent / "photos"
    folder.mkdir()
    (folder / "one").write_text("dear")
    with pytest.raises(EdgegenError, match="not a bundle: choose another name"):
        write_bundle(folder, FILES, MADE)
    assert sorted(os.listdir(bundle.parent)) == ["a.edgegen", "photos"]
    assert (folder / "one").read_text() == "dear"


def test_a_link_stays_and_what_it_points_to_is_replaced(bundle: Path) -> None:
    link = bundle.parent / "links" / "b.edgegen"
    link.parent.mkdir()
    link.symlink_to("../a.edgegen")
    assert write_bundle(link, {**FILES, "extra": b"more"}, MADE).path == link
    assert link.is_symlink()
    assert "extra" in Bundle.open(bundle).files
    assert (os.listdir(link.parent), sorted(os.listdir(bundle.parent))) == (["b.edgegen"], ["a.edgegen", "links"])


@pytest.mark.parametrize(("inside", "path"), [("", "."), ("x86_64", ".."), ("", "../a.edgegen")])
def test_a_bundle_that_one_stands_in_is_replaced(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, inside: str, path: str
) -> None:
    monkeypatch.chdir(bundle / inside)
    made = write_bundle(path, {**FILES, "extra": b"more"}, MADE)
    assert "extra" in Bundle.open(bundle).files
    assert (made.name, (made.path / "extra").read_bytes()) == ("a.edgegen", b"more")
    assert os.listdir(bundle.parent) == ["a.edgegen"]


@pytest.mark.parametrize("name", ["../x", "/x", MANIFEST, ""])
def test_a_failed_write_leaves_the_old_bundle(bundle: Path, name: str) -> None:
    with pytest.raises(EdgegenError, match="not a file name inside a bundle"):
        write_bundle(bundle, {**FILES, name: b""}, MADE)
    assert Bundle.open(bundle).manifest == MADE
    assert os.listdir(bundle.parent) == ["a.edgegen"]


def test_a_full_disk_leaves_the_old_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EdgegenError, match="No space left on device"):
        write_bundle(bundle, FILES, MADE)
    monkeypatch.undo()
    assert Bundle.open(bundle).manifest == MADE
    assert os.listdir(bundle.parent) == ["a.edgegen"]


def test_a_signal_between_the_old_bundle_and_the_new_one_waits(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one has gone out of the way, the new one is not there yet."""
    rename = Path.rename

    def rename_and_signal(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if self == bundle:
            signal.raise_signal(signal.SIGINT)
        return moved

    monkeypatch.setattr(Path, "rename", rename_and_signal)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_bundle(bundle, {**FILES, "extra": b"more"}, MADE)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "extra" in Bundle.open(bundle).files
    assert os.listdir(bundle.parent) == ["a.edgegen"]


@pytest.mark.parametrize("model", [{}, {"refinements": "many"}, {"refinements": 0}, {"refinements": None}])
def test_a_loop_of_no_known_length_is_refused(tmp_path: Path, model: dict[str, Any]) -> None:
    path = tmp_path / "x.edgegen"
    with pytest.raises(EdgegenError, match="lacks a field"):
        write_bundle(path, {}, replace(MADE, targets={}, model=model, loop=REFINEMENT))
    assert not path.exists()
