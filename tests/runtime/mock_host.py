"""The mock model of mock_model.c in numpy, the codecs it is tried with, and the C host built around it."""

import ctypes
import functools
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgegen.bundle import Bundle, Golden, Manifest, Target, this_target
from edgegen.bundle_writer import write_bundle
from edgegen.codec import Codec, Label
from edgegen.export.device.sources import EXECUTABLE, FLAGS, LIBRARY, codec_source, golden_source
from edgegen.runtime.loop import Sequences, generate_tokens
from edgegen.runtime.request import Request

TIMES = Codec((Label("dns", 0.25, 17), Label('a "b"\n\\é?', 0.5, None), Label("https", 0.25, 6)), max_pl=300)
SMALL = Codec((Label("x", 1.0),), max_packets=3, max_pl=20, iat_edges_us=(0, 1, 1000))
# The same as SMALL, refined three times, with modes of some labels.
MODES = Label("y", 0.5, modes=(5, 0, 2, 13)), Label("z", 0.1, modes=(7,))
REFINED = Codec((Label("x", 0.4), *MODES), max_packets=3, max_pl=20, iat_edges_us=(0, 1, 1000))
PAPER = Codec((Label("x", 0.1, 6), Label("y", 0.9, 17)), max_packets=10, iat_edges_us=())
CODECS = {"times": TIMES, "small": SMALL, "paper": PAPER, "refined": REFINED}
REFINEMENTS = {"refined": 3}
CODES = 6
WIDTHS = (1, 4, 8)
MEMORY, THREADS = "address,undefined", "thread"
GOLDEN = (11, 3, 40)


def _mix(h: NDArray[np.uint32]) -> NDArray[np.uint32]:
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return h ^ (h >> np.uint32(16))


class MockStepper:
    """Logits are a hash of all tokens of a row so far; of a codec that is refined, of its noise and its mode."""

    noise_size = CODES

    def __init__(self, codec: Codec, width: int) -> None:
        self.width = width
        self.codec = codec
        self.hashes = np.zeros(width, np.uint32)
        self._start = np.ones(width, np.uint32)

    def start(self, noise: NDArray[np.float32]) -> None:
        self._start = np.ones(self.width, np.uint32)
        for column in np.ascontiguousarray(noise.T).view(np.uint32):
            self._start = _mix(self._start + column)

    def step(self, tokens: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        before = np.where(positions == 0, self._start, self.hashes)
        self.hashes = _mix(before + tokens.astype(np.uint32) * np.uint32(64) + positions.astype(np.uint32))
        outputs = self.codec.steps if refinements_of(self.codec) else 1
        places = np.arange(outputs, dtype=np.uint32)[:, None] * np.uint32(8191)
        ids = np.arange(self.codec.size, dtype=np.uint32)
        logits = (_mix(self.hashes[:, None, None] + places + ids) >> np.uint32(8)).astype(np.float32)
        logits *= np.float32(2**-21)
        logits[:, :, self.codec.end] += np.float32(6)
        return logits if refinements_of(self.codec) else logits[:, 0]


def refinements_of(codec: Codec) -> int:
    return next((REFINEMENTS.get(name, 0) for name, known in CODECS.items() if known == codec), 0)


def sequences(codec: Codec, width: int, request: Request) -> Sequences:
    """What the numpy loop makes of a request."""
    return generate_tokens(codec, MockStepper(codec, width), request, refinements_of(codec))


def golden_hash(codec: Codec) -> str:
    seed, first, count = GOLDEN
    return hashlib.sha256(sequences(codec, 8, Request(count, seed, first)).bytes()).hexdigest()


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """What this process compiles into, gone when it ends."""
    return tempfile.TemporaryDirectory(prefix="edgegen-mock-")


def _folder() -> Path:
    return Path(tempfile.mkdtemp(dir=_scratch().name))


@functools.cache
def _objects(shared: bool, flags: tuple[str, ...]) -> tuple[Path, ...]:
    """The C host compiled, which is the same around every codec."""
    folder = _folder()
    sources = [*(LIBRARY if shared else EXECUTABLE), Path(__file__).with_name("mock_model.c")]
    subprocess.run(["gcc", *FLAGS, *flags, "-c", *map(str, sources)], cwd=folder, check=True)
    return tuple(folder.glob("*.o"))


@functools.cache
def build(name: str, shared: bool, sanitize: str = "", golden: str | None = None) -> Path:
    """The C host around the mock model for one codec: a library, or an executable with that golden hash.

    sanitize: what gcc's -fsanitize is to watch
    """
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing")
    codec = CODECS[name]
    folder = _folder()
    (folder / "codec.c").write_text(codec_source(codec, codec.size, REFINEMENTS.get(name, 0)))
    (folder / "golden.c").write_text(golden_source(*GOLDEN, golden or golden_hash(codec)))
    own = [folder / "codec.c"] + ([] if shared else [folder / "golden.c"])
    flags = ("-fPIC",) if shared else ()
    flags += ("-g", f"-fsanitize={sanitize}", "-fno-sanitize-recover") if sanitize else ()
    out = folder / ("libmodel.so" if shared else "edgegen")
    command = ["gcc", *FLAGS, *flags, *(["-shared"] if shared else []), *map(str, (*own, *_objects(shared, flags)))]
    subprocess.run([*command, "-lm", "-pthread", "-o", str(out)], check=True)
    return out


def load(name: str) -> ctypes.CDLL:
    return ctypes.CDLL(str(build(name, shared=True)))


def make_bundle(path: Path, name: str = "times", golden: str | None = None) -> Bundle:
    """A bundle for this machine around the mock model for one codec, which should generate that golden hash."""
    here, codec = this_target(), CODECS[name]
    target = Target(f"{here}/edgegen", f"{here}/libmodel.so", WIDTHS, ("mock",))
    files = {target.executable: build(name, shared=False), target.library: build(name, shared=True)}
    made = Golden(*GOLDEN, {"native": golden or golden_hash(codec)})
    return write_bundle(path, files, Manifest("mock", codec, made, {here: target}, {"size": "tiny"}, {}))
