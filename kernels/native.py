"""scan.c and conv.c, compiled for this machine when they are first used, where there is a C compiler.

Training Mamba on a CPU is bound by these; compiled, they are no longer what an epoch spends its time on.
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

from edgegen.kernels.arguments import Scan, channels_last

SOURCES = [str(Path(__file__).with_name(name)) for name in ("scan.c", "conv.c")]
FLAGS = (
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp-simd",
    "-Wno-psabi",
    "-fPIC",
    "-shared",
)
# Floats of a block of vector.h, at most.
BLOCK = 32

_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_ssize_t


class _View(ctypes.Structure):
    """`struct view`: (batch, channels, time) with the channels contiguous."""

    _fields_ = [("data", _POINTER), ("row", _SIZE), ("time", _SIZE)]


class _Scan(ctypes.Structure):
    _fields_ = [
        *((name, _SIZE) for name in ("time", "dim", "state", "softplus", "multiples")),
        *((name, _View) for name in ("u", "delta", "z", "B", "C")),
        *((name, _POINTER) for name in ("A", "D", "bias", "h", "lengths")),
    ]


class _Gradients(ctypes.Structure):
    _fields_ = [
        ("dy", _View),
        *((name, _POINTER) for name in ("dlast", "du", "ddelta", "dz", "dB", "dC", "dh", "dA", "dD", "dbias")),
    ]


class _Conv(ctypes.Structure):
    _fields_ = [
        *((name, _SIZE) for name in ("time", "dim", "taps")),
        ("x", _View),
        *((name, _POINTER) for name in ("weight", "bias", "lengths")),
    ]


def library() -> ctypes.CDLL | None:
    """The compiled kernels, by $CC, cc, gcc or clang; None where there is none that can."""
    made = compiled()
    return None if isinstance(made, str) else made


@cache
def compiled() -> ctypes.CDLL | str:
    """The same, or why there is none and what to do, in words that end a sentence."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        return "no C compiler was found: install gcc"
    with tempfile.TemporaryDirectory(prefix="edgegen-") as folder:
        output = Path(folder, "kernels.so")
        command = [*shlex.split(compiler), *FLAGS, *SOURCES, "-o", str(output)]
        try:
            subprocess.run(command, check=True, capture_output=True)
            return ctypes.CDLL(str(output))
        except subprocess.CalledProcessError as error:
            said = (error.stderr.decode(errors="replace").strip() or str(error)).splitlines()[0]
        except OSError as error:
            said = str(error)
    return f"{compiler} compiles nothing ({said}): mend it, or name another in CC"


def scan_forward(scan: Scan) -> tuple[Tensor, Tensor]:
    """y and the last state of the scan, in float32 and then in the type of u."""
    kept = _Kept()
    asked = _scan(scan, kept)
    y = channels_last(kept.float(scan.u))
    last = y.new_empty(len(y), *scan.A.shape)

    def work(first: int, end: int) -> None:
        scratch = y.new_empty((2 * asked.state + 6 * asked.time) * BLOCK)
        _call("scan_forward", ctypes.byref(asked), first, end, y, last, scratch)

    _spread(work, len(y))
    return y.to(scan.u.dtype), last


