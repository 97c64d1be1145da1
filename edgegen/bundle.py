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
import sys
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgegen.codec import Codec
from edgegen.errors import EdgegenError

if TYPE_CHECKING:
    from edgegen.trust import Trust

FORMAT = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
AUTOREGRESSIVE, REFINEMENT = "autoregressive", "refinement"
INT8, FP32 = "int8", "fp32"
# precision -> the step graph that the engine of such a bundle computes
STEP_GRAPHS = {INT8: "model.int8.onnx", FP32: "model.onnx"}
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
class Target:
    """The compiled engine for one processor family.

    executable, library: names inside the bundle
    widths:   compiled batch widths, rising
    variants: kernel variants, the one to run being chosen at start
    """

    executable: str
    library: str
    widths: tuple[int, ...]
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Golden:
    """Flows first .. first + count - 1 under `seed`, and their sha256 by engine."""

    seed: int
    first: int
    count: int
    sha256: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    kind:    architecture of the model, e.g. "llama"
    loop:    how flows come out of it: "autoregressive", a token a step, or "refinement", all of a flow in some steps
    model:   sizes, for people: parameters, layers, ...; the precision; and refinements, where the loop is one of them
    targets: by target name, as `edgegen export --target` spells it
    provenance: where the model comes from: run, training data, versions
    """

    kind: str
    codec: Codec
    golden: Golden
    targets: dict[str, Target]
    model: dict[str, Any]
    provenance: dict[str, Any]
    loop: str = AUTOREGRESSIVE

    @property
    def refinements(self) -> int:
        """Steps that make a whole flow; 0 where each makes one token."""
        return int(self.model["refinements"]) if self.loop == REFINEMENT else 0

    @property
    def precision(self) -> str:
        """INT8 or FP32; a bundle that does not say is int8."""
        precision: str = self.model.get("precision", INT8)
        return precision

    @property
    def step_graph(self) -> str:
        """The name of the step graph that the engine computes."""
        return STEP_GRAPHS[self.precision]

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self), "codec": self.codec.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Manifest":
        targets = {
            name: Target(str(t["executable"]), str(t["library"]), tuple(t["widths"]), tuple(t["variants"]))
            for name, t in data["targets"].items()
        }
        codec, golden = Codec.from_json(data["codec"]), Golden(**data["golden"])
        return cls(data["kind"], codec, golden, targets, data["model"], data["provenance"], data["loop"])


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
    def signed(self) -> bool:
        """Whether it bears a signature; whose, `trust` says to `open`."""
        return os.path.lexists(self.path / SIGNATURE)

    @classmethod
    def open(cls, path: Path | str, trust: "Trust | None" = None) -> "Bundle":
        """Check every byte of a bundle; EdgegenError names the first file that is missing or changed.

        trust: whose signature it must bear; None asks for none
        """
        path = Path(path)
        if not path.exists():
            raise EdgegenError(f"there is no bundle {path}: make one with `edgegen export`")
        data = _read_manifest(path, trust)
        form, loop = data.get("format"), data.get("loop")
        if form != FORMAT:
            raise EdgegenError(f"{path} has bundle format {form}, not {FORMAT}: export it with this edgegen")
        if loop not in (AUTOREGRESSIVE, REFINEMENT):
            raise EdgegenError(f"{path} has a loop of kind {loop!r}, which this edgegen does not know: update it")
        try:
            files = {str(name): str(digest) for name, digest in data["files"].items()}
            manifest = Manifest.from_json(data)
            if loop == REFINEMENT and manifest.refinements < 1:
                raise KeyError("refinements")
            if manifest.precision not in tuple(STEP_GRAPHS):
                raise KeyError("precision")
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
    except ValueError as error:
        raise EdgegenError(f"{file} is not JSON: export the bundle again") from error
    return data


def _check(path: Path, name: str, digest: str) -> None:
    file = path / name
    if not is_inside(name):
        raise EdgegenError(f"{path / MANIFEST} names {name!r}, a file outside the bundle: do not use it")
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise EdgegenError(f"{file} is missing: copy or export the bundle again") from error
    except OSError as error:
        raise EdgegenError(f"{file} cannot be read ({error.strerror}): copy or export the bundle again") from error
    if found != digest:
        raise EdgegenError(f"{file} has been changed since the bundle was written: copy or export the bundle again")


def is_inside(name: str) -> bool:
    """Whether `name` is a file's in a bundle that may have a hash: not the manifest's, and in no other folder."""
    pure = PurePosixPath(name)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and name not in (MANIFEST, SIGNATURE)
