"""The artefact: a folder NAME.edgegen/ whose manifest holds a hash of every file, itself included.

    manifest.json   line 1 is `{"sha256": "<64 hex>",`: the hash of every byte after that line
    model.onnx  model.int8.onnx (of an int8 bundle)  <target>/edgegen  <target>/libmodel.so  card.md
    manifest.sig  <target>/edgegen.sig    where it is signed: edgegen/trust.py

Nothing of a bundle is loaded before all of it has been checked.
"""

import hashlib
import json
import os
import platform
import reprlib
import stat
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.manifest import (
    AUTOREGRESSIVE,
    FORMAT,
    FP32,
    INT8,
    REFINEMENT,
    STEP_GRAPHS,
    Golden,
    Manifest,
    Target,
)
from edgegen.paths import is_there

if TYPE_CHECKING:
    from edgegen.trust import Trust

__all__ = [
    "AUTOREGRESSIVE",
    "FIRST_LINE",
    "FP32",
    "INT8",
    "MACHINES",
    "MANIFEST",
    "REFINEMENT",
    "SIGNATURE",
    "STEP_GRAPHS",
    "Bundle",
    "Golden",
    "Manifest",
    "Target",
    "is_inside",
    "this_target",
]

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
FIRST_LINE = '{{"sha256": "{}",\n'
# What a kernel calls its processor -> the target.
MACHINES = {
    "x86_64": "x86_64",
    "AMD64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "armv7l": "armv7",
    "armv8l": "armv7",
}


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been checked; `files` are the names in it with their sha256."""

    path: Path
    manifest: Manifest
    files: dict[str, str]

    @property
    def codec(self) -> Codec:
        return self.manifest.codec

    @property
    def name(self) -> str:
        """Its folder's, also where that was given as `.`"""
        return (self.path.resolve() if self.path.name in ("", "..") else self.path).name

    @property
    def signed(self) -> bool:
        """Whether it bears a signature; whose, `trust` says to `open`."""
        return os.path.lexists(self.path / SIGNATURE)

    @classmethod
    def open(cls, path: Path | str, trust: "Trust | None" = None) -> "Bundle":
        """Check every byte of a bundle; EdgegenError names the first file that is missing or changed.

        trust: whose signature it must bear; None asks for none
        """
        path = Path(path)
        if not is_there(path):
            raise EdgegenError(f"there is no bundle {path}: make one with `edgegen export`")
        data = _read_manifest(path, trust)
        form, loop = data.get("format"), data.get("loop")
        if form != FORMAT:
            wrong = reprlib.repr(form)
            raise EdgegenError(f"{path} has bundle format {wrong}, not {FORMAT}: export it with this edgegen")
        if loop not in (AUTOREGRESSIVE, REFINEMENT):
            wrong = reprlib.repr(loop)
            raise EdgegenError(f"{path} has a loop of kind {wrong}, which this edgegen does not know: update it")
        try:
            files = {str(name): str(digest) for name, digest in data["files"].items()}
            manifest = Manifest.from_json(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EdgegenError(f"{path / MANIFEST} lacks a field ({error}): export the bundle again") from error
        for name, digest in files.items():
            _check(path, name, digest)
        for target in manifest.targets.values():
            for name in (target.executable, target.library):
                if name not in files:
                    raise EdgegenError(f"{path / MANIFEST} has no hash of {name}: export the bundle again")
        return cls(path, manifest, files)

    def executable(self, target: str) -> Path:
        """The executable for a target; EdgegenError where the bundle has none."""
        known = {name: t.executable for name, t in self.manifest.targets.items() if t.executable in self.files}
        if target not in known:
            raise EdgegenError(
                f"{self.path} has no executable for {target} (it has: {', '.join(known) or 'none'}): "
                f"export with --target {target}"
            )
        return self.path / known[target]

    def library(self) -> Path:
        """The engine for this machine's processor; EdgegenError where the bundle has none."""
        here = this_target()
        if here not in self.manifest.targets:
            known = ", ".join(self.manifest.targets) or "none"
            raise EdgegenError(
                f"{self.path} has no engine for this processor ({here}; it has: {known}): "
                f"export with --target {here}, or use --engine onnxruntime"
            )
        return self.path / self.manifest.targets[here].library


def this_target() -> str:
    """This machine's processor as `edgegen export --target` spells it; where a Python of 32 bits runs under a kernel
    of 64, as on many ARM boards, what that Python can load."""
    target = MACHINES.get(platform.machine(), platform.machine())
    return "armv7" if target == "aarch64" and sys.maxsize < 2**32 else target


def _read_manifest(path: Path, trust: "Trust | None") -> dict[str, Any]:
    """The manifest of the bundle at `path`, its own hash and its signature checked."""
    file = path / MANIFEST
    try:
        _must_be_file(file)
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise EdgegenError(
            f"{path} is not a bundle, as it has no {MANIFEST}: name a folder that `edgegen export` wrote"
        ) from error
    except OSError as error:
        raise EdgegenError(f"{file} cannot be read ({error.strerror}): check its permissions") from error
    first, _, rest = text.partition(b"\n")
    if first + b"\n" != FIRST_LINE.format(hashlib.sha256(rest).hexdigest()).encode():
        raise EdgegenError(f"{file} has been changed since the bundle was written: copy or export the bundle again")
    if trust is not None:
        trust.check(path, text)
    try:
        data: dict[str, Any] = json.loads(b"{" + rest)
        # Half a character, as \ud800, can be neither printed nor written.
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise EdgegenError(f"{file} is not JSON that this edgegen can read: export the bundle again") from error
    return data


def _check(path: Path, name: str, digest: str) -> None:
    file = path / name
    if not is_inside(name):
        raise EdgegenError(f"{path / MANIFEST} names {name!r}, a file outside the bundle: do not use it")
    if not name.isprintable():
        raise EdgegenError(f"{path / MANIFEST} names {name!r}, as no file of a bundle is called: do not use it")
    try:
        _must_be_file(file)
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise EdgegenError(f"{file} is missing: copy or export the bundle again") from error
    except OSError as error:
        raise EdgegenError(f"{file} cannot be read ({error.strerror}): copy or export the bundle again") from error
    if found != digest:
        raise EdgegenError(f"{file} has been changed since the bundle was written: copy or export the bundle again")


def _must_be_file(path: Path) -> None:
    """EdgegenError where it is something else: who reads a pipe may wait for ever. OSError where it is not there."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise EdgegenError(f"{path} is no file: copy or export the bundle again")


def is_inside(name: str) -> bool:
    """Whether `name` is a file's in a bundle that may have a hash: not the manifest's, and in no other folder."""
    pure = PurePosixPath(name)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and name not in (MANIFEST, SIGNATURE)
