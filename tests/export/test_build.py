"""A whole export: what is in the bundle, that it runs, and that a failed one leaves nothing."""

import errno
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgegen import checkpoint
from edgegen.bundle import STEP_GRAPHS, Bundle, this_target
from edgegen.errors import EdgegenError, UsageError
from edgegen.export import build, parity, targets
from edgegen.export.parity import compare
from edgegen.export.quantise import quantise
from edgegen.models import Generator
from edgegen.runtime import generate
from edgegen.runtime.engine import collect, verify
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.request import Request
from edgegen.trust import Trust, make_keys
from edgegen.writers import json_line

Forms = Callable[[str, str], Path]

ARCHS = pytest.mark.parametrize("arch", ["llama", "mamba", "diffusion"])
EXECUTABLE, LIBRARY = f"{this_target()}/edgegen", f"{this_target()}/libmodel.so"
PT_INTERP = 3
# -P: the folder the tests run in holds packages that are installed under other names.
EDGEGEN = [sys.executable, "-P", "-m", "edgegen.cli"]


@ARCHS
def test_a_bundle_holds_what_it_says(bundles: Forms, arch: str) -> None:
    bundle = Bundle.open(bundles(arch, "tiny"))
    compiled = {f"{name}/{file}" for name in targets.TARGETS for file in ("edgegen", "libmodel.so")}
    assert set(bundle.files) == {"model.onnx", "model.int8.onnx", "card.md"} | compiled
    assert bundle.manifest.kind == arch
    assert bundle.manifest.targets[this_target()].widths == build.WIDTHS
    assert "64 golden flows are the same (native)" in verify(bundle)
    card = (bundle.path / "card.md").read_text()
    assert "same greedy token, ONNX int8 and the compiled engine" in card


@ARCHS
def test_the_executable_proves_itself(bundles: Forms, arch: str) -> None:
    done = subprocess.run([bundles(arch, "tiny") / EXECUTABLE, "verify"], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"64 golden flows are the same as at the export")


@ARCHS
def test_the_same_bytes_however_they_are_asked_for(bundles: Forms, arch: str) -> None:
    path = bundles(arch, "tiny")
    arguments = ["generate", "--seed", "7", "-n", "200"]
    alone = subprocess.run([path / EXECUTABLE, *arguments], capture_output=True, check=True, timeout=60).stdout
    assert alone.count(b"\n") == 200
    assert len(set(alone.splitlines())) > 190
    for batch in (None, None, 1, 5, 64):
        flows = generate(path, 200, seed=7, batch=batch)
        assert "".join(map(json_line, flows)).encode() == alone
    verb = [*EDGEGEN, "generate", str(path), *arguments[1:]]
    assert subprocess.run(verb, capture_output=True, check=True, timeout=60).stdout == alone


