"""Kernels compiled alone and called on memory whose surroundings are watched: by ctypes, for ARM in an emulator."""

import ctypes
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from edgegen.devices import NEEDED, cpu_fields
from edgegen.export.compile import compile_kernels
from edgegen.export.lower import Program, Tensor
from edgegen.export.plan import ALIGNMENT
from edgegen.export.targets import TARGETS, Target, Variant

Array = NDArray[Any]

X86_64 = TARGETS["x86_64"]
VARIANTS = {variant.dot: variant for variant in X86_64.variants}
EVERY_VARIANT = {variant.dot: (target, variant) for target in TARGETS.values() for variant in target.variants}
DOTS = list(EVERY_VARIANT)
WIDTH = 1  # in the symbols' names
GUARD = 256  # bytes on each side of a tensor
UNTOUCHED = 0xA5
NO_ROWS = -1  # of a kernel that is not compiled for a batch

# Where the others run: an emulator pinned to a processor that has what the variant needs and nothing newer.
EMULATED = {
    "sdot": ("qemu-aarch64-static", "cortex-a76"),
    "smull": ("qemu-aarch64-static", "cortex-a53"),
    "vmull": ("qemu-arm-static", "cortex-a7"),
}


def missing(dot: str) -> str:
    """Why a variant cannot run here, or nothing."""
    if dot in EMULATED:
        emulator, _ = EMULATED[dot]
        return "" if shutil.which(emulator) else f"{emulator} is missing (Debian package qemu-user-static)"
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"{dot} kernels run on x86_64 processors"
    flags = cpu_fields().get("flags", "").split()
    lacking = sorted(set(NEEDED[X86_64.name][VARIANTS[dot].name]) - set(flags))
    return f"this processor lacks {', '.join(lacking)}" if lacking else ""


class _Guarded:
    """A tensor between two guards, the whole of it one array of bytes."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        size = int(np.prod(shape)) * dtype.itemsize
        space = np.full(size + 2 * GUARD + ALIGNMENT, UNTOUCHED, np.uint8)
        start = -space.ctypes.data % ALIGNMENT
        self.raw = space[start : start + size + 2 * GUARD]
        self.array = self.raw[GUARD : GUARD + size].view(dtype).reshape(shape)

    def is_whole(self) -> bool:
        guards = np.concatenate([self.raw[:GUARD], self.raw[len(self.raw) - GUARD :]])
        return bool((guards == UNTOUCHED).all())


class _Machine(Protocol):
    def run(self, kernel: str, memory: Sequence[_Guarded]) -> None:
        """Call a kernel on that memory."""
        ...


class _Here:
    def __init__(self, built: Path, target: Target) -> None:
        library = built.with_suffix(".so")
        # Without a C library to build first: what little the kernels call is in this process.
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target.library, "-shared", "-nostdlib"]
        subprocess.run([*command, str(built), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))

    def run(self, kernel: str, memory: Sequence[_Guarded]) -> None:
        function = self._library[kernel]
        function.restype = None
        function(*(ctypes.c_void_p(guarded.array.ctypes.data) for guarded in memory))


# Reads the sizes of the tensors with their guards and their bytes, calls the kernel, writes the bytes back.
DRIVER = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum {{ MOST = 16, GUARD = {guard} }};
typedef void kernel(void *, void *, void *, void *, void *, void *, void *, void *,
                    void *, void *, void *, void *, void *, void *, void *, void *);
{declarations}
static const struct {{ const char *name; kernel *function; }} kernels[] = {{ {entries} }};
int main(int argc, char **argv) {{
    uint32_t count, sizes[MOST];
    unsigned char *at[MOST] = {{0}};
    if (argc != 2 || fread(&count, 4, 1, stdin) != 1 || count > MOST) return 2;
    if (fread(sizes, 4, count, stdin) != count) return 2;
    for (uint32_t i = 0; i < count; i++) {{
        at[i] = aligned_alloc(64, (sizes[i] + 63) / 64 * 64);
        if (fread(at[i], 1, sizes[i], stdin) != sizes[i]) return 3;
    }}
    for (unsigned i = 0; i < sizeof kernels / sizeof *kernels; i++) {{
        if (strcmp(kernels[i].name, argv[1])) continue;
        void *p[MOST];
        for (int k = 0; k < MOST; k++) p[k] = at[k] + GUARD;
        kernels[i].function(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7],
                            p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]);
        for (uint32_t k = 0; k < count; k++) fwrite(at[k], 1, sizes[k], stdout);
        return 0;
    }}
    return 4;
}}
"""


