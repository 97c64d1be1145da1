"""edgegen's engine beside others that run the same weights: one flow, many flows, memory, bytes to ship.

    python bench/engines.py --llama RUN --mamba RUN -o bench/results/engines-NAME.json

Without RUN the LLaMA is the one in the package; Mamba has none there, and is left out. Every engine runs in a process
of its own, pinned to one processor, in turns, so that all meet the machine in the same hour. Before an engine is timed
its logits are compared with fp32 PyTorch's; one that computes something else gets no time. A flow is 32 sampled
tokens. `forced` feeds tokens that are there already: what is left without sampling. edgegen's figures have sampling and
a line of JSON for each flow in them, always; its lead is reckoned against the better figure of each peer.

Prints tables, then one line of JSON, which it also writes with `-o`. The peers: pip install 'edgegen[bench]'.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

import machine
from edgegen.measure.report import shares
from peers import ours
from peers.common import (
    BATCHES,
    CHECKED,
    DIVERGENCE,
    FLOWS,
    TOKENS,
    Case,
    Peer,
    a_second,
    check,
    forced,
    milliseconds,
    peak_memory_mb,
    sampled,
    tree_bytes,
)
from peers.ctranslate2 import CTranslate2
from peers.llamacpp import LlamaCpp
from peers.onnxruntime import OnnxRuntime
from peers.openvino import OpenVino
from peers.transformers import Transformers
from publish import publish

PEERS: list[Peer] = [
    Transformers(),
    OnnxRuntime("fp32"),
    OnnxRuntime("int8"),
    CTranslate2(),
    LlamaCpp(),
    OpenVino(),
]
OURS, OURS_FP32 = "edgegen int8", "edgegen fp32"
# Ours by title -> the folder of its bundle in a case's folder
BUNDLES = {OURS: "ours.edgegen", OURS_FP32: "ours-fp32.edgegen"}
# DESIGN's budgets, which are for AVX-512 VNNI; elsewhere the same int8 products are several instructions, for all.
GOALS = {
    "llama_latency_ratio": 5.0,
    "llama_throughput_ratio": 3.0,
    "mamba_latency_ratio": 9.0,
    "mamba_throughput_ratio": 7.0,
}
VERSIONS = (
    "torch",
    "transformers",
    "onnxruntime",
    "ctranslate2",
    "llama-cpp-python",
    "openvino",
    "apache-tvm",
    "numpy",
)


def title(peer: Peer) -> str:
    return f"{peer.name} {peer.precision}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--llama", type=Path, help="a trained run; none: the one in the package")
    parser.add_argument("--mamba", type=Path, help="a trained run; none: no Mamba")
    parser.add_argument("--only", action="append", help="an engine by its title; none: all")
    parser.add_argument("--batch", type=int, action="append", help="flows at a time of a peer; none: 8 to 256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of edgegen's measurements")
    parser.add_argument("--cpu", type=int, default=0, help="the processor that all are pinned to")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--run-one", nargs=3, metavar=("TITLE", "ARCH", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_one:
        name, arch, folder = options.run_one
        print(json.dumps(run_one(name, Case(arch, Path(folder)), options.seconds, options.batch or BATCHES)))
        return
    facts = machine.facts(*VERSIONS)
    result: dict[str, Any] = {"tokens_a_flow": TOKENS, "machine": facts, "archs": {}}
    for arch, run in (("llama", options.llama), ("mamba", options.mamba)):
        if arch == "llama" or run:
            result["archs"][arch] = compare(arch, run, options)
    shown: list[RenderableType] = []
    for arch, found in result["archs"].items():
        result |= ratios(arch, found)
        shown += [table_of(arch, found), *map(Text, verdicts(arch, found))]
    publish(result, options.output, Group(*shown))


def compare(arch: str, run: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    """Every engine on one model, in rounds."""
    names = [title(peer) for peer in PEERS if arch in peer.archs] + list(BUNDLES)
    missing = {title(p): [m for m in p.packages if find_spec(m) is None] for p in PEERS if arch in p.archs}
    chosen = [name for name in names if not options.only or name in options.only]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen if not missing.get(name)}
    faults = {name: f"not installed: {', '.join(missing[name])}" for name in chosen if missing.get(name)}
    with tempfile.TemporaryDirectory(prefix="edgegen-engines-") as folder:
        prepare(Case(arch, Path(folder)), run, OURS_FP32 in chosen)
        for turn in range(options.rounds):
            for name in [name for name in runs if name not in faults]:
                print(f"{arch} round {turn + 1} of {options.rounds}: {name}", file=sys.stderr)
                batches = [word for batch in options.batch or () for word in ("--batch", str(batch))]
                command = [sys.executable, __file__, "--seconds", str(options.seconds), *batches]
                command += ["--run-one", name, arch, folder]
                pin = lambda: os.sched_setaffinity(0, {options.cpu})  # noqa: E731
                done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin, check=False)
                if done.returncode:
                    faults[name] = f"failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
                else:
                    runs[name].append(json.loads(done.stdout.splitlines()[-1]))
                    if fault := runs[name][-1].get("fault"):
                        faults[name] = fault
    return {name: {"fault": faults[name]} if name in faults else merged(runs[name]) for name in chosen}


def prepare(case: Case, run: Path | None, fp32: bool = False) -> None:
    """Fill a case's folder: the weights, the step graph, the bundle, tokens, and the logits that are right for them.

    fp32: ours in fp32, too
    """
    import onnx
    import torch

    from edgegen import checkpoint
    from edgegen.bundle import FP32, Bundle
    from edgegen.datasets import edgelab_llama
    from edgegen.export import export
    from edgegen.runtime.engine import collect
    from edgegen.runtime.native import NativeEngine
    from edgegen.runtime.request import Request

    run = run or edgelab_llama()
    print(f"{case.arch}: exporting {run}", file=sys.stderr)
    bundle: Bundle = export(run, case.folder / BUNDLES[OURS]).bundle
    if fp32:
        export(run, case.folder / BUNDLES[OURS_FP32], precision=FP32)
    model, codec, config = checkpoint.load(run)
    model.eval()
    model.fold()
    weights: dict[str, Any] = {name: p.detach().numpy() for name, p in model.named_parameters()}
    np.savez(case.folder / "weights.npz", **weights)
    (case.folder / "config.json").write_text(json.dumps({"model": config["model"], "codec": codec.to_json()}))
    onnx.save(onnx.load(bundle.path / "model.onnx"), case.folder / "model.onnx")
    engine = NativeEngine(bundle.library(), codec, 16)
    sequences = collect(engine, codec, Request(FLOWS, 7, min_packets=codec.max_packets))
    engine.close()
    tokens = sequences.tokens[:, :TOKENS]
    np.save(case.folder / "tokens.npy", tokens)
    with torch.inference_mode():
        np.save(case.folder / "logits.npy", model(torch.from_numpy(tokens.astype(np.int64))).numpy())
    for peer in PEERS:
        if case.arch in peer.archs and all(find_spec(package) for package in peer.packages):
            peer.prepare(case)


def run_one(name: str, case: Case, seconds: int, batches: Sequence[int]) -> dict[str, Any]:
    """One engine, in this process: checked, then timed."""
    if name in BUNDLES:
        path = case.folder / BUNDLES[name]
        return refused(ours.check_bundle(case, path)) or ours.run(case, path, seconds)
    peer = next(peer for peer in PEERS if title(peer) == name)
    # First, since the arrays of the check are nothing that a gateway would hold.
    memory = memory_mb(peer, case)
    checked = check(case, peer.open(case, CHECKED), CHECKED)
    return refused(checked) or {"check": checked, "memory_mb": memory} | timed(peer, case, batches)


def refused(checked: dict[str, float]) -> dict[str, Any]:
    """Why an engine gets no time, or nothing."""
    divergence = checked["divergence"]
    if divergence <= DIVERGENCE:
        return {}
    return {"fault": f"computes something else: {divergence:.3g} nats a token from fp32, {DIVERGENCE} allowed"}


def ways(peer: Peer, case: Case, batch: int) -> dict[str, Any]:
    """How the peer makes a batch of flows: with its tokens given, and sampled by itself or by numpy."""
    random, codec, tokens = np.random.default_rng(0), case.codec, np.resize(case.tokens, (batch, TOKENS))
    own = peer.generate(case, batch)
    if isinstance(peer, CTranslate2):
        return {"greedy": peer.generate(case, batch, sample=False), "sampled": own}
    engine = peer.open(case, batch)
    return {
        "forced": lambda: forced(engine, tokens),
        "sampled": own or (lambda: sampled(engine, codec, tokens, random)),
    }


def memory_mb(peer: Peer, case: Case) -> float:
    """The most that this process has had, once it has sampled one flow."""
    ways(peer, case, 1)["sampled"]()
    return peak_memory_mb()


def timed(peer: Peer, case: Case, batches: Sequence[int]) -> dict[str, Any]:
    one = {way: milliseconds(run) for way, run in ways(peer, case, 1).items()}
    many: dict[str, dict[str, float]] = {}
    for batch in batches:
        for way, run in ways(peer, case, batch).items():
            many.setdefault(way, {})[str(batch)] = a_second(run, batch)
    return {
        "one_flow_ms": one,
        "flows_a_second": many,
        "model_bytes": tree_bytes(peer.prepare(case)),
        "library_bytes": peer.library_bytes(),
    }


def merged(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and the samples they come from."""

    def one(way: str | None) -> float:
        samples = [r["one_flow_ms"] if way is None else r["one_flow_ms"][way] for r in runs]
        return statistics.median(statistics.median(s) for s in samples)

    def many(way: str | None) -> tuple[float, int]:
        tables = [r["flows_a_second"] if way is None else r["flows_a_second"][way] for r in runs]
        best = {batch: statistics.median(table[batch] for table in tables) for batch in tables[0]}
        batch = max(best, key=lambda b: best[b])
        return best[batch], int(batch)

    ways = [None] if isinstance(runs[0]["one_flow_ms"], list) else list(runs[0]["one_flow_ms"])
    return {
        "one_flow_ms": {way or "sampled": one(way) for way in ways},
        "flows_a_second": {way or "sampled": many(way)[0] for way in ways},
        "best_batch": {way or "sampled": many(way)[1] for way in ways},
        "memory_mb": statistics.median(r["memory_mb"] for r in runs),
        **{name: runs[0][name] for name in ("check", "model_bytes", "library_bytes")},
        **{name: runs[0][name] for name in ("variant", "memory_widest_mb", "kernels_us_a_token") if name in runs[0]},
        "rounds": runs,
    }


