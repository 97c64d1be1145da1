"""edgegen's own engine: the static executable that a gateway is given, measured by its own `bench`."""

from pathlib import Path
from typing import Any

import numpy as np

from edgegen.bundle import Bundle
from edgegen.measure import Workload, measure
from edgegen.measure.report import KB
from edgegen.runtime.native import NativeEngine
from peers.common import Case, Logits, Tokens, check


class _Rows:
    """The engine's logits, step by step."""

    def __init__(self, engine: NativeEngine) -> None:
        self._engine = engine

    def start(self) -> None:
        """A row at position 0 starts anew."""

    def step(self, tokens: Tokens, position: int) -> Logits:
        return self._engine.step(tokens, np.full(len(tokens), position, np.int32))


def check_bundle(case: Case, path: Path) -> dict[str, float]:
    """`check` of the library, whose kernels are the executable's."""
    bundle = Bundle.open(path)
    engine = NativeEngine(bundle.library(), bundle.codec, 10**6)
    try:
        return check(case, _Rows(engine), engine.width)
    finally:
        engine.close()


def run(case: Case, path: Path, seconds: int) -> dict[str, Any]:
    """What engines.py measures of a peer; sampling and a line of JSON are in every figure."""
    bundle = Bundle.open(path)
    made = measure(bundle, workload=Workload(seconds=seconds, min_packets=bundle.codec.max_packets))
    many = made["throughput"]
    return {
        "check": check_bundle(case, path),
        "one_flow_ms": [sample / 1e3 for sample in made["one_flow"]["samples_us"]],
        "flows_a_second": {str(many["batch"]): many["flows_a_second"]},
        "memory_mb": made["peak_memory_kb"]["1"] * KB / 1e6,
        "memory_widest_mb": made["peak_memory_kb"][str(many["batch"])] * KB / 1e6,
        "first_flow_ms": made["first_flow_ms"],
        "kernels_us_a_token": made["kernels_us_a_token"],
        "variant": made["variant"],
        "model_bytes": 0,
        "library_bytes": made["executable_bytes"],
    }
