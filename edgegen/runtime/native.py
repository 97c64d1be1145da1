"""The compiled engine: libmodel.so of a bundle, through ctypes. Its C interface: export/device/stream.h and rows.h."""

import _ctypes
import ctypes
import weakref
from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.runtime.engine import CHUNK
from edgegen.runtime.loop import Sequences
from edgegen.runtime.request import Request

ABI = 5
_POINTER = ctypes.c_void_p


def _fields(names: str, kind: type) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


class _CodecHead(ctypes.Structure):
    """The numbers at the head of `struct edgegen_codec` (model.h), all int32."""

    _fields_ = _fields(
        "iat_bins packet_base end label_base labels max_pl max_packets length steps vocabulary refinements",
        ctypes.c_int32,
    )


class _Controls(ctypes.Structure):
    """`struct edgegen_controls` (rows.h)."""

    _fields_ = [("seed", ctypes.c_uint64), ("temperature", ctypes.c_float), ("min_packets", ctypes.c_int32)]


class _Request(ctypes.Structure):
    """`struct edgegen_request` (stream.h)."""

    _fields_ = [
        ("controls", _Controls),
        ("first", ctypes.c_uint64),
        ("count", ctypes.c_int64),
        ("labels", _POINTER),
        ("label_count", ctypes.c_int64),
    ]


class NativeEngine:
    """The compiled engine at the smallest compiled width that holds `batch`, else the widest, in each of its threads.

    Also a Stepper: `step` gives the logits of one step, for parity checks.
    """

    name = "native"

    def __init__(self, library: Path, codec: Codec, batch: int, threads: int = 1) -> None:
        self._library = _load(library)
        head = _CodecHead.in_dll(self._library, "edgegen_codec")
        if (head.length, head.label_base, head.labels) != (codec.length, codec.label_base, len(codec.labels)):
            raise EdgegenError(f"{library} was compiled for another codec than its bundle's: export the bundle again")
        variant = self._library.edgegen_variant()
        if variant is None:
            raise EdgegenError(f"{library} needs instructions that this processor lacks: use --engine onnxruntime")
        self.variant = variant.decode()
        self.codec = codec
        self.vocabulary: int = head.vocabulary
        self.refinements: int = head.refinements
        self.threads = threads
        self.width = self._library.edgegen_width(batch)
        self._rows = self._library.edgegen_rows_new(self.width)
        self._streams: set[int] = set()
        self.close = weakref.finalize(self, _unload, self._library, self._rows, self._streams)
        if not self._rows:
            raise self._no_memory()

    def stream(self, request: Request) -> Generator[Sequences]:
        request.check(self.codec)
        labels = np.array(request.labels or (), np.int32)
        asked = _Request(
            _Controls(request.seed, request.temperature, request.min_packets),
            request.first,
            request.count,
            labels.ctypes.data,
            len(labels),
        )
        stream = self._library.edgegen_open(ctypes.byref(asked), self.width, self.threads)
        if not stream:
            raise self._no_memory()
        self._streams.add(stream)
        try:
            left = request.count
            while left:
                if stream not in self._streams:
                    raise ValueError("the engine was closed while its stream was read")
                tokens = np.empty((min(CHUNK, left), self.codec.length), np.int32)
                places = np.empty(tokens.shape, np.uint32)
                self._library.edgegen_read(stream, len(tokens), tokens.ctypes.data, places.ctypes.data)
                left -= len(tokens)
                yield Sequences(tokens, places)
        finally:
            if stream in self._streams:
                self._streams.remove(stream)
                self._library.edgegen_close(stream)

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """See Stepper."""
        token, position = np.ascontiguousarray(tokens, np.int32), np.ascontiguousarray(positions, np.int32)
        logits = self._library.edgegen_step(self._rows, token.ctypes.data, position.ctypes.data)
        view = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float))
        each = (self.codec.steps, self.vocabulary) if self.refinements else (self.vocabulary,)
        return np.ctypeslib.as_array(view, (self.width, *each)).copy()

    @property
    def noise_size(self) -> int:
        return self.states()[0].shape[1] // 4

    def start(self, noise: NDArray[np.float32]) -> None:
        """See Stepper."""
        size = ctypes.c_size_t()
        place = self._library.edgegen_state(self._rows, 0, ctypes.byref(size))
        data = np.ascontiguousarray(noise, np.float32)
        if data.nbytes != self.width * size.value:
            raise ValueError(f"noise of {data.nbytes} bytes for rows of {size.value}")
        ctypes.memmove(place, data.ctypes.data, data.nbytes)

    def states(self) -> list[NDArray[np.uint8]]:
        """What the last step left behind: the step graph's states in its order, laid out as the kernels like it.

        Returns (width, bytes) of each.
        """
        found: list[NDArray[np.uint8]] = []
        size = ctypes.c_size_t()
        while place := self._library.edgegen_state(self._rows, len(found), ctypes.byref(size)):
            view = ctypes.cast(place, ctypes.POINTER(ctypes.c_uint8))
            found.append(np.ctypeslib.as_array(view, (self.width, size.value)).copy())
        return found

    def _no_memory(self) -> EdgegenError:
        wanted = f"a batch of {self.width} in each of {self.threads} threads"
        return EdgegenError(f"there is not enough memory for {wanted}: lower --batch or --threads")


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path.resolve()))
        abi = library.edgegen_abi()
    except (OSError, AttributeError) as error:
        raise EdgegenError(f"{path} does not load on this machine ({error}): export it for this target") from error
    if abi != ABI:
        raise EdgegenError(f"{path} has engine interface {abi}, not {ABI}: export the bundle with this edgegen")
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "edgegen_variant": (ctypes.c_char_p, []),
        "edgegen_width": (ctypes.c_int, [ctypes.c_int64]),
        "edgegen_rows_new": (_POINTER, [ctypes.c_int]),
        "edgegen_rows_free": (None, [_POINTER]),
        "edgegen_step": (_POINTER, [_POINTER] * 3),
        "edgegen_state": (_POINTER, [_POINTER, ctypes.c_int, _POINTER]),
        "edgegen_open": (_POINTER, [_POINTER, ctypes.c_int, ctypes.c_int]),
        "edgegen_read": (ctypes.c_int64, [_POINTER, ctypes.c_int64, _POINTER, _POINTER]),
        "edgegen_close": (None, [_POINTER]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _unload(library: ctypes.CDLL, rows: int, streams: set[int]) -> None:
    """Free the rows and the library, which would stand in for a newer one at the same path.

    Streams that nobody has read to their end have threads in the library: they are closed before it goes.
    """
    while streams:
        library.edgegen_close(streams.pop())
    library.edgegen_rows_free(rows)
    _ctypes.dlclose(library._handle)
