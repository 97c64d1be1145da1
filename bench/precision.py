"""What int8 costs, and whether the compiled engine is the int8 graph.

    python bench/precision.py FLOWS --run RUN --bundle BUNDLE [--run RUN --bundle BUNDLE] \\
        -o bench/results/precision-NAME.json

FLOWS is the table that the runs were trained on; losses are of their own validation parts. Agreement is the share of
steps at which the engine and ONNX Runtime on the int8 graph prefer the same token: from the same states, then where
each goes on from its own, so that what rounding moved once stays moved. Beside that stands ONNX Runtime's with itself
where its own graph optimisations are switched off, which is what rounding alone does. The histograms are of
flows generated with the same random numbers by the fp32 graph and by the engine: the label whose lengths, and the one
whose times, move most. Prints a table, then one line of JSON, which it also writes with `-o`.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import machine
from edgegen import checkpoint
from edgegen.bundle import FP32, INT8, STEP_GRAPHS, Bundle
from edgegen.codec import Codec
from edgegen.evaluate.distributions import jensen_shannon
from edgegen.export import choices, parity
from edgegen.export.follow import Follower
from edgegen.flow import Flow
from edgegen.likelihood import nats_per_token
from edgegen.models.base import COARSE_BYTES
from edgegen.readers import read_flows
from edgegen.runtime.engine import StepperEngine, collect
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.onnxruntime import OnnxStepper
from edgegen.runtime.request import Request
from edgegen.sequences import encode
from edgegen.split import split
from publish import publish

CHUNK = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--run", action="append", type=Path, required=True)
    parser.add_argument("--bundle", action="append", type=Path, required=True)
    parser.add_argument("--most", type=int, default=2048, help="held-out flows measured, at most")
    parser.add_argument("--per-label", type=int, default=2000, help="flows of each label in a histogram")
    parser.add_argument("-o", dest="out", type=Path)
    arguments = parser.parse_args()
    flows = read_flows(arguments.flows)
    rows = [
        measure(flows, run, bundle, arguments.most, arguments.per_label)
        for run, bundle in zip(arguments.run, arguments.bundle, strict=True)
    ]
    facts = machine.facts("torch", "onnxruntime", "apache-tvm", "numpy")
    result = {"data": arguments.flows.name, "rows": rows, "machine": facts}
    publish(result, arguments.out, table_of(arguments.flows.name, rows))


def measure(flows: list[Flow], run: Path, bundle_path: Path, most: int, per_label: int) -> dict[str, Any]:
    """One run and its bundle: nats per token in fp32 and in int8, agreement, and histograms."""
    model, codec, config = checkpoint.load(run)
    held_out = split(flows, config["provenance"]["split"]["seed"]).validation[:most]
    bundle = Bundle.open(bundle_path)
    if bundle.manifest.precision != INT8:
        raise SystemExit(f"{bundle_path} is {bundle.manifest.precision}: name a bundle in int8")
    fp32 = nats_per_token(model, codec, held_out)
    nats, counts = [], []
    agreements: dict[str, list[float]] = {"same_greedy_token": [], "own_states": [], "onnxruntime_with_itself": []}
    engine = NativeEngine(bundle.library(), codec, 16)
    path = bundle.path / bundle.manifest.step_graph
    graph, plain = OnnxStepper(str(path), CHUNK), OnnxStepper(str(path), CHUNK, optimised=False)
    follower = Follower(engine, path)
    for start in range(0, len(held_out), CHUNK):
        tokens = _tokens(codec, held_out[start : start + CHUNK])
        compiled = parity.step_logits(engine, codec, tokens)
        reference = parity.step_logits(graph, codec, tokens)
        nats.append(choices.nats(codec, compiled, tokens))
        counts.append(choices.count_choices(codec, tokens))
        pairs = (
            (parity.step_logits(follower, codec, tokens), compiled),
            (reference, compiled),
            (reference, parity.step_logits(plain, codec, tokens)),
        )
        for found, (one, other) in zip(agreements.values(), pairs, strict=True):
            found.append(choices.agreement_of(codec, one, other, tokens)[0])
    int8 = float(np.concatenate(nats).mean())
    moved = histograms(bundle, engine, per_label)
    engine.close()
    return {
        "arch": config["arch"],
        "size": config["size"],
        "flows": len(held_out),
        "steps": sum(counts),
        "fp32_nats_per_token": fp32.per_token,
        "int8_nats_per_token": int8,
        "int8_cost_percent": 100 * (int8 / fp32.per_token - 1),
        **{name: float(np.average(found, weights=counts)) for name, found in agreements.items()},
        "histograms": moved,
        "variant": engine.variant,
    }


def histograms(bundle: Bundle, engine: NativeEngine, per_label: int) -> dict[str, Any]:
    """Jensen-Shannon divergence in bits of lengths and of times, fp32 against int8, for each label the same flows.

    seeds: the same between two seeds of the engine, which is what the number of flows alone makes of it
    """
    codec = bundle.codec
    fp32 = StepperEngine("fp32", codec, OnnxStepper(str(bundle.path / STEP_GRAPHS[FP32]), CHUNK))
    labels = tuple(range(len(codec.labels)))
    request = Request(per_label * len(labels), seed=1, labels=labels)
    made = [collect(which, codec, request).tokens for which in (fp32, engine)]
    made.append(collect(engine, codec, replace(request, seed=2)).tokens)
    found: dict[str, Any] = {"flows_a_label": per_label}
    for name, count in (("lengths", _lengths), ("times", _times)):
        by_label = [[count(codec, tokens[label :: len(labels)]) for label in labels] for tokens in made]
        moved = [divergence(a, b) for a, b in zip(by_label[0], by_label[1], strict=True)]
        seeds = [divergence(a, b) for a, b in zip(by_label[1], by_label[2], strict=True)]
        most = codec.labels[int(np.argmax(moved))].name
        found[name] = {"most": max(moved), "label": most, "mean": float(np.mean(moved)), "seeds_most": max(seeds)}
    return found


def _lengths(codec: Codec, tokens: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Packets by direction and payload length in steps of COARSE_BYTES."""
    packets = tokens[(tokens >= codec.packet_base) & (tokens < codec.end)] - codec.packet_base
    direction, pl = np.divmod(packets, codec.max_pl + 1)
    bins = codec.max_pl // COARSE_BYTES + 1
    return np.bincount(direction * bins + pl // COARSE_BYTES, minlength=2 * bins)


def _times(codec: Codec, tokens: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Packets by the codec's bins of time, the first of each flow, which is always 0, left out."""
    later = tokens[:, 3:]
    return np.bincount(later[(later >= 0) & (later < codec.iat_bins)], minlength=codec.iat_bins)


def divergence(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Jensen-Shannon divergence of two histograms, in bits: 0 for equal ones, 1 for those that share nothing."""
    return jensen_shannon(a / max(a.sum(), 1), b / max(b.sum(), 1))


def _tokens(codec: Codec, flows: list[Flow]) -> np.ndarray[Any, np.dtype[np.int32]]:
    return encode(codec, flows).numpy().astype(np.int32)


def table_of(data: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"int8 against fp32 on held-out flows of {data}")
    losses, agreements, moves = (
        ("nats, fp32", "int8", "cost"),
        ("greedy token", "own states"),
        ("lengths", "times move"),
    )
    for name in ("model", "steps", *losses, *agreements, *moves):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"{row['arch']} {row['size']}",
            f"{row['steps']:,}",
            f"{row['fp32_nats_per_token']:.4f}",
            f"{row['int8_nats_per_token']:.4f}",
            f"{row['int8_cost_percent']:+.3f} %",
            f"{row['same_greedy_token']:.3%}",
            f"{row['own_states']:.3%} ({row['onnxruntime_with_itself']:.3%})",
            *(f"{row['histograms'][name]['most']:.4f}" for name in ("lengths", "times")),
        )
    return table


if __name__ == "__main__":
    main()
