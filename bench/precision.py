"""What int8 costs, and whether the compiled engine is the int8 graph: both on flows held out from training.

    python bench/precision.py FLOWS --run RUN --bundle BUNDLE [--run RUN --bundle BUNDLE] \\
        -o bench/results/precision-NAME.json

FLOWS is the table that the runs were trained on; their own validation parts are measured. Prints a table, then one
line of JSON, which it also writes with `-o`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import machine
from edgegen import checkpoint
from edgegen.bundle import Bundle
from edgegen.codec import Codec
from edgegen.evaluate.likelihood import nats_per_token
from edgegen.export import parity
from edgegen.flow import Flow
from edgegen.readers import read_flows
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.onnxruntime import OnnxStepper
from edgegen.sequences import encode
from edgegen.split import split

CHUNK = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--run", action="append", type=Path, required=True)
    parser.add_argument("--bundle", action="append", type=Path, required=True)
    parser.add_argument("--most", type=int, default=2048, help="held-out flows measured, at most")
    parser.add_argument("-o", dest="out", type=Path)
    arguments = parser.parse_args()
    flows = read_flows(arguments.flows)
    rows = [
        measure(flows, run, bundle, arguments.most) for run, bundle in zip(arguments.run, arguments.bundle, strict=True)
    ]
    show(arguments.flows.name, rows)
    facts = machine.facts("torch", "onnxruntime", "apache-tvm", "numpy")
    result = {"data": arguments.flows.name, "rows": rows, "machine": facts}
    print(json.dumps(result))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(flows: list[Flow], run: Path, bundle_path: Path, most: int) -> dict[str, Any]:
    """One run and its bundle: nats per token in fp32 and in int8, and how often engine and ONNX Runtime agree."""
    model, codec, config = checkpoint.load(run)
    held_out = split(flows, config["provenance"]["split"]["seed"]).validation[:most]
    bundle = Bundle.open(bundle_path)
    fp32 = nats_per_token(model, codec, held_out)
    nats, same, steps = [], 0.0, 0
    engine = NativeEngine(bundle.library(), codec, 16)
    graph = OnnxStepper(str(bundle.path / "model.int8.onnx"), CHUNK)
    for start in range(0, len(held_out), CHUNK):
        tokens = _tokens(codec, held_out[start : start + CHUNK])
        compiled = parity.step_logits(engine, codec, tokens)
        reference = parity.step_logits(graph, codec, tokens)
        nats.append(parity.nats(codec, compiled, tokens))
        count = parity.count_choices(codec, tokens)
        same += parity.agreement_of(codec, reference, compiled, tokens)[0] * count
        steps += count
    engine.close()
    int8 = float(np.concatenate(nats).mean())
    return {
        "arch": config["arch"],
        "size": config["size"],
        "flows": len(held_out),
        "steps": steps,
        "fp32_nats_per_token": fp32.per_token,
        "int8_nats_per_token": int8,
        "int8_cost_percent": 100 * (int8 / fp32.per_token - 1),
        "same_greedy_token": same / steps,
        "variant": engine.variant,
    }


def _tokens(codec: Codec, flows: list[Flow]) -> np.ndarray[Any, np.dtype[np.int32]]:
    return encode(codec, flows).numpy().astype(np.int32)


def show(data: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"int8 against fp32 on held-out flows of {data}")
    for name in ("model", "steps", "nats a token, fp32", "int8, compiled", "cost", "greedy token as ONNX Runtime's"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"{row['arch']} {row['size']}",
            f"{row['steps']:,}",
            f"{row['fp32_nats_per_token']:.4f}",
            f"{row['int8_nats_per_token']:.4f}",
            f"{row['int8_cost_percent']:+.3f} %",
            f"{row['same_greedy_token']:.4%}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
