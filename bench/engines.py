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
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

import machine
from peers.common import BATCHES, TOKENS, Case
from peers.lineup import BUNDLES, OURS_FP32, PEERS, prepare, title
from peers.outcome import merged, ratios, table_of, verdicts
from peers.turn import take
from publish import publish

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
        print(json.dumps(take(name, Case(arch, Path(folder)), options.seconds, options.batch or BATCHES)))
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


if __name__ == "__main__":
    main()
