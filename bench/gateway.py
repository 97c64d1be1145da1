"""What a gateway is promised of a bundle: sizes, the same flows everywhere, instructions a token, memory, the start.

    python bench/gateway.py --run RUN [--run RUN] -o bench/results/gateway.json

Exports each run for every target (none named: the LLaMA in the package), then: `generate -n 2000 --seed 7` from the
Python command, from the executable here with each of its kernels, and from the ARM executables on emulated processors;
instructions a token by function on those processors; the most memory that the executable here has while it generates
100,000 flows; and the time from its start to its first flow. Prints a table, then one line of JSON, which it also
writes with `-o`. Needs qemu-user and qemu-user-static; most of an hour, nearly all of it emulation.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.table import Table

import machine
from edgegen import checkpoint
from edgegen.bundle import INT8, STEP_GRAPHS, Bundle, this_target
from edgegen.datasets import edgelab_llama
from edgegen.export import targets
from edgegen.measure import measure
from edgegen.measure.emulator import EMULATORS, Counting
from edgegen.measure.report import KB
from publish import publish

PARTS = ("flows", "instructions", "memory")
FLOWS, SEED = 2_000, 7
MANY = (10_000, 100_000)
PROCESSORS = (("aarch64", "cortex-a53"), ("aarch64", "cortex-a76"), ("armv7", "cortex-a7"))
STATIC = {"aarch64": "qemu-aarch64-static", "armv7": "qemu-arm-static"}
GENERATE = ["generate", "-n", str(FLOWS), "--seed", str(SEED)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", action="append", type=Path, help="none: the LLaMA in the package")
    parser.add_argument("--only", action="append", choices=PARTS, help="of what takes long; none: all")
    parser.add_argument("--precision", choices=tuple(STEP_GRAPHS), default=INT8)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine.facts("apache-tvm", "ziglang", "torch"), "models": []}
    for run in options.run or [edgelab_llama()]:
        with tempfile.TemporaryDirectory(prefix="edgegen-gateway-") as folder:
            result["models"].append(of_run(run, Path(folder), tuple(options.only or PARTS), options.precision))
    publish(result, options.output, table_of(result))


def of_run(run: Path, folder: Path, parts: tuple[str, ...], precision: str) -> dict[str, Any]:
    config = checkpoint.read_config(run)
    path = folder / "all.edgegen"
    command = [sys.executable, "-P", "-m", "edgegen.cli", "export", str(run), "-o", str(path)]
    command += ["--precision", precision]
    start = time.perf_counter()
    subprocess.run([*command, "--target", ",".join(targets.TARGETS)], check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    bundle = Bundle.open(path)
    here = path / bundle.manifest.targets[this_target()].executable
    found = measure(bundle)
    made: dict[str, Any] = {
        "model": f"{config['arch']} {config['size']}",
        "precision": precision,
        "export_seconds": seconds,
        "executable_bytes": {name: (path / t.executable).stat().st_size for name, t in bundle.manifest.targets.items()},
        "first_flow_ms": statistics.median(found["first_flow_ms"]),
        "variant": found["variant"],
    }
    if "flows" in parts:
        made["sha256"] = hashes(bundle, here)
    if "instructions" in parts:
        made["instructions_a_token"] = {c: instructions(run, bundle, target, c, folder) for target, c in PROCESSORS}
    if "memory" in parts:
        widths = bundle.manifest.targets[this_target()].widths
        made["memory_kb"] = {str(w): {str(count): memory(here, count, w) for count in MANY} for w in widths}
    return made


def hashes(bundle: Bundle, here: Path) -> dict[str, str]:
    """sha256 of the same flows, by who made them."""
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "python": ([sys.executable, "-P", "-m", "edgegen.cli", GENERATE[0], str(bundle.path), *GENERATE[1:]], {})
    }
    for variant in targets.find([this_target()])[0].variants:
        kernels = {"EDGEGEN_KERNELS": variant.name}
        info = subprocess.run(
            [here, "info"], capture_output=True, text=True, env=os.environ | kernels, check=True
        ).stdout
        if f"kernels: {variant.name}\n" in info:
            commands[f"{this_target()} {variant.name}"] = ([str(here), *GENERATE], kernels)
            commands[f"{this_target()} {variant.name}, batch 1"] = ([str(here), *GENERATE, "--batch", "1"], kernels)
            commands[f"{this_target()} {variant.name}, 2 threads"] = ([str(here), *GENERATE, "--threads", "2"], kernels)
    for target, cpu in PROCESSORS:
        executable = bundle.path / bundle.manifest.targets[target].executable
        commands[f"{target} on {cpu}"] = ([STATIC[target], "-cpu", cpu, str(executable), *GENERATE], {})
    found = {}
    for name, (command, more) in commands.items():
        print(f"{FLOWS} flows: {name}", file=sys.stderr)
        made = subprocess.run(command, capture_output=True, check=True, env=os.environ | more).stdout
        found[name] = hashlib.sha256(made).hexdigest()
    return found


def instructions(run: Path, bundle: Bundle, target: str, cpu: str, folder: Path) -> dict[str, Any]:
    """Instructions a token one flow at a time, and by function: of an executable that keeps its names."""
    from edgegen.export import build
    from edgegen.export.link import link_executable

    print(f"instructions a token: {cpu}", file=sys.stderr)
    model, codec, _ = checkpoint.load(run)
    (found,) = targets.find([target])
    place = folder / f"named-{cpu}"
    made = build._library(bundle.path / bundle.manifest.step_graph, codec, model, found, place, lambda text: None)
    build._write_golden(bundle.manifest.golden, place)
    program = link_executable(place, made.objects, found, named=True)
    count = Counting(EMULATORS[target], cpu, codec, folder)
    functions = count.a_token(program, 1, [])
    total = sum(functions.values())
    return {"total": total, "by_function": {name: n for name, n in functions.items() if n >= 0.005 * total}}


def memory(executable: Path, count: int, width: int) -> int:
    """Kilobytes that the executable has at most while it generates `count` flows.

    From /proc, since the kernel counts to a child's ru_maxrss what its parent had when it was started.
    """
    print(f"memory: {count:,} flows, batch {width}", file=sys.stderr)
    arguments = ["generate", "-n", str(count), "--batch", str(width)]
    most = 0
    with subprocess.Popen([executable, *arguments], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            most = max([most, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))])
            time.sleep(0.02)
    if process.returncode or not most:
        raise SystemExit(f"the executable ended with status {process.returncode}")
    return most


def table_of(result: dict[str, Any]) -> Table:
    table = Table(title="what a gateway is promised")
    table.add_column("")
    for model in result["models"]:
        table.add_column(model["model"], justify="right")

    def row(name: str, cell: Any) -> None:
        table.add_row(name, *(cell(model) for model in result["models"]))

    row("export for all targets", lambda m: f"{m['export_seconds']:.0f} s")
    for target in targets.TARGETS:
        row(f"executable, {target}", lambda m, t=target: f"{m['executable_bytes'][t] / 1e6:.2f} MB")
    here = result["models"][0]
    if "sha256" in here:
        row(
            f"{FLOWS} flows of seed {SEED}", lambda m: f"{len(m['sha256'])} ways, {len(set(m['sha256'].values()))} hash"
        )
    for cpu in here.get("instructions_a_token", {}):
        row(
            f"instructions a token, {cpu}",
            lambda m, c=cpu: f"{m['instructions_a_token'][c]['total'] / 1e3:,.0f} thousand",
        )
    for width in here.get("memory_kb", {}):
        for count in map(str, MANY):
            row(
                f"most memory, batch {width}, {int(count):,} flows",
                lambda m, w=width, c=count: f"{m['memory_kb'][w][c] * KB / 1e6:.2f} MB",
            )
    row("from start to first flow", lambda m: f"{m['first_flow_ms']:.2f} ms ({m['variant']})")
    return table


if __name__ == "__main__":
    main()
