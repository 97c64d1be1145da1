"""What a bundle costs: to ship, to train, to run."""

import statistics
from importlib.util import find_spec
from typing import Any

from edgegen.bundle import STEP_GRAPHS, Bundle, this_target
from edgegen.evaluate.latency import latencies
from edgegen.measure import Workload, measure


def cost(bundle: Bundle) -> dict[str, Any]:
    """Parameters, bytes, and on this machine the time of a flow; None where the bundle does not know or run here."""
    found: dict[str, Any] = {
        "kind": bundle.manifest.kind,
        "parameters": bundle.manifest.model.get("parameters"),
        **{f"{precision}_bytes": _size(bundle, graph) for precision, graph in STEP_GRAPHS.items()},
        "executables": {name: _size(bundle, target.executable) for name, target in bundle.manifest.targets.items()},
        "seconds_per_epoch": bundle.manifest.provenance.get("seconds_per_epoch"),
    }
    if this_target() in bundle.manifest.targets:
        made = measure(bundle, workload=Workload(seconds=1))
        found |= {
            "ms_a_flow": statistics.median(made["one_flow"]["samples_us"]) / 1e3,
            "flows_a_second": made["throughput"]["flows_a_second"],
            "peak_memory_kb": made["peak_memory_kb"],
            "variant": made["variant"],
            "machine": made["machine"],
        }
    return found


def others_ms_a_flow(bundle: Bundle) -> dict[str, float]:
    """What ONNX Runtime takes for a flow, by the graph of the bundle; nothing where it or this target is missing."""
    if this_target() not in bundle.manifest.targets or not find_spec("onnxruntime"):
        return {}
    # The last is the compiled engine, whose figure is the executable's.
    *others, _ = latencies(None, bundle)
    return {each.engine: each.milliseconds for each in others}


def _size(bundle: Bundle, name: str) -> int | None:
    return (bundle.path / name).stat().st_size if name in bundle.files else None
