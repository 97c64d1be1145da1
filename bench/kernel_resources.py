"""Compile the Triton kernels for GPUs that need not be there, and say what each takes of one.

    python bench/kernel_resources.py --target sm_80 --target sm_90 -o bench/results/kernel-resources.json

The launches are those of a training step of the base Mamba: kernels/gpu.py makes them, and this script compiles what it
is about to launch, with the sizes and alignments that a launch would see. Registers are of a thread, shared memory of a
program, warps of a multiprocessor, as many as its registers hold. A kernel that spills registers to memory is an error.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from rich.table import Table
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import machine
from edgegen.kernels import gpu, triton_conv, triton_scan
from edgegen.kernels.arguments import Scan
from publish import publish

CUOBJDUMP = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
KERNELS = [
    (triton_scan, ("scan_forward", "scan_gradient_of_states", "scan_join", "scan_backward")),
    (triton_conv, ("conv_forward", "conv_backward")),
]
TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.int64: "*i64"}
# Of one multiprocessor, sm_80 and sm_90 alike.
REGISTERS, MOST_WARPS, MOST_PROGRAMS = 65_536, 64, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", action="append", help="sm_80, sm_90, ...; both where none is named")
    parser.add_argument("--type", action="append", choices=["float32", "bfloat16"], help="both where none is named")
    parser.add_argument("-o", dest="out", type=Path)
    options = parser.parse_args()
    types = [getattr(torch, name) for name in options.type or ["float32", "bfloat16"]]
    rows = [row for target in options.target or ["sm_80", "sm_90"] for row in compile_all(target, types)]
    result = {"rows": rows, "machine": machine.facts("triton", "torch")}
    publish(result, options.out, table_of(rows))
    spilling = [f"{row['kernel']} for {row['target']}" for row in rows if row["spilled_bytes"]]
    if spilling:
        sys.exit(f"registers are spilled by {', '.join(spilling)}")


def compile_all(target: str, types: list[torch.dtype]) -> list[dict[str, Any]]:
    """A row for each launch of a training step, at 64 and at 1,000 times."""
    rows: list[dict[str, Any]] = []
    for dtype in types:
        for time in (64, 1000):
            with ExitStack() as stack:
                for module, names in KERNELS:
                    for name in names:
                        recorder = Recorder(
                            getattr(module, name), target, rows, f"{dtype}".removeprefix("torch."), time
                        )
                        stack.enter_context(patch.object(module, name, recorder))
                launch(time, dtype)
    return rows


def launch(time: int, dtype: torch.dtype, batch: int = 4, dim: int = 256, state: int = 16) -> None:
    """Forward and backward passes of the scan and of the convolution, laid out as models/mamba.py has them."""

    def channels(n: int, of: int | None = None) -> torch.Tensor:
        return torch.zeros(batch, time, of or n, dtype=dtype)[:, :, :n].transpose(1, 2)

    u, delta, z = channels(dim), channels(dim), channels(dim, 2 * dim)
    B, C = channels(state, 40), channels(state, 40)
    of_dim = torch.zeros(dim)
    scan = Scan(u, delta, torch.zeros(dim, state), B, C, of_dim, z, of_dim, True, None, None)
    gpu.scan_forward(scan)
    gpu.scan_backward(scan, channels(dim), None)
    weight = torch.zeros(dim, 4)
    gpu.conv_forward(z, weight, of_dim, None)
    gpu.conv_backward(u, z, weight, of_dim, None)


class Recorder:
    """In the place of a kernel: compiles for `target` what is launched and appends a row of what it takes."""

    def __init__(self, kernel: Any, target: str, rows: list[dict[str, Any]], dtype: str, time: int) -> None:
        self.kernel, self.target, self.rows, self.case = kernel, target, rows, {"type": dtype, "time": time}

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return self.compile

    def compile(self, *arguments: Any, num_warps: int = 4, **constants: Any) -> None:
        names = self.kernel.arg_names
        given = dict(zip(names, arguments, strict=False)) | constants
        signature, constexprs, attributes = {}, {}, {}
        for i, name in enumerate(names):
            value = given[name]
            if isinstance(value, torch.Tensor):
                signature[name] = TYPES[value.dtype]
                attributes[(i,)] = [["tt.divisibility", 16]]
            elif value is None or value == 1 or name in constants:
                # A launch makes constants of these, too.
                signature[name], constexprs[name] = "constexpr", value
            else:
                signature[name] = "i32"
                if value % 16 == 0:
                    attributes[(i,)] = [["tt.divisibility", 16]]
        source = ASTSource(self.kernel, signature, constexprs, attributes)
        gpu_target = GPUTarget("cuda", int(self.target.removeprefix("sm_")), 32)
        compiled = triton.compile(source, target=gpu_target, options={"num_warps": num_warps})
        used = resources(compiled.asm["cubin"]) | {"shared_bytes": compiled.metadata.shared}
        programs = min(MOST_PROGRAMS, MOST_WARPS // num_warps, REGISTERS // (used["registers"] * 32 * num_warps))
        row = {
            "kernel": self.kernel.__name__,
            "target": self.target,
            **self.case,
            **used,
            "warps_resident": programs * num_warps,
        }
        if row not in self.rows:
            self.rows.append(row)


def resources(cubin: bytes) -> dict[str, int]:
    """What cuobjdump says that a kernel takes."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run([CUOBJDUMP, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", said)}
    return {
        "registers": found["REG"],
        "spilled_bytes": found["STACK"] + found["LOCAL"],
    }


def table_of(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Triton kernels: what one takes")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left" if name in ("kernel", "target", "type") else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    return table


if __name__ == "__main__":
    main()
