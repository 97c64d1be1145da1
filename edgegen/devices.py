"""This machine, and which of edgegen's targets run on it with which kernels.

What a target and its kernels need is what the engine itself asks the processor for at its start
(export/device/processor.h), in the words of /proc/cpuinfo.
"""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgegen.bundle import Bundle, this_target
from edgegen.errors import EdgegenError
from edgegen.measure.report import machine_rows
from edgegen.results import table

_X86_64_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "popcnt", "sse4_2", "xsave")
_AVX512 = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni")
# Target -> kernels, those first that are chosen where there is a choice -> what they need.
NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {"avx512vnni": _X86_64_V3 + _AVX512, "avx2": _X86_64_V3},
    "aarch64": {"dotprod": ("asimddp",), "neon": ()},
    "armv7": {"neon": ("neon", "vfpv4", "idiva")},
}
# Features that decide how fast a generator runs; export/device/machine.c has the same.
FEATURES = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni"),  # x86-64
    *("asimd", "asimddp", "neon", "vfpv4", "sve", "i8mm"),  # ARM
)
_ANY = Path("/")


@dataclass(frozen=True)
class Fit:
    """How a target stands to this machine.

    kernels: those that would run, None where it does not fit
    passed_over: kernels that come before them, or all, and why they cannot run
    why: it does not fit, None where it does
    """

    target: str
    kernels: str | None
    passed_over: dict[str, str]
    why: str | None = None


def machine(root: Path = _ANY) -> dict[str, Any]:
    """The facts of this machine, by the names that `bench` has for them, or of what lies under `root`."""
    fields = cpu_fields(root)
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    known = cpu_flags(fields)
    return {
        "system": " ".join((platform.system(), platform.release(), platform.machine())),
        "cpu": next((fields[name] for name in ("model name", "Model", "Hardware", "CPU part") if name in fields), None),
        "features": [name for name in known if name in FEATURES],
        "cores": os.sysconf("SC_NPROCESSORS_ONLN"),
        "memory_mb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6),
        "governor": _line(cpufreq / "scaling_governor"),
        "mhz": _number(cpufreq / "scaling_cur_freq"),
        "mhz_most": _number(cpufreq / "cpuinfo_max_freq"),
        "celsius": _number(root / "sys/class/thermal/thermal_zone0/temp"),
        "load": _line(root / "proc/loadavg"),
    }


def fits(targets: dict[str, tuple[str, ...]], here: str, flags: set[str]) -> list[Fit]:
    """How each target, with its kernels, stands to a processor of target `here` with those features."""
    # What a 64-bit kernel calls it, under which 32-bit programs run.
    if here == "armv7" and "asimd" in flags:
        flags = flags | {*NEEDED["armv7"]["neon"]}
    return [_fit(target, kernels, here, flags) for target, kernels in targets.items()]


def devices(bundle: Bundle | None = None, root: Path = _ANY) -> dict[str, Any]:
    """The facts of this machine, and how the targets of `bundle`, or all that edgegen knows, stand to it."""
    targets = {name: tuple(kernels) for name, kernels in NEEDED.items()}
    if bundle:
        targets = {name: target.variants for name, target in bundle.manifest.targets.items()}
    found = fits(targets, this_target(), set(cpu_flags(cpu_fields(root))))
    return {
        "bundle": bundle.name if bundle else None,
        "machine": machine(root),
        "targets": [asdict(fit) for fit in found],
    }


def check(result: dict[str, Any]) -> None:
    """EdgegenError where no target of the bundle that a result of `devices` is about fits."""
    if result["bundle"] and all(row["why"] for row in result["targets"]):
        whys = "; ".join(f"{row['target']}: {row['why']}" for row in result["targets"]) or "it has none"
        here = this_target()
        do = f"export with --target {here}" if here in NEEDED else f"edgegen compiles for {', '.join(NEEDED)}"
        raise EdgegenError(f"no target of {result['bundle']} fits this machine ({whys}): {do}")


def markdown(result: dict[str, Any]) -> str:
    """The table of a result of `devices`."""
    rows = machine_rows(result["machine"])
    for row in result["targets"]:
        over = "; ".join(f"not {name}: {why}" for name, why in row["passed_over"].items())
        fit = f"kernels {row['kernels']}" + (f" ({over})" if over else "")
        rows.append((row["target"], f"does not fit: {row['why']}" if row["why"] else fit))
    return table(f"this machine and {result['bundle'] or 'the targets that edgegen knows'}", rows)


def cpu_fields(root: Path = _ANY) -> dict[str, str]:
    """The first value of each name in /proc/cpuinfo; empty where there is none."""
    try:
        text = (root / "proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return {}
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields


def cpu_flags(fields: dict[str, str]) -> list[str]:
    return (fields.get("flags") or fields.get("Features") or "").split()


def _fit(target: str, kernels: tuple[str, ...], here: str, flags: set[str]) -> Fit:
    if target != here:
        return Fit(target, None, {}, f"this processor is of kind {here}")
    only = os.environ.get("EDGEGEN_KERNELS")
    passed_over: dict[str, str] = {}
    for name in kernels:
        why = _why_not(NEEDED.get(target, {}).get(name), flags)
        if not why and only and name != only:
            why = f"EDGEGEN_KERNELS in the environment asks for {only}"
        if not why:
            return Fit(target, name, passed_over)
        passed_over[name] = why
    return Fit(target, None, passed_over, "; ".join(f"{name}: {why}" for name, why in passed_over.items()))


def _why_not(needed: tuple[str, ...] | None, flags: set[str]) -> str:
    if needed is None:
        return "this edgegen does not know these kernels"
    lacking = [name for name in needed if name not in flags]
    return f"this processor lacks {', '.join(lacking)}" if lacking else ""


def _line(path: Path) -> str | None:
    """The first line of a file, or None."""
    try:
        return path.read_text(errors="replace").partition("\n")[0]
    except OSError:
        return None


def _number(path: Path) -> float | None:
    """A whole number of thousandths."""
    line = _line(path) or ""
    return int(line) / 1e3 if line.removeprefix("-").isdecimal() and line.isascii() else None
