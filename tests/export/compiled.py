"""Kernels compiled alone and called through ctypes, on memory whose surroundings are watched."""

import ctypes
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgegen.export.compile import compile_kernels
from edgegen.export.lower import Program, Tensor
from edgegen.export.plan import ALIGNMENT
from edgegen.export.targets import TARGETS, Variant

Array = NDArray[Any]

X86_64 = TARGETS["x86_64"]
VARIANTS = {variant.dot: variant for variant in X86_64.variants}
WIDTH = 1  # in the symbols' names
GUARD = 256  # bytes on each side of a tensor
UNTOUCHED = 0xA5

NEEDED = {
    "vnni": {"avx512_vnni", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "avx2": {"avx2", "fma", "bmi1", "bmi2"},
}


def missing(dot: str) -> str:
    """Why a variant cannot run here, or nothing."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"{dot} kernels run on x86_64 processors"
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].splitlines()[0].split()
    lacking = sorted(NEEDED[dot] - set(flags))
    return f"this processor lacks {', '.join(lacking)}" if lacking else ""


class Kernels:
    """A shared library of kernels in one variant."""

    def __init__(self, kernels: dict[str, Any], variant: Variant, folder: Path) -> None:
        nothing = Tensor("none", "output", (), "float32")
        program = Program(WIDTH, kernels, (), {}, (), nothing)
        built, library = folder / f"{variant.name}.o", folder / f"{variant.name}.so"
        compile_kernels([program], X86_64, variant, built)
        # Without a C library to build first: what little the kernels call is in this process.
        command = [sys.executable, "-m", "ziglang", "cc", "-target", X86_64.library, "-shared", "-nostdlib"]
        subprocess.run([*command, str(built), "-o", str(library)], check=True)
        self.variant = variant
        self._library = ctypes.CDLL(str(library))

    def __call__(self, kernel: str, reads: list[Array], writes: list[tuple[tuple[int, ...], type]]) -> list[Array]:
        """What the kernel makes of `reads`: its writes, then the reads as it leaves them."""
        inputs = [_Guarded(array.shape, array.dtype) for array in reads]
        for memory, array in zip(inputs, reads, strict=True):
            memory.array[...] = array
        outputs = [_Guarded(shape, np.dtype(kind)) for shape, kind in writes]
        every = [*inputs, *outputs]
        function = self._library[f"{self.variant.name}_w{WIDTH}_{kernel}"]
        function.restype = None
        function(*(ctypes.c_void_p(memory.array.ctypes.data) for memory in every))
        assert all(memory.is_whole() for memory in every), "the kernel wrote beside a tensor"
        return [memory.array.copy() for memory in (*outputs, *inputs)]


class _Guarded:
    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        size = int(np.prod(shape)) * dtype.itemsize
        self._raw = np.full(size + 2 * GUARD + ALIGNMENT, UNTOUCHED, np.uint8)
        start = GUARD + -(self._raw.ctypes.data + GUARD) % ALIGNMENT
        self._before, self._after = self._raw[:start], self._raw[start + size :]
        self.array = self._raw[start : start + size].view(dtype).reshape(shape)

    def is_whole(self) -> bool:
        return bool((self._before == UNTOUCHED).all() and (self._after == UNTOUCHED).all())


def load(kernels: dict[str, Any], dot: str, folder: Path) -> Kernels:
    """The kernels in one variant; skips where this processor cannot run it."""
    if reason := missing(dot):
        pytest.skip(reason)
    return Kernels(kernels, VARIANTS[dot], folder)
