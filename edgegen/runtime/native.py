"""The compiled engine: libmodel.so of a bundle, through ctypes. Its C interface is export/device/loop.h."""

import _ctypes
import ctypes
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.errors import EdgegenError
from edgegen.runtime.loop import Sequences
from edgegen.runtime.sampling import inverse

ABI = 1
_POINTER = ctypes.c_void_p


class _CodecHead(ctypes.Structure):
    """The numbers at the head of `struct edgegen_codec` (model.h), all int32."""

    _fields_ = [
        (name, ctypes.c_int32)
        for name in (
            "iat_bins",
            "packet_base",
            "end",
            "label_base",
            "labels",
            "max_pl",
            "max_packets",
            "length",
            "steps",
            "vocabulary",
        )
    ]


class NativeEngine:
    """One instance of the compiled engine: the smallest compiled width that holds `batch`, else the widest.

    Also a Stepper: `step` gives the logits of one step, for parity checks.
    """

    name = "native"

    def __init__(self, library: Path, codec: Codec, batch: int) -> None:
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
        self.width = self._library.edgegen_width(batch)
        self._instance = self._library.edgegen_open(self.width)
        if not self._instance:
            raise EdgegenError(f"there is not enough memory for a batch of {self.width}: lower --batch")
        self.close = weakref.finalize(self, _unload, self._library, self._instance)

    def generate(self, labels: Sequence[int], seed: int, first: int, temperature: float) -> Sequences:
        count = len(labels)
        inverse(temperature)
        wanted = np.ascontiguousarray(labels, np.int32)
        if count and not (wanted.min() >= 0 and wanted.max() < len(self.codec.labels)):
            raise EdgegenError(f"a label index is outside 0..{len(self.codec.labels) - 1}")
        tokens = np.empty((count, self.codec.length), np.int32)
        places = np.empty((count, self.codec.length), np.uint32)
        self._library.edgegen_loop(
            self._instance,
            seed,
            first,
            count,
            wanted.ctypes.data,
            np.float32(temperature),
            tokens.ctypes.data,
            places.ctypes.data,
        )
        return Sequences(tokens, places)

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits (width, vocabulary); tokens and positions (width,); position 0 resets its row."""
        token, position = np.ascontiguousarray(tokens, np.int32), np.ascontiguousarray(positions, np.int32)
        logits = self._library.edgegen_step(self._instance, token.ctypes.data, position.ctypes.data)
        view = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(view, (self.width, self.vocabulary)).copy()


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path.resolve()))
        abi = library.edgegen_abi()
    except (OSError, AttributeError) as error:
        raise EdgegenError(f"{path} does not load on this machine ({error}): export it for this target") from error
    if abi != ABI:
        raise EdgegenError(f"{path} has engine interface {abi}, not {ABI}: export the bundle with this edgegen")
    library.edgegen_variant.restype = ctypes.c_char_p
    library.edgegen_width.argtypes = [ctypes.c_int64]
    library.edgegen_open.restype = _POINTER
    library.edgegen_close.argtypes = [_POINTER]
    library.edgegen_close.restype = None
    library.edgegen_step.argtypes = [_POINTER] * 3
    library.edgegen_step.restype = _POINTER
    library.edgegen_loop.argtypes = [
        _POINTER,
        ctypes.c_uint64,
        ctypes.c_uint64,
        ctypes.c_int64,
        _POINTER,
        ctypes.c_float,
        _POINTER,
        _POINTER,
    ]
    library.edgegen_loop.restype = None
    return library


def _unload(library: ctypes.CDLL, instance: int) -> None:
    """Free an instance and its library, which would stand in for a newer one at the same path."""
    library.edgegen_close(instance)
    _ctypes.dlclose(library._handle)
