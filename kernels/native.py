"""The scan in C, compiled for this machine when it is first used, where there is a C compiler.

Training Mamba on a CPU is bound by this scan; compiled, it is no longer what an epoch spends its time on.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("scan.c")
FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
# Channels that scan.c works on at a time.
BLOCK = 64


@cache
def library() -> ctypes.CDLL | None:
    """scan.c, compiled with $CC, cc, gcc or clang; None where there is none that can."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="edgegen-") as folder:
        output = Path(folder, "scan.so")
        command = [*shlex.split(compiler), *FLAGS, str(SOURCE), "-o", str(output)]
        try:
            subprocess.run(command, check=True, capture_output=True)
            return ctypes.CDLL(str(output))
        except (OSError, subprocess.CalledProcessError):
            return None


class NativeScan(torch.autograd.Function):
    """As `cpu.Scan`, for float32 on the CPU."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        inputs = [part.contiguous() for part in (x, delta, A, B, C, h)]
        ctx.save_for_backward(*inputs)
        y, last = torch.empty_like(inputs[0]), torch.empty_like(inputs[5])

        def work(rows: slice, scratch: Tensor) -> None:
            x, delta, A, B, C, h = _of(rows, inputs)
            _call("scan_forward", x, A, [x, delta, A, B, C, h, y[rows], last[rows], scratch])

        _spread(work, x, A)
        return y, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        inputs = list(ctx.saved_tensors)
        dy, dlast = (grad.contiguous() for grad in grads)
        outputs = [torch.empty_like(part) for part in inputs]

        def work(rows: slice, scratch: Tensor) -> Tensor:
            x, delta, A, B, C, h = _of(rows, inputs)
            dx, ddelta, dA, dB, dC, dh = _of(rows, outputs)
            dA = torch.zeros_like(A)
            grads = [dx, ddelta, dA, dB, dC, dh]
            _call("scan_backward", x, A, [x, delta, A, B, C, h, dy[rows], dlast[rows], *grads, scratch])
            return dA

        outputs[2] = torch.stack(_spread(work, inputs[0], inputs[2])).sum(0)
        return tuple(outputs)


def _of(rows: slice, parts: list[Tensor]) -> list[Tensor]:
    """The rows of each of x, delta, A, B, C, h; A has none."""
    return [part if i == 2 else part[rows] for i, part in enumerate(parts)]


def _spread(work: Callable[[slice, Tensor], Any], x: Tensor, A: Tensor) -> list[Any]:
    """`work` on as many slices of the rows as torch has threads, each with memory of its own; results in order."""
    rows, time, state = len(x), x.shape[1], len(A)
    count = max(1, min(torch.get_num_threads(), rows))
    slices = [slice(rows * i // count, rows * (i + 1) // count) for i in range(count)]
    scratch = [x.new_empty((2 * time + 2) * state * BLOCK) for _ in slices]
    if count == 1:
        return [work(slices[0], scratch[0])]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, slices, scratch))


def _call(name: str, x: Tensor, A: Tensor, arrays: list[Tensor]) -> None:
    """A function of scan.c; ctypes lets go of the interpreter's lock while it runs."""
    compiled = library()
    assert compiled is not None
    sizes = [ctypes.c_ssize_t(size) for size in (*x.shape, len(A))]
    compiled[name](*sizes, *(ctypes.c_void_p(array.data_ptr()) for array in arrays))
