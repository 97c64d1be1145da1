"""model.c, the kernels' objects and the C host -> one static executable and one shared library, by zig's compiler.

`python -m ziglang cc` carries its own C libraries, so a user needs no system compiler for any target.
"""

import subprocess
import sys
from pathlib import Path

from edgegen.errors import EdgegenError
from edgegen.export.device.sources import EXECUTABLE, FLAGS, LIBRARY
from edgegen.export.targets import Target

SMALL = ("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-fno-sanitize=all")
# What Python calls, and the kernels by name, so that a profile says where the time goes.
EXPORTS = "{ global: edgegen_*; *_w[0-9]*_*; local: *; };\n"


def link_library(folder: Path, objects: list[Path], target: Target) -> Path:
    """libmodel.so for Python on `target`, from model.c and weights.bin in `folder`."""
    (folder / "exports.map").write_text(EXPORTS)
    mode = ["-target", target.library, "-s", "-shared", "-fPIC", "-Wl,--version-script=exports.map"]
    return _zig(folder, mode, ["model.c"], LIBRARY, objects, target, "libmodel.so")


def link_executable(folder: Path, objects: list[Path], target: Target, named: bool = False) -> Path:
    """The static executable for `target`, from model.c, golden.c and weights.bin in `folder`.

    named: keeps the names of all functions, for profilers
    """
    mode = ["-target", target.executable, "-static", *(["-gline-tables-only"] if named else ["-s"])]
    return _zig(folder, mode, ["model.c", "golden.c"], EXECUTABLE, objects, target, "edgegen")


def _zig(
    folder: Path,
    mode: list[str],
    generated: list[str],
    host: tuple[Path, ...],
    objects: list[Path],
    target: Target,
    out: str,
) -> Path:
    command = [sys.executable, "-m", "ziglang", "cc", *mode, f"-mcpu={target.host_cpu}", *FLAGS, *SMALL, "-pthread"]
    command += ["-o", out, *generated, *map(str, host), *map(str, objects)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        first = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr[-300:])
        raise EdgegenError(f"linking {out} for {target.name} failed ({first.strip()}): report it with this line")
    return folder / out
