"""Bundles in fp32: the same bytes from everything that generates, and no int8 in them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from compiled import EMULATED, EVERY_VARIANT

from edgegen import checkpoint
from edgegen.bundle import FP32, Bundle, this_target
from edgegen.errors import EdgegenError
from edgegen.evaluate.latency import latencies
from edgegen.export import build
from edgegen.runtime import generate
from edgegen.runtime.engine import verify
from edgegen.writers import json_line

Forms = Callable[[str, str], Path]
Plain = Callable[[str], Path]

# Of the ARM processors the one whose kernels are compiled soonest: test_floats.py and test_tir.py have all.
TARGET, VARIANT = EVERY_VARIANT["vmull"]
EMULATOR, PROCESSOR = EMULATED["vmull"]
SLOW = [pytest.param(arch, marks=pytest.mark.slow) for arch in ("mamba", "diffusion")]
ARCHS = pytest.mark.parametrize("arch", ["llama", *SLOW])
EXECUTABLE = f"{this_target()}/edgegen"
GENERATE = ["generate", "--seed", "7", "-n"]


@pytest.fixture(scope="session")
def plain(once: Callable[[str, Callable[[Path], None]], Path], export: Callable[..., None]) -> Plain:
    """arch -> the fp32 bundle of its tiny run, for this machine and an ARM processor; its gate has seen few flows."""

    def write(path: Path, arch: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "FLOWS", build.GOLDEN_COUNT)
            export(path, arch, "tiny", (this_target(), TARGET.name), FP32)

    return lambda arch: once(f"{arch}-fp32.edgegen", lambda path: write(path, arch))


@pytest.mark.timeout(900)  # the first link for a target builds its C library
@ARCHS
def test_a_bundle_in_fp32_holds_no_int8(plain: Plain, arch: str) -> None:
    bundle = Bundle.open(plain(arch))
    engines = {name for target in bundle.manifest.targets.values() for name in (target.executable, target.library)}
    assert set(bundle.files) == {"model.onnx", "card.md"} | engines
    assert (bundle.manifest.precision, bundle.manifest.step_graph) == (FP32, "model.onnx")
    assert "64 golden flows are the same (native)" in verify(bundle)
    card = (bundle.path / "card.md").read_text()
    assert "(tiny), fp32;" in card
    assert "largest logit difference, ONNX fp32 to the compiled engine" in card
    assert "int8" not in card
    # The weights are there once, in whole blocks.
    weights = sum(len(t.raw_data) for t in onnx.load(bundle.path / "model.onnx").graph.initializer)
    assert weights < (bundle.path / EXECUTABLE).stat().st_size < 1.1 * weights + 450_000


@pytest.mark.timeout(900)
@ARCHS
def test_the_same_bytes_however_they_are_asked_for(plain: Plain, arch: str) -> None:
    path = plain(arch)
    alone = subprocess.run([path / EXECUTABLE, *GENERATE, "100"], capture_output=True, check=True).stdout
    assert len(set(alone.splitlines())) > 95
    for flags in (["--batch", "1"], ["--threads", "2"]):
        command = [path / EXECUTABLE, *GENERATE, "100", *flags]
        assert subprocess.run(command, capture_output=True, check=True).stdout == alone
    for batch in (None, 1, 5):
        assert "".join(map(json_line, generate(path, 100, seed=7, batch=batch))).encode() == alone
    by_onnx = "".join(map(json_line, generate(path, 100, seed=7, engine="onnxruntime"))).encode().splitlines()
    # Its sums are in another order, so that a flow may part from ours where two tokens are almost equally likely.
    assert sum(a == b for a, b in zip(by_onnx, alone.splitlines(), strict=True)) >= 97


@pytest.mark.timeout(900)
@ARCHS
def test_the_same_bytes_on_arm(plain: Plain, arch: str) -> None:
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} is missing (Debian package qemu-user-static)")
    path = plain(arch)
    command = [EMULATOR, "-cpu", PROCESSOR, str(path / TARGET.name / "edgegen")]
    info = subprocess.run([*command, "info"], capture_output=True, text=True, check=True).stdout
    assert f"kernels: {VARIANT.name}\n" in info
    for flags in ([], ["--batch", "1"]):
        here = subprocess.run([path / EXECUTABLE, *GENERATE, "20", *flags], capture_output=True, check=True).stdout
        assert subprocess.run([*command, *GENERATE, "20", *flags], capture_output=True, check=True).stdout == here


@pytest.mark.timeout(900)
def test_the_engines_beside_it_are_those_that_it_has_graphs_for(plain: Plain, runs: Forms) -> None:
    timed = latencies(checkpoint.load(runs("llama", "tiny"))[0], Bundle.open(plain("llama")), flows=2)
    assert [row.engine for row in timed] == ["PyTorch fp32", "ONNX Runtime fp32", "compiled fp32"]
    assert timed[-1].same == 1.0


@pytest.mark.timeout(900)
def test_an_engine_that_computes_in_int8_is_red(
    plain: Plain, bundles: Forms, export: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = bundles("llama", "tiny") / this_target() / "libmodel.so"
    monkeypatch.setattr(build, "_library", lambda *rest: build._Built(library, []))
    monkeypatch.setattr(build, "FLOWS", build.GOLDEN_COUNT)
    with pytest.raises(EdgegenError, match=r"RED largest logit difference, ONNX fp32 to the compiled engine"):
        export(tmp_path / "x.edgegen", "llama", "tiny", (), FP32)
    assert list(tmp_path.iterdir()) == []
