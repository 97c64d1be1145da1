"""The same flows on ARM, bit for bit: cross-linked static executables under emulation, pinned to real processors."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgegen import checkpoint
from edgegen.bundle import Bundle
from edgegen.export import build, targets

Once = Callable[[str, Callable[[Path], object]], Path]
Forms = Callable[[str, str], Path]

# target -> the processors it is tried on: without and with a dot product, and 32 bits
PROCESSORS = [
    ("aarch64", "qemu-aarch64-static", "cortex-a53", "neon"),
    ("aarch64", "qemu-aarch64-static", "cortex-a76", "dotprod"),
    ("armv7", "qemu-arm-static", "cortex-a7", "neon"),
]


@pytest.fixture(scope="module")
def executables(bundles: Forms, runs: Forms, once: Once) -> Forms:
    """(arch, target) -> the executable to the tiny model's bundle, whose flows this machine's engine made."""

    def link(path: Path, arch: str, target: str) -> None:
        bundle = Bundle.open(bundles(arch, "tiny"))
        model, codec, _ = checkpoint.load(runs(arch, "tiny"))
        (found,) = targets.find([target])
        made = build._library(bundle.path / "model.int8.onnx", codec, model, found, path, lambda text: None)
        build._write_golden(bundle.manifest.golden, path)
        build.link_executable(path, made.objects, found)

    return lambda arch, target: once(f"{arch}-{target}", lambda path: link(path, arch, target)) / "edgegen"


@pytest.mark.timeout(900)  # the first link for a target builds its C library
@pytest.mark.parametrize("arch", ["llama", "mamba"])
@pytest.mark.parametrize(("target", "emulator", "processor", "variant"), PROCESSORS)
def test_same_flows_on_arm(
    executables: Forms, bundles: Forms, arch: str, target: str, emulator: str, processor: str, variant: str
) -> None:
    if shutil.which(emulator) is None:
        pytest.skip(f"{emulator} is missing (Debian package qemu-user-static)")
    emulated = [emulator, "-cpu", processor, str(executables(arch, target))]
    verified = subprocess.run([*emulated, "verify"], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    assert f"({variant})" in verified.stdout
    here = Bundle.open(bundles(arch, "tiny"))
    arguments = ["generate", "-n", "100", "--seed", "7", "-o", "-"]
    local = [str(here.path / here.manifest.targets["x86_64"].executable), *arguments]
    assert subprocess.check_output([*emulated, *arguments]) == subprocess.check_output(local)


def test_a_processor_without_fused_multiply_add_is_refused(executables: Forms) -> None:
    """A Cortex-A9 has NEON but no fused multiply-add, without which the sums would differ."""
    if shutil.which("qemu-arm-static") is None:
        pytest.skip("qemu-arm-static is missing (Debian package qemu-user-static)")
    refused = subprocess.run(
        ["qemu-arm-static", "-cpu", "cortex-a9", str(executables("llama", "armv7")), "verify"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "lacks instructions" in refused.stderr
