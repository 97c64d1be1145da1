"""How well `edgegen replay` keeps time, by the kernel's clock at the other end of a veth pair.

    python bench/replay.py -o bench/results/replay.json

Replays 1,000 flows (drawn from EdgeLab; or of a bundle or a table) and compares what arrives with a pcap of the same
flows: the same frames in the same order, and |arrival - schedule|, both reckoned from the first frame. The target is
99 % below 1 ms on a machine that does nothing else. Needs root. Prints a table, then one line of JSON.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import machine
import veth
from edgegen.datasets import edgelab
from edgegen.pcap_writer import Frame, frames
from edgegen.readers import read_flows
from edgegen.replay import Source
from edgegen.writers import write_flows
from publish import publish

MTU = 1_500
QUANTILES = (50, 99)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", nargs="?", type=Path, help="a bundle or a table; none: flows drawn from EdgeLab")
    parser.add_argument("--flows", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    facts = machine.facts("numpy")
    with tempfile.TemporaryDirectory(prefix="edgegen-replay-") as folder:
        source = options.source
        if source is None:
            source = Path(folder) / "edgelab.jsonl"
            write_flows(random.Random(0).sample(read_flows(edgelab()), options.flows), source)
        result = {"machine": facts, "flows": options.flows} | measure(Source(source, options.flows), options.rate)
    publish(result, options.output, table_of(result))


def measure(source: Source, rate: float) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "edgegen.cli", "replay", str(source.path), "--interface", veth.DEVICE]
    command += ["-n", str(source.n), "--rate", str(rate), "-o", "json"]
    with veth.joined(MTU) as pair, veth.Receiver(pair) as receiver:
        sent = json.loads(subprocess.run(pair.inside(*command), check=True, stdout=subprocess.PIPE).stdout)
        arrived = receiver.arrived()
    schedule = list(frames(source.flows(), MTU))
    if [frame for _, frame in arrived] != [frame for _, frame in schedule]:
        raise SystemExit(f"{len(schedule):,} frames are in the pcap and {len(arrived):,} arrived, or they differ")
    return {"sent": sent, "arrival_us": quantiles(deviations(arrived, schedule, rate))}


def deviations(arrived: list[tuple[int, bytes]], schedule: list[Frame], rate: float) -> list[float]:
    """|arrival - schedule| of each frame in microseconds."""
    (first_ns, _), (first_us, _) = arrived[0], schedule[0]
    pairs = zip(arrived, schedule, strict=True)
    return [abs((at_ns - first_ns) / 1e3 - (due_us - first_us) / rate) for (at_ns, _), (due_us, _) in pairs]


def quantiles(times: list[float]) -> dict[str, float]:
    return {f"p{q}": float(np.quantile(times, q / 100)) for q in QUANTILES} | {"max": max(times)}


def table_of(result: dict[str, Any]) -> Table:
    sent = result["sent"]
    title = f"{result['flows']:,} flows, {sent['packets']:,} frames in {sent['seconds']:.1f} s, {sent['rate']:g} times"
    table = Table(title=title)
    table.add_column("deviation from the schedule, ms")
    for name in result["arrival_us"]:
        table.add_column(name, justify="right")
    for name, times in (("sent, as it reports itself", sent["jitter_us"]), ("arrived", result["arrival_us"])):
        table.add_row(name, *(f"{value / 1e3:.3f}" for value in times.values()))
    table.caption = (
        f"real-time priority: {'yes' if sent['realtime'] else 'no'}; load {result['machine']['load_before']}"
    )
    return table


if __name__ == "__main__":
    main()