def program_headers(elf: bytes) -> list[int]:
    """Types of the program headers of a little-endian 64-bit ELF file."""
    assert elf[:6] == b"\x7fELF\x02\x01"
    (offset,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return [struct.unpack_from("<I", elf, offset + i * size)[0] for i in range(count)]


@ARCHS
def test_the_executable_needs_no_other_file(bundles: Forms, arch: str) -> None:
    headers = program_headers((bundles(arch, "tiny") / EXECUTABLE).read_bytes())
    assert headers
    assert PT_INTERP not in headers


@pytest.mark.parametrize("arch", ["llama", *(pytest.param(a, marks=pytest.mark.slow) for a in ("mamba", "diffusion"))])
def test_the_engine_chooses_what_onnxruntime_chooses(bundles: Forms, runs: Forms, arch: str) -> None:
    path = bundles(arch, "tiny")
    model, codec, _ = checkpoint.load(runs(arch, "tiny"))
    model.fold()
    engine = NativeEngine(path / LIBRARY, codec, build.WIDTHS[-1])
    try:
        # Flows the gate has not seen.
        prompts = collect(engine, codec, Request(800, 99))
        graphs = {precision: path / name for precision, name in STEP_GRAPHS.items()}
        checks = compare(model, codec, graphs, engine, Request(800, 99))
    finally:
        engine.close()
    positions = [at for at in range(1, codec.length) if np.diff(codec.legal(at)) > 1]
    assert (prompts.tokens[:, positions] >= 0).sum() > 10_000
    assert [check.line() for check in checks if not check.holds] == []
    (agreement,) = (check.figure for check in checks if check.name.startswith("same greedy token, "))
    assert agreement >= 0.999


@ARCHS
def test_every_variant_generates_the_golden_flows(bundles: Forms, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tried = bundles(arch, "tiny"), []
    for variant in targets.find([this_target()])[0].variants:
        monkeypatch.setenv("EDGEGEN_KERNELS", variant.name)
        info = subprocess.run([path / EXECUTABLE, "info"], capture_output=True, text=True, check=True).stdout
        if f"kernels: {variant.name}\n" not in info:
            assert "kernels: none for this processor" in info
            continue
        done = subprocess.run([path / EXECUTABLE, "verify"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"({variant.name})" in done.stdout
        tried.append(variant.name)
    assert tried


@pytest.mark.slow
def test_the_verb_makes_the_same_files_again(bundles: Forms, runs: Forms, tmp_path: Path) -> None:
    again = tmp_path / "again.edgegen"
    private, public = make_keys(tmp_path / "lab")
    command = [*EDGEGEN, "export", str(runs("llama", "tiny")), "--int8", "--deb", "-o", str(again)]
    command += ["--sign", str(private)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    opened = Bundle.open(again, Trust.asked(public, None))
    assert opened.manifest.provenance["command"] == (
        "edgegen export run-llama-tiny --int8 --deb -o again.edgegen --sign lab.key"
    )
    subprocess.run([again / EXECUTABLE, "verify", "--require-signature", public], capture_output=True, check=True)
    first = bundles("llama", "tiny")
    for name in ("model.onnx", "model.int8.onnx", EXECUTABLE, LIBRARY):
        assert (again / name).read_bytes() == (first / name).read_bytes(), name
    *checks, last, package = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in checks)
    assert len(checks) == 7
    assert last == f"{again}: {this_target()}"
    assert set(tmp_path.iterdir()) == {again, Path(package), private, public}
    assert Path(package).name.startswith("edgegen-again_")


@pytest.mark.slow
def test_the_base_model_that_ships_makes_a_small_executable(bundles: Forms) -> None:
    """Through the gate, too: without it there would be no bundle."""
    assert (bundles("llama", "base") / EXECUTABLE).stat().st_size < 2_800_000


@pytest.fixture
def quick(request: pytest.FixtureRequest, bundles: Forms, graphs: Forms, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lets an export of a tiny model of this kind take graph and engine from what is there, and its gate few flows."""
    arch: str = getattr(request, "param", "llama")
    graph, library = onnx.load(graphs(arch, "tiny")), bundles(arch, "tiny") / LIBRARY
    monkeypatch.setattr(build, "step_graph", lambda model: (model.fold(), graph)[1])
    monkeypatch.setattr(build, "_library", lambda *rest: build._Built(library, []))
    monkeypatch.setattr(build, "link_executable", lambda *rest: library)
    monkeypatch.setattr(build, "_write_golden", lambda *rest: None)
    monkeypatch.setattr(build, "FLOWS", build.GOLDEN_COUNT)
    return arch


def spoil(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """One weight of the model replaced by its mirror image."""
    (weight,) = (t for t in model.graph.initializer if t.name == name)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[::-1].copy(), name))
    return model


def weight_named(model: onnx.ModelProto, part: str) -> str:
    return next(t.name for t in model.graph.initializer if part in t.name)


def spoil_step_graph(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """From now on the fp32 graph has another weight than the model, the first whose name has `part` in it."""
    right = build.step_graph

    def wrong(model: Generator) -> onnx.ModelProto:
        graph = onnx.ModelProto()
        graph.CopyFrom(right(model))
        return spoil(graph, weight_named(graph, part))

    monkeypatch.setattr(build, "step_graph", wrong)


def test_other_weights_in_the_fp32_graph_are_red(
    quick: str, runs: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_step_graph(monkeypatch, "down.weight")
    with pytest.raises(EdgegenError, match=r"the parity gate is red.*RED largest logit difference, torch fp32"):
        build.export(runs("llama", "tiny"), tmp_path / "x.edgegen")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quick", ["llama", "diffusion"], indirect=True)
def test_other_weights_in_the_int8_graph_are_red(
    quick: str, runs: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        build, "quantise", lambda graph: spoil(quantise(graph), weight_named(graph, "down.weight") + "_q")
    )
    with pytest.raises(EdgegenError) as raised:
        build.export(runs(quick, "tiny"), tmp_path / "x.edgegen")
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert "RED divergence per token" in sentence
    assert "RED same greedy token" in sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quick", ["diffusion"], indirect=True)
def test_another_path_in_the_fp32_graph_is_red(
    quick: str, runs: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_step_graph(monkeypatch, "model.kinds.codes")
    with pytest.raises(EdgegenError, match=r"RED divergence per token, torch fp32 to ONNX fp32, after a path"):
        build.export(runs(quick, "tiny"), tmp_path / "x.edgegen")


@pytest.mark.parametrize("quick", ["diffusion"], indirect=True)
def test_another_path_in_the_int8_graph_is_red(
    quick: str, runs: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The codes of kinds move a flow, and not the logits of one refinement alone."""
    monkeypatch.setattr(build, "quantise", lambda graph: spoil(quantise(graph), "model.kinds.codes_q"))
    # A model that has hardly been trained is sure of no flow, and another is not far from it.
    monkeypatch.setattr(parity, "INT8_PATH_COST", 0.02)
    with pytest.raises(EdgegenError, match=r"RED divergence per token, ONNX fp32 to ONNX int8, after a path") as raised:
        build.export(runs(quick, "tiny"), tmp_path / "x.edgegen")
    assert "last refinement" not in str(raised.value)


def test_a_red_gate_leaves_the_older_bundle(
    quick: str, runs: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.edgegen"
    build.export(runs("llama", "tiny"), path)
    before = (path / "manifest.json").read_bytes()
    monkeypatch.setattr("edgegen.export.parity.MEDIAN_DIFFERENCE", -1.0)
    with pytest.raises(EdgegenError, match="red, so no bundle is written"):
        build.export(runs("llama", "tiny"), path)
    assert (path / "manifest.json").read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["temporary", "target"])
def test_a_full_disk_is_one_sentence(
    quick: str, runs: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*rest: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "temporary":
        monkeypatch.setattr(onnx, "save", full)
    else:
        monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EdgegenError, match=r"No space left on device.* room"):
        build.export(runs("llama", "tiny"), tmp_path / "x.edgegen")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    run = tmp_path / "no run is looked at"
    with pytest.raises(EdgegenError, match="is missing or closed to you"):
        build.export(run, tmp_path / "none" / "x.edgegen")
    taken = tmp_path / "x.edgegen"
    taken.write_text("a letter")
    with pytest.raises(EdgegenError, match="exists and is not a bundle"):
        build.export(run, taken)
    assert taken.read_text() == "a letter"


def test_only_a_diffusion_has_refinements(runs: Forms, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="token by token"):
        build.export(runs("llama", "tiny"), tmp_path / "x.edgegen", refinements=4)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_target_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"target 'vax' is unknown; .*x86_64"):
        build.export(tmp_path / "run", tmp_path / "x.edgegen", ("x86_64", "vax"))


def test_a_killed_export_leaves_no_bundle(runs: Forms, tmp_path: Path) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    out.mkdir()
    scratch.mkdir()
    command = [*EDGEGEN, "export", str(runs("llama", "tiny")), "--int8", "-o", str(out / "x.edgegen")]
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "step graph to ONNX\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert list(out.iterdir()) == []


def test_a_kill_while_the_bundle_is_written_leaves_none(bundles: Forms, tmp_path: Path) -> None:
    script = """
import os, pathlib, signal, sys
from edgegen.bundle import Bundle
from edgegen.bundle_writer import write_bundle
bundle = Bundle.open(sys.argv[1])
pathlib.Path.rename = lambda *rest: os.kill(os.getpid(), signal.SIGKILL)
write_bundle(sys.argv[2], {name: bundle.path / name for name in bundle.files}, bundle.manifest)
"""
    out = tmp_path / "x.edgegen"
    done = subprocess.run([sys.executable, "-c", script, str(bundles("llama", "tiny")), str(out)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("*.edgegen")) == []
    with pytest.raises(EdgegenError, match="there is no bundle"):
        Bundle.open(out)


def test_the_int8_weights_are_in_the_library(bundles: Forms) -> None:
    path = bundles("llama", "tiny")
    model = onnx.load(path / "model.int8.onnx")
    int8 = [numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    size = sum(array.size for array in int8)
    assert size < (path / LIBRARY).stat().st_size < 1.6 * size + 250_000