def ratios(arch: str, found: dict[str, Any]) -> dict[str, float]:
    """The best peer over us: above 1 we are faster."""
    peers = [row for name, row in found.items() if name not in BUNDLES and "fault" not in row]
    us = found.get(OURS, {"fault": ""})
    if not peers or "fault" in us:
        return {}
    latency = min(min(row["one_flow_ms"].values()) for row in peers) / us["one_flow_ms"]["sampled"]
    throughput = us["flows_a_second"]["sampled"] / max(max(row["flows_a_second"].values()) for row in peers)
    return {f"{arch}_latency_ratio": latency, f"{arch}_throughput_ratio": throughput}


def verdicts(arch: str, found: dict[str, Any]) -> list[str]:
    """Each ratio against its goal; where one is missed, by how much, and where our time goes."""
    lines, missed = [], False
    for name, ratio in ratios(arch, found).items():
        missed = missed or ratio < GOALS[name]
        verdict = "met" if ratio >= GOALS[name] else f"missed by {1 - ratio / GOALS[name]:.0%}"
        lines.append(f"{name} {ratio:.2f}, goal {GOALS[name]:g}: {verdict}")
    if missed:
        for batch, kernels in found[OURS]["kernels_us_a_token"].items():
            lines.append(f"where our time goes, batch {batch}: {shares(kernels)}")
    return lines


def table_of(arch: str, found: dict[str, Any]) -> Table:
    table = Table(title=f"{arch}: {TOKENS} tokens a flow, one thread")
    headings = (
        "engine",
        "nats off",
        "one flow, ms",
        "forced",
        "flows/s",
        "forced",
        "batch",
        "memory, MB",
        "to ship, MB",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for name, row in found.items():
        if "fault" in row:
            table.add_row(name, row["fault"])
            continue
        one, many = row["one_flow_ms"], row["flows_a_second"]
        other = next((way for way in one if way != "sampled"), None)
        table.add_row(
            name,
            f"{row['check']['divergence']:.1g}",
            f"{one['sampled']:.2f}",
            f"{one[other]:.2f}" if other else "",
            f"{many['sampled']:,.0f}",
            f"{many[other]:,.0f}" if other else "",
            str(row["best_batch"][other or "sampled"]),
            f"{row['memory_mb']:.1f}",
            f"{(row['model_bytes'] + row['library_bytes']) / 1e6:.1f}",
        )
    return table


if __name__ == "__main__":
    main()