class _Emulated:
    """A static executable that reads a call and writes what the kernel made of it."""

    def __init__(self, built: Path, target: Target, names: list[str], dot: str) -> None:
        source, executable = built.with_suffix(".c"), built.with_suffix(".exe")
        declarations = "\n".join(f"extern kernel {name};" for name in names)
        entries = ", ".join(f'{{"{name}", {name}}}' for name in names)
        source.write_text(DRIVER.format(guard=GUARD, declarations=declarations, entries=entries))
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target.executable, f"-mcpu={target.host_cpu}"]
        # Stripped, and from a folder that does not hold zig, as what users link: otherwise zig builds a C library for
        # this alone, more than a minute of work.
        command += ["-static", "-s", "-O3", str(source), str(built), "-o", str(executable)]
        subprocess.run(command, check=True, cwd=built.parent)
        emulator, processor = EMULATED[dot]
        self._command = [emulator, "-cpu", processor, str(executable)]

    def run(self, kernel: str, memory: Sequence[_Guarded]) -> None:
        sizes = [len(guarded.raw) for guarded in memory]
        call = struct.pack(f"<{1 + len(sizes)}I", len(sizes), *sizes) + b"".join(g.raw.tobytes() for g in memory)
        made = subprocess.run([*self._command, kernel], input=call, stdout=subprocess.PIPE, check=True).stdout
        for guarded, size in zip(memory, sizes, strict=True):
            guarded.raw[:], made = np.frombuffer(made[:size], np.uint8), made[size:]


class Kernels:
    """Kernels in one variant, callable by name."""

    def __init__(self, kernels: dict[str, Any], target: Target, variant: Variant, folder: Path) -> None:
        nothing = Tensor("none", "output", (), "float32")
        built = folder / f"{variant.name}-{variant.dot}.o"
        compile_kernels([Program(WIDTH, kernels, (), {}, (), nothing)], target, variant, built)
        self.variant = variant
        names = [self._symbol(kernel) for kernel in kernels]
        emulated = variant.dot in EMULATED
        self._machine: _Machine = _Emulated(built, target, names, variant.dot) if emulated else _Here(built, target)

    def _symbol(self, kernel: str) -> str:
        return f"{self.variant.name}_w{WIDTH}_{kernel}"

    def __call__(
        self, kernel: str, reads: list[Array], writes: list[tuple[tuple[int, ...], type]], rows: int | None = None
    ) -> list[Array]:
        """What the kernel makes of `reads`: its writes, then the reads as it leaves them.

        rows: how many of its rows hold something; all, where nothing is said
        """
        count = rows or (writes[0][0][0] if writes else len(reads[0]))
        every = list(reads) if rows == NO_ROWS else [np.array([count], np.int32), *reads]
        inputs = [_Guarded(array.shape, array.dtype) for array in every]
        for memory, array in zip(inputs, every, strict=True):
            memory.array[...] = array
        outputs = [_Guarded(shape, np.dtype(kind)) for shape, kind in writes]
        self._machine.run(self._symbol(kernel), [*inputs, *outputs])
        assert all(memory.is_whole() for memory in (*inputs, *outputs)), "the kernel wrote beside a tensor"
        return [memory.array.copy() for memory in (*outputs, *inputs[len(inputs) - len(reads) :])]


Compiled = Callable[[str], Kernels]


def load(kernels: dict[str, Any], dot: str, folder: Path) -> Kernels:
    """The kernels in one variant; skips where it cannot run here."""
    if reason := missing(dot):
        pytest.skip(reason)
    return Kernels(kernels, *EVERY_VARIANT[dot], folder)
