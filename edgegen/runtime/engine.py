"""What all engines have in common, and which one runs a bundle on this machine."""

import hashlib
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgegen.bundle import Bundle, Golden, this_target
from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.runtime.loop import Sequences, Stepper, generate_tokens, no_memory
from edgegen.runtime.request import Request

ENGINES = ("auto", "native", "onnxruntime")
NATIVE_BATCH = 16
MOST_THREADS = 256
ONNXRUNTIME_BATCH = 64
# Sequences handed over together.
CHUNK = 1024


class Engine(Protocol):
    """Generates sequences; flow i of a seed is the same whatever the engine's width and threads.

    Several threads may have streams of one engine at the same time.
    """

    name: str

    def stream(self, request: Request) -> Generator[Sequences]:
        """The flows that are asked for, in their order, some at a time. Raises UsageError for a wrong request."""
        ...

    def close(self) -> None: ...


class StepperEngine:
    """The reference loop around any stepper."""

    def __init__(self, name: str, codec: Codec, stepper: Stepper, refinements: int = 0) -> None:
        self.name, self._refinements = name, refinements
        self._codec = codec
        self._stepper = stepper
        # A stepper has the states of one loop.
        self._lock = threading.Lock()

    def stream(self, request: Request) -> Generator[Sequences]:
        for skip in range(0, request.count, CHUNK):
            try:
                with self._lock:
                    made = generate_tokens(self._codec, self._stepper, request.part(skip, CHUNK), self._refinements)
            except MemoryError as error:
                raise no_memory(self._stepper.width) from error
            yield made

    def close(self) -> None:
        """Nothing outlives the stepper."""


def collect(engine: Engine, codec: Codec, request: Request) -> Sequences:
    """All flows of a request at once."""
    parts = [Sequences(np.empty((0, codec.length), np.int32), np.empty((0, codec.length), np.uint32))]
    parts += engine.stream(request)
    return Sequences(np.concatenate([p.tokens for p in parts]), np.concatenate([p.places for p in parts]))


@dataclass(frozen=True)
class How:
    """What an engine's speed depends on, and no flow does.

    engine:  "auto" is native where the bundle has it for this processor
    batch:   flows generated at a time by each thread; None is a good number for the engine
    threads: of the native engine
    """

    engine: str = "auto"
    batch: int | None = None
    threads: int = 1


def open_engine(bundle: Bundle, how: How | None = None, flows: int | None = None) -> Engine:
    """The engine that runs `bundle` here.

    flows: how many will be asked for, where that is known: no batch is wider
    Raises UsageError for an unknown engine or batch, EdgegenError where the engine cannot run here.
    """
    how = how or How()
    engine, batch = how.engine, how.batch
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r} is none of {', '.join(ENGINES)}")
    if batch is not None and batch < 1:
        raise UsageError(f"batch {batch} is not positive")
    if not 1 <= how.threads <= MOST_THREADS:
        raise UsageError(f"threads {how.threads} is outside 1..{MOST_THREADS}")
    if engine == "native" or (engine == "auto" and this_target() in bundle.manifest.targets):
        from edgegen.runtime.native import NativeEngine

        return NativeEngine(bundle.library(), bundle.codec, _rows(batch or NATIVE_BATCH, flows), how.threads)
    from edgegen.runtime.onnxruntime import OnnxStepper

    stepper = OnnxStepper(_step_graph(bundle), _rows(batch or ONNXRUNTIME_BATCH, flows))
    return StepperEngine("onnxruntime", bundle.codec, stepper, bundle.manifest.refinements)


def _rows(batch: int, flows: int | None) -> int:
    return batch if flows is None else max(1, min(batch, flows))


def golden_hash(engine: Engine, codec: Codec, seed: int, first: int, count: int) -> str:
    """sha256 of the tokens and places of golden flows, their labels drawn by share, at temperature 1."""
    return hashlib.sha256(collect(engine, codec, Request(count, seed, first)).bytes()).hexdigest()


def verify(bundle: Bundle, engine: str = "auto") -> str:
    """Generate the golden flows again, one at a time and batched; what that has shown, in a sentence.

    Raises EdgegenError where they differ from those of the export.
    """
    golden: Golden = bundle.manifest.golden
    for batch in (1, None):
        opened = open_engine(bundle, How(engine, batch))
        try:
            expected = golden.sha256.get(opened.name)
            if expected is None:
                raise EdgegenError(f"{bundle.path} has no golden flows of engine {opened.name}: use another --engine")
            found = golden_hash(opened, bundle.codec, golden.seed, golden.first, golden.count)
        finally:
            opened.close()
        if found != expected:
            raise EdgegenError(
                f"{bundle.path} generates other flows on this machine than at its export "
                f"(engine {opened.name}, batch {batch or 'auto'}): do not use it here, and report it"
            )
    return f"{len(bundle.files)} files are unchanged, {golden.count} golden flows are the same ({opened.name})"


def _step_graph(bundle: Bundle) -> str:
    name = bundle.manifest.step_graph
    if name in bundle.files:
        return str(bundle.path / name)
    raise EdgegenError(f"{bundle.path} has no ONNX step graph ({name}): use --engine native")
