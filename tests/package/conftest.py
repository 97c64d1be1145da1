"""Bundles whose executables are a help text."""

import sys
from pathlib import Path
from typing import Any

import pytest

from edgegen.bundle import Bundle, Golden, Manifest, Target
from edgegen.bundle_writer import write_bundle
from edgegen.codec import Codec, Label

# Lets the tests of this folder import packaged.py.
sys.path.insert(0, str(Path(__file__).parent))

from packaged import PROGRAM, Make

TARGETS = ("x86_64", "aarch64", "armv7")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a bundle; the environment says nothing of packages."""
    for name in ("SOURCE_DATE_EPOCH", "DEBEMAIL", "DEBFULLNAME"):
        monkeypatch.delenv(name, raising=False)

    def bundle(
        name: str = "Home_LAN.edgegen",
        targets: tuple[str, ...] = TARGETS,
        program: bytes = PROGRAM,
        variants: tuple[str, ...] = ("dotprod", "neon"),
        provenance: Any = None,
    ) -> Bundle:
        described = {t: Target(f"{t}/edgegen", f"{t}/libmodel.so", (1,), variants) for t in targets}
        files: dict[str, bytes | Path] = {t.executable: program for t in described.values()}
        files |= {t.library: b"\x7fELF" for t in described.values()} | {"card.md": b"# A card\n"}
        codec, golden = Codec((Label("dns", 1.0),), max_packets=4, max_pl=100), Golden(1, 0, 8, {"native": "0" * 64})
        origin = {"exported": "2026-03-01"} if provenance is None else provenance
        return write_bundle(tmp_path / name, files, Manifest("llama", codec, golden, described, {}, origin))

    return bundle