def scan_backward(scan: Scan, dy: Tensor, dlast: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D, z, delta_bias, initial_state in their types; None for what is absent."""
    kept = _Kept()
    asked = _scan(scan, kept)
    rows, time, state = len(scan.u), asked.time, asked.state

    def room(x: Tensor | None) -> Tensor | None:
        return None if x is None else channels_last(kept.float(x))

    du, ddelta, dz, dB, dC = (room(x) for x in (scan.u, scan.delta, scan.z, scan.B, scan.C))
    dh = None if scan.initial_state is None else torch.empty(scan.initial_state.shape)
    of_dy, of_dlast = kept.view(dy), kept.plain(dlast)

    def work(first: int, end: int) -> list[Tensor | None]:
        shared = [torch.zeros(*x.shape) if x is not None else None for x in (scan.A.t(), scan.D, scan.delta_bias)]
        pointers = (_pointer(x) for x in (du, ddelta, dz, dB, dC, dh, *shared))
        gradients = _Gradients(of_dy, of_dlast, *pointers)
        scratch = torch.empty((4 * state + time * (2 * state + 8)) * BLOCK)
        _call("scan_backward", ctypes.byref(asked), ctypes.byref(gradients), first, end, scratch)
        return shared

    dA, dD, dbias = (_total(parts) for parts in zip(*_spread(work, rows), strict=True))
    made = (du, ddelta, None if dA is None else dA.t().contiguous(), dB, dC, dD, dz, dbias, dh)
    given = (*scan[:8], scan.initial_state)
    return tuple(None if x is None or g is None else g.to(x.dtype) for x, g in zip(given, made, strict=True))


def conv_forward(x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None) -> Tensor:
    """The convolution in float32, then in the type of x."""
    kept = _Kept()
    asked = _conv(x, weight, bias, lengths, kept)
    y = channels_last(kept.float(x))

    def work(first: int, end: int) -> None:
        _call("conv_forward", ctypes.byref(asked), first, end, y, torch.empty((asked.time + asked.taps + 1) * BLOCK))

    _spread(work, len(x))
    return y.to(x.dtype)


def conv_backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of x, weight and bias in their types."""
    kept = _Kept()
    asked = _conv(x, weight, bias, lengths, kept)
    of_dy = kept.view(dy)
    dx = channels_last(kept.float(x))

    def work(first: int, end: int) -> list[Tensor | None]:
        shared = [torch.zeros(*weight.t().shape), None if bias is None else torch.zeros(*bias.shape)]
        scratch = torch.empty(2 * (asked.time + asked.taps + 1) * BLOCK)
        _call("conv_backward", ctypes.byref(asked), ctypes.byref(of_dy), first, end, dx, *shared, scratch)
        return shared

    dweight, dbias = (_total(parts) for parts in zip(*_spread(work, len(x)), strict=True))
    assert dweight is not None
    return (
        dx.to(x.dtype),
        dweight.t().to(weight.dtype).contiguous(),
        None if bias is None or dbias is None else dbias.to(bias.dtype),
    )


class _Kept:
    """Pointers into tensors, and the tensors themselves, which must live as long as C reads them."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def float(self, x: Tensor) -> Tensor:
        return x.detach().to(torch.float32)

    def plain(self, x: Tensor | None, kind: torch.dtype = torch.float32) -> int | None:
        """A contiguous tensor; None for none."""
        if x is None:
            return None
        self.tensors.append(x.detach().to(kind).contiguous())
        return self.tensors[-1].data_ptr()

    def view(self, x: Tensor | None) -> _View:
        """(batch, channels, time), copied only where its channels are not contiguous."""
        if x is None:
            return _View(None, 0, 0)
        x = self.float(x).transpose(1, 2)
        x = x if x.stride(2) == 1 or x.shape[2] == 1 else x.contiguous()
        self.tensors.append(x)
        return _View(x.data_ptr(), x.stride(0), x.stride(1))


def _scan(scan: Scan, kept: _Kept) -> _Scan:
    dim, state = scan.A.shape
    rates = scan.A.detach()
    multiples = torch.arange(1, state + 1, dtype=rates.dtype) * rates[:, :1]
    return _Scan(
        scan.u.shape[2],
        dim,
        state,
        scan.delta_softplus,
        torch.equal(rates, multiples),
        *(kept.view(x) for x in (scan.u, scan.delta, scan.z, scan.B, scan.C)),
        *(kept.plain(x) for x in (scan.A.t(), scan.D, scan.delta_bias, scan.initial_state)),
        kept.plain(scan.lengths, torch.int64),
    )


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, lengths: Tensor | None, kept: _Kept) -> _Conv:
    dim, taps = weight.shape
    shared = (kept.plain(weight.t()), kept.plain(bias), kept.plain(lengths, torch.int64))
    return _Conv(x.shape[2], dim, taps, kept.view(x), *shared)


def _spread(work: Callable[[int, int], Any], rows: int) -> list[Any]:
    """`work` on as many ranges of rows as torch has threads; results in order."""
    count = max(1, min(torch.get_num_threads(), rows))
    ends = [rows * i // count for i in range(count + 1)]
    if count == 1:
        return [work(0, rows)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, ends[:-1], ends[1:]))


def _total(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    """The sum of what the threads have added up, in their order."""
    present = [part for part in parts if part is not None]
    return torch.stack(present).sum(0) if present else None


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _call(name: str, *arguments: Any) -> None:
    """A function of the library, its tensors as pointers; ctypes lets go of the interpreter's lock while it runs."""
    compiled = library()
    assert compiled is not None

    def converted(argument: Any) -> Any:
        if argument is None or isinstance(argument, Tensor):
            return _POINTER(_pointer(argument))
        return _SIZE(argument) if isinstance(argument, int) else argument

    compiled[name](*map(converted, arguments))
