"""What every engine is given, how it is checked, and how it is timed."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgegen.codec import Codec
from edgegen.measure.report import KB

TOKENS = 32  # sampled for each flow, as many as 16 packets with times have
FLOWS, CHECKED = 32, 16  # whose logits are checked, and how many at a time
WARM, COUNTED = 3, 15  # single flows
SECONDS = 1.5  # of each batch size, at least
BATCHES = (8, 16, 32, 64, 128, 256)
# Mean divergence from the fp32 model in nats a token, over the legal tokens; above it an engine computes something
# else. It leaves room for int8, and for an fp32 engine whose functions are approximations.
DIVERGENCE = 0.02

Tokens = NDArray[np.int32]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One model and what has been made of it for all engines.

    folder: holds config.json (the run's), weights.npz (the folded fp32 weights by name), model.onnx (one step),
            tokens.npy (FLOWS, TOKENS), which begin with the label, and logits.npy, which fp32 PyTorch gives for them
    """

    arch: str
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self.folder / "config.json").read_text())["model"]
        return config

    @property
    def codec(self) -> Codec:
        return Codec.from_json(json.loads((self.folder / "config.json").read_text())["codec"])

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        with np.load(self.folder / "weights.npz") as arrays:
            return dict(arrays)

    @property
    def tokens(self) -> Tokens:
        tokens: Tokens = np.load(self.folder / "tokens.npy")
        return tokens


class Engine(Protocol):
    """An engine with a batch of flows under way, all at the same position."""

    def start(self) -> None:
        """New flows in all rows."""
        ...

    def step(self, tokens: Tokens, position: int) -> Logits:
        """Logits (batch, vocabulary) after one token (batch,) more."""
        ...


class Peer(Protocol):
    """One engine. Names: of the product, of the precision; packages: what must be installed for it."""

    name: str
    precision: str
    packages: tuple[str, ...]
    archs: tuple[str, ...]

    def prepare(self, case: Case) -> Path:
        """Convert the model, once; the file or folder that a gateway would be given."""
        ...

    def open(self, case: Case, batch: int) -> Engine: ...

    def generate(self, case: Case, batch: int) -> Callable[[], object] | None:
        """The engine's own generation of a batch of flows, sampling included, where it has one of its own."""
        ...

    def library_bytes(self) -> int:
        """What a gateway needs of the engine itself."""
        ...


def forced(engine: Engine, tokens: Tokens) -> None:
    """All steps of the given tokens (batch, TOKENS), nothing sampled."""
    engine.start()
    for position in range(TOKENS):
        engine.step(tokens[:, position], position)


def sampled(engine: Engine, codec: Codec, tokens: Tokens, random: np.random.Generator) -> Tokens:
    """Flows from the labels in tokens (batch, 1 or more), every token drawn among the legal ones by numpy."""
    engine.start()
    made = np.empty((len(tokens), TOKENS + 1), np.int32)
    made[:, 0] = tokens[:, 0]
    for position in range(TOKENS):
        logits = engine.step(made[:, position], position)
        low, high = codec.legal(position + 1, codec.max_packets)
        legal = logits[:, low:high]
        weights = np.cumsum(np.exp(legal - legal.max(1, keepdims=True)), 1)
        drawn = (weights < random.random((len(legal), 1), np.float32) * weights[:, -1:]).sum(1)
        made[:, position + 1] = low + np.minimum(drawn, high - low - 1)
    return made


def check(case: Case, engine: Engine, batch: int) -> dict[str, float]:
    """How far the logits of an engine of that batch are from fp32 PyTorch's, over the legal tokens."""
    codec, tokens, expected = case.codec, case.tokens, np.load(case.folder / "logits.npy")
    divergence, same = [], []
    for first in range(0, len(tokens), batch):
        rows = tokens[first : first + batch]
        engine.start()
        for position in range(TOKENS):
            logits = engine.step(np.resize(rows[:, position], batch), position)[: len(rows)]
            low, high = codec.legal(position + 1, codec.max_packets)
            if high - low == 1:
                continue
            reference = expected[first : first + batch, position, low:high]
            p, q = log_softmax(reference), log_softmax(logits[:, low:high])
            divergence.append((np.exp(p) * (p - q)).sum(1))
            same.append(p.argmax(1) == q.argmax(1))
    return {
        "divergence": float(np.concatenate(divergence).mean()),
        "same_greedy_token": float(np.concatenate(same).mean()),
    }


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    x = logits.astype(np.float64)
    x -= x.max(1, keepdims=True)
    result: NDArray[np.float64] = x - np.log(np.exp(x).sum(1, keepdims=True))
    return result


def milliseconds(run: Callable[[], object]) -> list[float]:
    """COUNTED runs, after a few that are not."""
    samples = []
    for _ in range(WARM + COUNTED):
        start = time.perf_counter()
        run()
        samples.append(1e3 * (time.perf_counter() - start))
    return samples[WARM:]


def a_second(run: Callable[[], object], flows: int) -> float:
    """Flows a second of a run that makes `flows`."""
    run()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return flows / float(np.median(times))


def peak_memory_mb() -> float:
    """The most memory that this program had; what its process had before it became this program does not count."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * KB / 1e6


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def shared_objects(folder: Path) -> int:
    """Bytes of the libraries in a folder of an installed package."""
    return sum(p.stat().st_size for p in folder.rglob("*.so*") if p.is_file() and not p.is_symlink())
