"""What a measurement was taken on: a result without its machine says nothing."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgegen.devices import cpu_fields, cpu_flags

# Instruction sets that decide how fast a generator or its training runs.
FEATURES = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
)


def facts(*packages: str) -> dict[str, Any]:
    """Processor, features, cores, memory, load, system, versions of `packages`, and the running command."""
    cpu = cpu_fields()
    flags = cpu_flags(cpu)
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "features": [name for name in FEATURES if name in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in packages},
        "command": " ".join(["python", *(Path(word).name if "/" in word else word for word in sys.argv)]),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
