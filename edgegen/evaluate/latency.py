"""How long one flow takes, engine by engine: the same flows, one at a time, on one thread."""

import copy
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgegen.bundle import FP32, INT8, STEP_GRAPHS, Bundle
from edgegen.codec import Codec
from edgegen.evaluate.threads import one_thread
from edgegen.runtime.engine import Engine, How, StepperEngine, collect, open_engine
from edgegen.runtime.loop import Sequences
from edgegen.runtime.onnxruntime import OnnxStepper
from edgegen.runtime.request import Request

if TYPE_CHECKING:
    from edgegen.models import Generator

FLOWS = 30


@dataclass(frozen=True)
class Latency:
    """engine: in words; milliseconds: median per flow; same: share that equals the compiled engine's."""

    engine: str
    milliseconds: float
    same: float


def latencies(model: "Generator | None", bundle: Bundle, flows: int = FLOWS, seed: int = 0) -> list[Latency]:
    """Flows 1 .. `flows` of a seed in PyTorch, ONNX Runtime (each graph of the bundle) and the compiled engine.

    model: what the bundle was exported from, left as it is; None: without PyTorch. Flow 0 is made first and not
    counted, nor is loading.
    """
    ours = f"compiled {bundle.manifest.precision}"
    engines: dict[str, Engine] = {
        **({} if model is None else {"PyTorch fp32": _pytorch(model, bundle.codec)}),
        **{
            f"ONNX Runtime {precision}": _onnxruntime(bundle, graph)
            for precision, graph in ((FP32, STEP_GRAPHS[FP32]), (INT8, STEP_GRAPHS[INT8]))
            if graph in bundle.files
        },
        ours: open_engine(bundle, How("native", 1)),
    }
    with one_thread():
        runs = {name: _run(engine, bundle.codec, flows, seed) for name, engine in engines.items()}
    for engine in engines.values():
        engine.close()
    compiled = runs[ours][1]
    return [Latency(name, median, _same(made, compiled)) for name, (median, made) in runs.items()]


def _pytorch(model: "Generator", codec: Codec) -> Engine:
    from edgegen.models.stepper import TorchStepper

    # Summing the table anew in every step would make PyTorch look slow.
    folded = copy.deepcopy(model)
    folded.fold()
    return StepperEngine("pytorch", codec, TorchStepper(folded, 1), folded.refinements)


def _onnxruntime(bundle: Bundle, graph: str) -> Engine:
    return StepperEngine(graph, bundle.codec, OnnxStepper(str(bundle.path / graph), 1), bundle.manifest.refinements)


def _run(engine: Engine, codec: Codec, flows: int, seed: int) -> tuple[float, list[Sequences]]:
    """Median milliseconds, and the sequences of all flows but the first."""
    made, milliseconds = [], []
    for flow in range(flows + 1):
        start = time.perf_counter()
        sequences = collect(engine, codec, Request(1, seed, flow))
        milliseconds.append(1e3 * (time.perf_counter() - start))
        made.append(sequences)
    return statistics.median(milliseconds[1:]), made[1:]


def _same(made: list[Sequences], reference: list[Sequences]) -> float:
    equal = (np.array_equal(a.tokens, b.tokens) for a, b in zip(made, reference, strict=True))
    return sum(equal) / len(made)
