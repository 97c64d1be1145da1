"""One export from end to end: checkpoint -> ONNX (-> int8) -> TVM objects -> library, executable -> gate -> bundle."""

import platform
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgegen import bundle as bundles
from edgegen import checkpoint
from edgegen.bundle import FP32, INT8, STEP_GRAPHS, Bundle, Golden, Manifest, this_target
from edgegen.bundle_writer import check_place, write_bundle
from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.export import targets
from edgegen.export.card import card
from edgegen.export.compile import compile_kernels
from edgegen.export.device.sources import golden_source
from edgegen.export.emit import emit
from edgegen.export.fuse import fuse
from edgegen.export.link import link_executable, link_library
from edgegen.export.lower import lower
from edgegen.export.parity import FLOWS, Check, compare
from edgegen.export.quantise import quantise
from edgegen.export.step_graph import step_graph
from edgegen.export.targets import Target
from edgegen.models import Generator
from edgegen.models.diffusion import Diffusion
from edgegen.runtime.engine import collect, golden_hash
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.request import Request
from edgegen.trust import Signer

WIDTHS = (1, 16)
GOLDEN_SEED, GOLDEN_COUNT = 7, 64

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A finished bundle, the gate's checks, and where its bytes are."""

    bundle: Bundle
    checks: list[Check]


def export(
    run: Path,
    out: Path,
    names: tuple[str, ...] = (),
    say: Say = lambda text: None,
    sign: Signer | None = None,
    refinements: int | None = None,
    precision: str = INT8,
) -> Exported:
    """Export the run at `run` as a bundle at `out`.

    names: targets by name, none meaning this machine's
    say: told what is going on, a line each
    sign: signs it, where it is to be signed
    refinements: of a flow, for a generator that refines whole flows; none: as many as it was trained for
    precision: INT8 or FP32, in which the engine computes
    Raises EdgegenError where the gate is red: then nothing is written.
    """
    here = this_target()
    wanted = targets.find(list(names) or [here])
    (gate_target,) = targets.find([here])
    check_place(out)
    model, codec, config = checkpoint.load(run)
    if refinements is not None:
        if not isinstance(model, Diffusion):
            raise UsageError(f"{run} is a {model.config.arch}, which makes flows token by token: it has no refinements")
        if model.config.distilled and refinements != model.refinements:
            raise UsageError(f"{run} is distilled to {model.refinements} refinements: it has learned no other number")
        model.refine_in(refinements)
    with _workspace() as folder:
        say("step graph to ONNX")
        graphs = {FP32: folder / STEP_GRAPHS[FP32]}
        graph = step_graph(model)
        onnx.save(graph, graphs[FP32])
        if precision == INT8:
            say("weights and activations to int8")
            graphs[INT8] = folder / STEP_GRAPHS[INT8]
            onnx.save(quantise(graph), graphs[INT8])
        # The gate runs here, whatever the bundle is for: the golden flows come from this machine's engine.
        built = {
            target.name: _library(graphs[precision], codec, model, target, folder / target.name, say)
            for target in dict.fromkeys([gate_target, *wanted])
        }
        say(f"gate: {FLOWS} flows through torch, ONNX and the compiled engine")
        checks = _gate(model, codec, graphs, built[here].library)
        golden = _golden(built[here].library, codec)
        files: dict[str, bytes | Path] = {path.name: path for path in graphs.values()}
        described = {}
        for target in wanted:
            say(f"executable for {target.name}")
            _write_golden(golden, folder / target.name)
            executable = link_executable(folder / target.name, built[target.name].objects, target)
            described[target.name] = bundles.Target(
                f"{target.name}/edgegen", f"{target.name}/libmodel.so", WIDTHS, tuple(v.name for v in target.variants)
            )
            files[described[target.name].executable] = executable
            files[described[target.name].library] = built[target.name].library
        parameters = sum(p.numel() for p in model.parameters())
        sizes = model.config.to_json() | {"parameters": parameters, "precision": precision}
        loop = bundles.REFINEMENT if model.refinements else bundles.AUTOREGRESSIVE
        manifest = Manifest(model.config.arch, codec, golden, described, sizes, _provenance(run, config), loop)
        files["card.md"] = card(manifest, checks, files).encode()
        return Exported(write_bundle(out, files, manifest, sign), checks)


@contextmanager
def _workspace() -> Iterator[Path]:
    """A temporary folder for what an export makes on its way."""
    try:
        with tempfile.TemporaryDirectory(prefix="edgegen-export-") as name:
            yield Path(name)
    except OSError as error:
        place = error.filename or tempfile.gettempdir()
        reason = error.strerror or type(error).__name__
        raise EdgegenError(
            f"the export cannot use {place}: {reason}; make room or set TMPDIR to another place"
        ) from error


@dataclass(frozen=True)
class _Built:
    library: Path
    objects: list[Path]


def _library(graph: Path, codec: Codec, model: Generator, target: Target, folder: Path, say: Say) -> _Built:
    say(f"TVM: kernels for {target.name}")
    folder.mkdir()
    fused = fuse(onnx.load(graph))
    programs = {v: [lower(fused, width, v.dot) for width in WIDTHS] for v in target.variants}
    objects = []
    for variant, steps in programs.items():
        objects.append(folder / f"{variant.name}.o")
        compile_kernels(steps, target, variant, objects[-1])
    emit(programs, codec, model.config.vocabulary, model.refinements, folder)
    say(f"library for {target.name}")
    return _Built(link_library(folder, objects, target), objects)


def _gate(model: Generator, codec: Codec, graphs: dict[str, Path], library: Path) -> list[Check]:
    wide, narrow = (NativeEngine(library, codec, width) for width in (WIDTHS[-1], 1))
    try:
        checks = compare(model, codec, graphs, wide, Request(FLOWS, GOLDEN_SEED))
        together, alone = (collect(engine, codec, Request(GOLDEN_COUNT, GOLDEN_SEED)) for engine in (wide, narrow))
        same = np.mean((alone.tokens == together.tokens).all(1))
        checks.append(Check(f"same flow alone and in a batch of {wide.width}", float(same), 1.0, bool(same == 1.0)))
    finally:
        wide.close()
        narrow.close()
    red = [check.line() for check in checks if not check.holds]
    if red:
        raise EdgegenError(f"the parity gate is red, so no bundle is written: {'; '.join(red)}")
    return checks


def _golden(library: Path, codec: Codec) -> Golden:
    engine = NativeEngine(library, codec, WIDTHS[-1])
    try:
        digest = golden_hash(engine, codec, GOLDEN_SEED, 0, GOLDEN_COUNT)
    finally:
        engine.close()
    return Golden(GOLDEN_SEED, 0, GOLDEN_COUNT, {"native": digest})


def _write_golden(golden: Golden, folder: Path) -> None:
    source = golden_source(golden.seed, golden.first, golden.count, golden.sha256["native"])
    (folder / "golden.c").write_text(source)


def _provenance(run: Path, config: dict[str, Any]) -> dict[str, Any]:
    packages = ("edgegen", "torch", "onnx", "apache-tvm", "ziglang")
    history = config.get("history") or []
    return {
        "run": run.name,
        "training": config.get("provenance", {}),
        "seconds_per_epoch": statistics.median(record["seconds"] for record in history) if history else None,
        "exported": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
        # A bundle goes to others: they learn the names of its maker's files, not of the folders, a key's for instance.
        "command": " ".join(["edgegen", *(re.sub(r"[^=]*/", "", word) for word in sys.argv[1:])]),
    }
