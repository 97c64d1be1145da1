"""The same flows on ARM, bit for bit: cross-linked static executables under emulation, pinned to real processors."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgegen.bundle import Bundle, this_target
from edgegen.errors import UsageError
from edgegen.measure import Workload, emulator, measure
from edgegen.measure.report import markdown
from edgegen.trust import make_keys, sign, signer

Forms = Callable[[str, str], Path]

# The processors that executables are tried on: without and with a dot product, and 32 bits.
PROCESSORS = [
    ("aarch64", "qemu-aarch64-static", "cortex-a53", "neon"),
    ("aarch64", "qemu-aarch64-static", "cortex-a76", "dotprod"),
    ("armv7", "qemu-arm-static", "cortex-a7", "neon"),
]
# An emulator adds and multiplies floats in software: Mamba's state has many.
FLOWS = {"llama": "2000", "mamba": "100", "diffusion": "200"}
STATIC_ARM = {"aarch64": (2, 183), "armv7": (1, 40)}  # class and machine in the head of an ELF file


def emulated(
    bundle: Path, target: str, program: str, processor: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The bundle's executable on an emulated processor; skips where there is no emulator."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing (Debian package qemu-user-static)")
    executable = bundle / Bundle.open(bundle).manifest.targets[target].executable
    command = [program, "-cpu", processor, str(executable), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)  # the first link for a target builds its C library
@pytest.mark.parametrize("arch", FLOWS)
@pytest.mark.parametrize(("target", "program", "processor", "variant"), PROCESSORS)
def test_same_flows_on_arm(bundles: Forms, arch: str, target: str, program: str, processor: str, variant: str) -> None:
    bundle = bundles(arch, "tiny")
    verified = emulated(bundle, target, program, processor, "verify")
    assert verified.returncode == 0, verified.stderr
    assert f"({variant})" in verified.stdout
    for arguments in (["-n", FLOWS[arch], "--threads", "2"], ["-n", "60", "--batch", "1"]):
        command = ["generate", "--seed", "7", *arguments]
        made = emulated(bundle, target, program, processor, *command)
        assert made.returncode == 0, made.stderr
        local = [str(bundle / this_target() / "edgegen"), *command]
        assert made.stdout == subprocess.run(local, capture_output=True, text=True, check=True).stdout


@pytest.mark.timeout(900)
def test_a_processor_with_a_dot_product_does_without_it_where_asked(
    bundles: Forms, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kernels, status in (("neon", 0), ("", 0), ("avx2", 1)):
        monkeypatch.setenv("EDGEGEN_KERNELS", kernels)
        done = emulated(bundles("llama", "tiny"), "aarch64", "qemu-aarch64-static", "cortex-a76", "verify")
        assert done.returncode == status
        assert f"({kernels or 'dotprod'})" in done.stdout + done.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", STATIC_ARM)
def test_the_executables_are_static_and_for_their_processor(bundles: Forms, target: str) -> None:
    bundle = Bundle.open(bundles("llama", "tiny"))
    elf = (bundle.path / bundle.manifest.targets[target].executable).read_bytes()
    assert (elf[4], struct.unpack_from("<H", elf, 18)[0]) == STATIC_ARM[target]
    assert b"/lib/ld" not in elf


@pytest.mark.timeout(900)
def test_a_processor_without_fused_multiply_add_is_refused(bundles: Forms) -> None:
    """A Cortex-A9 has NEON but no fused multiply-add, without which the sums would differ."""
    for verb in (["verify"], ["generate", "-n", "1"], ["bench"], ["info", "--require-signature", "any.pub"]):
        refused = emulated(bundles("llama", "tiny"), "armv7", "qemu-arm-static", "cortex-a9", *verb)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.count("\n") == 1
        assert "lacks instructions" in refused.stderr


@pytest.mark.timeout(900)
def test_signatures_are_checked_on_arm(bundles: Forms, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(bundles("llama", "tiny"), tmp_path / "signed.edgegen"))
    private, public = make_keys(tmp_path / "lab")
    _, other = make_keys(tmp_path / "other")
    sign(Bundle.open(bundle), signer(private))
    for target, program, processor in (
        ("aarch64", "qemu-aarch64-static", "cortex-a53"),
        ("armv7", "qemu-arm-static", "cortex-a7"),
    ):
        good = emulated(bundle, target, program, processor, "verify", "--require-signature", str(public))
        assert (good.returncode, good.stderr) == (0, "")
        bad = emulated(bundle, target, program, processor, "verify", "--require-signature", str(other))
        assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (1, "", 1)
        assert f"{target}/edgegen.sig is no signature of this executable with {other}" in bad.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("cpu", "variant"),
    [
        ("cortex-a53", "neon"),
        pytest.param("cortex-a76", "dotprod", marks=pytest.mark.slow),
        pytest.param("cortex-a7", "neon", marks=pytest.mark.slow),
    ],
)
def test_instructions_are_counted(bundles: Forms, cpu: str, variant: str) -> None:
    for name in emulator.EMULATORS.values():
        if shutil.which(name) is None:
            pytest.skip(f"{name} is missing (Debian package qemu-user)")
    bundle = Bundle.open(bundles("llama", "tiny"))
    result = measure(bundle, f"qemu:{cpu}")
    assert result["variant"] == variant
    one, sixteen = result["instructions_a_token"]["1"], result["instructions_a_token"]["16"]
    # A multiply-add takes at least a sixteenth of an instruction, and at most one and a half.
    assert 200_000 / 16 < one < 1.5 * 200_000
    assert one / 2 < sixteen < 2 * one
    again = measure(bundle, f"qemu:{cpu}")["instructions_a_token"]
    assert again == pytest.approx(result["instructions_a_token"], rel=1e-3)
    assert f"| kernels | {variant} |" in markdown(result)
    # What ran is what is said: a batch of seven runs as wide as one of sixteen.
    assert list(measure(bundle, f"qemu:{cpu}", Workload(batch=7))["instructions_a_token"]) == ["16"]
    with pytest.raises(UsageError, match=r"counted under .*: label 'nope' is unknown"):
        measure(bundle, f"qemu:{cpu}", Workload(labels=("nope",)))
    with pytest.raises(UsageError, match="--threads is for measuring time"):
        measure(bundle, f"qemu:{cpu}", Workload(threads=2))
