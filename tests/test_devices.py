import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edgegen.export.device.sources as sources
from edgegen.bundle import Bundle, Golden, Manifest, Target, this_target
from edgegen.bundle_writer import write_bundle
from edgegen.cli import main
from edgegen.codec import Codec, Label
from edgegen.devices import FEATURES, NEEDED, check, cpu_fields, devices, fits, machine, markdown
from edgegen.errors import EdgegenError
from edgegen.export.targets import TARGETS

HERE = this_target()
# The line of features in /proc/cpuinfo of processors that gateways and servers have.
A53 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
A76 = A53 + " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
A7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
CORTEX_A5 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 vfpd32"
CORTEX_A9 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpd32"
A9_LACKS = "this processor lacks vfpv4, idiva"
HASWELL = "fpu sse4_2 movbe popcnt xsave avx f16c bmi1 avx2 bmi2 fma"
SAPPHIRE_RAPIDS = HASWELL + " avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni amx_int8"
TREMONT = "fpu sse4_2 movbe popcnt xsave"
ALL = {name: tuple(kernels) for name, kernels in NEEDED.items()}


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Makes a bundle for those targets, with those kernels."""

    def make(**targets: tuple[str, ...]) -> Bundle:
        made = {
            name: Target(f"{name}/edgegen", f"{name}/libmodel.so", (1,), kernels) for name, kernels in targets.items()
        }
        codec = Codec((Label("dns", 1.0),), max_packets=4, max_pl=100)
        manifest = Manifest("llama", codec, Golden(1, 0, 8, {}), made, {}, {})
        files = {file: b"\x7fELF" for target in made.values() for file in (target.executable, target.library)}
        return write_bundle(tmp_path / "b.edgegen", files, manifest)

    return make


def test_the_targets_are_those_that_are_compiled() -> None:
    assert list(NEEDED) == list(TARGETS)
    for name, target in TARGETS.items():
        assert list(NEEDED[name]) == [variant.name for variant in target.variants]


@pytest.mark.skipif(HERE != "x86_64", reason="an x86_64 processor is missing")
def test_the_needs_are_those_that_the_engine_asks_for(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    calls = {variant.name: variant.probe for variant in TARGETS[HERE].variants}
    prints = "".join(f'if ({probe}) puts("{name}");' for name, probe in calls.items())
    (tmp_path / "ask.c").write_text(f'#include <stdio.h>\n#include "processor.h"\nint main(void) {{ {prints} }}\n')
    folder = Path(sources.__file__).parent
    subprocess.run(["gcc", f"-I{folder}", "ask.c", "-o", "ask"], cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "ask"], capture_output=True, text=True, check=True).stdout.split()
    flags = set(cpu_fields()["flags"].split())
    assert found == [name for name, needed in NEEDED[HERE].items() if set(needed) <= flags]


@pytest.mark.parametrize(
    ("target", "flags", "kernels", "passed_over", "why"),
    [
        ("aarch64", A53, "neon", {"dotprod": "this processor lacks asimddp"}, None),
        ("aarch64", A76, "dotprod", {}, None),
        ("armv7", A7, "neon", {}, None),
        ("armv7", A53, "neon", {}, None),
        ("armv7", CORTEX_A5, None, {"neon": "this processor lacks idiva"}, "neon: this processor lacks idiva"),
        ("armv7", CORTEX_A9, None, {"neon": A9_LACKS}, f"neon: {A9_LACKS}"),
        ("x86_64", SAPPHIRE_RAPIDS, "avx512vnni", {}, None),
        ("x86_64", HASWELL, "avx2", {"avx512vnni": "this processor lacks avx512f, avx512bw"}, None),
        ("x86_64", TREMONT, None, {"avx512vnni": "this processor lacks avx", "avx2": "lacks avx"}, "avx2: this"),
    ],
)
def test_known_processors(
    target: str, flags: str, kernels: str | None, passed_over: dict[str, str], why: str | None
) -> None:
    (fit,) = (fit for fit in fits(ALL, target, set(flags.split())) if fit.target == target)
    assert fit.kernels == kernels
    assert fit.passed_over.keys() == passed_over.keys()
    assert all(part in fit.passed_over[name] for name, part in passed_over.items())
    assert (fit.why is None) == (why is None)
    assert (why or "") in (fit.why or "")
    others = [fit for fit in fits(ALL, target, set(flags.split())) if fit.target != target]
    assert all(fit.why == f"this processor is of kind {target}" for fit in others)


def test_the_environment_may_ask_for_other_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGEN_KERNELS", "neon")
    (fit,) = fits({"aarch64": ("dotprod", "neon")}, "aarch64", set(A76.split()))
    assert (fit.kernels, fit.passed_over) == ("neon", {"dotprod": "EDGEGEN_KERNELS in the environment asks for neon"})


def test_kernels_of_a_newer_edgegen_are_passed_over(bundle: Callable[..., Bundle]) -> None:
    result = devices(bundle(**{HERE: ("abacus",)}))
    with pytest.raises(EdgegenError, match=f"no target of b.edgegen fits .*{HERE}: abacus: this edgegen does not know"):
        check(result)
    assert f"| {HERE} | does not fit: abacus: this edgegen does not know these kernels |" in markdown(result)


@given(st.text(max_size=300), st.binary(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_whatever_the_kernel_says_is_facts(tmp_path: Path, text: str, raw: bytes) -> None:
    for name in ("proc/cpuinfo", "proc/loadavg", "sys/class/thermal/thermal_zone0/temp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"flags : " + text.encode("utf-8", "replace") + raw)
    found = machine(tmp_path)
    assert set(found["features"]) <= set(FEATURES)
    assert markdown(devices(root=tmp_path))


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = machine(tmp_path)
    assert (found["cpu"], found["features"], found["celsius"], found["load"]) == (None, [], None, None)
    (tmp_path / "sys/class/thermal/thermal_zone0").mkdir(parents=True)
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").write_text("51200\n")
    assert machine(tmp_path)["celsius"] == 51.2


@pytest.mark.parametrize("arguments", [["-o", "json"], []])
def test_the_verb_tells_what_fits_and_fails_where_nothing_does(
    bundle: Callable[..., Bundle],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    other = next(name for name in TARGETS if name != HERE)
    made = bundle(**{other: tuple(NEEDED[other])})
    monkeypatch.setattr(sys, "argv", ["edgegen", "devices", str(made.path), *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    shown = capsys.readouterr()
    assert exit.value.code == 1
    assert shown.err == (
        f"edgegen: no target of b.edgegen fits this machine ({other}: this processor is of kind {HERE}): "
        f"export with --target {HERE}\n"
    )
    why = json.loads(shown.out)["targets"][0]["why"] if arguments else shown.out
    assert f"this processor is of kind {HERE}" in why


def test_without_a_bundle_it_is_about_all_targets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["edgegen", "devices"])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 0
    table = capsys.readouterr().out
    assert all(f"\n| {name} | " in table for name in ("processor", "system", *TARGETS))
