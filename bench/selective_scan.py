"""The selective scan beside everything it could be replaced with, forward and backward.

    python bench/selective_scan.py -o bench/results/selective-scan-NAME.json

On a GPU the sweep is over time 16 to 4096 and dim 256 to 2048 at a constant number of elements, with mamba_ssm where it
is installed (MAMBA_FORCE_BUILD=TRUE pip install --no-build-isolation mamba_ssm); on a CPU it is smaller. `--quick` runs
one small case, to see that a machine has what it needs. Every contender's output and gradients are checked against the
reference in float64 before it is timed. Bytes are what the algorithm must move, each tensor once; their share is of the
bandwidth of a copy, measured here. Ours gets the layout that our model has, channels innermost, and mamba_ssm its own,
time innermost; `ours, time innermost` is ours with that one. Prints a table, then one line of JSON.
"""

import argparse
import statistics
import time as clock
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch._functorch import config as functorch_config

import machine
from edgegen import kernels
from edgegen.kernels import operators, reference
from publish import publish

STATE = 16
# Elements (batch * dim * time) of a case: of time 64, dim 256, batch 2048 on a GPU; of a training batch on a CPU.
GPU_ELEMENTS, CPU_ELEMENTS = 2048 * 256 * 64, 64 * 256 * 32
# The reference keeps a dozen tensors of (batch, dim, state) for every time.
REFERENCE_ELEMENTS = 2**21
CHECK_BATCH, TOLERANCE = 2, {torch.float32: 1e-4, torch.bfloat16: 3e-2}
LEAVES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")

Case = dict[str, Any]
Inputs = dict[str, Tensor]
Scan = Callable[..., Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--time", type=int, action="append")
    parser.add_argument("--dim", type=int, action="append")
    parser.add_argument("--type", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", dest="out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    gpu = device.type == "cuda"
    times = options.time or ([16] if options.quick else [16, 64, 256, 1024, 4096] if gpu else [16, 32, 64])
    dims = options.dim or ([64] if options.quick else [256, 1024, 2048] if gpu else [256])
    elements = 2**14 if options.quick else GPU_ELEMENTS if gpu else CPU_ELEMENTS
    found, missing = contenders(device)
    bandwidth = copy_bandwidth(device, elements, options.runs)
    rows = []
    for time in times:
        for dim in dims:
            case = {"time": time, "dim": dim, "state": STATE, "batch": max(1, elements // (time * dim))}
            for name, scan in found.items():
                row = measure(name, scan, case, device, getattr(torch, options.type), options.runs)
                for way in ("forward", "backward"):
                    if row.get(f"{way}_ms"):
                        row[f"{way}_bandwidth_share"] = row[f"{way}_bytes"] / (row[f"{way}_ms"] / 1e3) / bandwidth
                rows.append(row)
    facts = machine.facts("torch", "triton", "mamba_ssm")
    if gpu:
        facts["gpu"] = torch.cuda.get_device_name(device)
    result = {
        "type": options.type,
        "path": kernels.path(torch.zeros(1, device=device)),
        "copy_bytes_per_second": bandwidth,
        "missing": missing,
        "rows": rows,
        "machine": facts | {"threads": options.threads},
    }
    publish(result, options.out, table_of(result))


def contenders(device: torch.device) -> tuple[dict[str, Scan], dict[str, str]]:
    """By name, each with the reference's arguments; and those that are not here, with the reason."""
    ours: Scan = partial(kernels.selective_scan, delta_softplus=True)
    plain: Scan = partial(reference.selective_scan, delta_softplus=True)
    found: dict[str, Scan] = {"ours": ours, "ours, time innermost": ours, "reference": plain}
    missing: dict[str, str] = {}
    # The backward pass is timed several times after one forward pass.
    functorch_config.donated_buffer = False
    found["reference, torch.compile"] = torch.compile(plain)
    if device.type == "cpu":
        found["ours without a C compiler"] = ours
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

        found["mamba_ssm"] = partial(selective_scan_fn, delta_softplus=True)
    except ImportError as error:
        missing["mamba_ssm"] = f"not installed ({error})"
    return found, missing


def inputs(case: Case, batch: int, device: torch.device, dtype: torch.dtype, time_innermost: bool) -> Inputs:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def channels(n: int) -> Tensor:
        made = normal(batch, case["time"], n).to(device, dtype).transpose(1, 2)
        return made.contiguous() if time_innermost else made

    dim, state = case["dim"], case["state"]
    rates = -torch.rand(dim, 1, generator=generator) * torch.arange(1, state + 1)
    made = {"u": channels(dim), "delta": channels(dim), "B": channels(state), "C": channels(state), "z": channels(dim)}
    small = {"A": rates, "D": normal(dim), "delta_bias": normal(dim)}
    return made | {name: x.to(device) for name, x in small.items()}


def measure(name: str, scan: Scan, case: Case, device: torch.device, dtype: torch.dtype, runs: int) -> dict[str, Any]:
    """Medians in ms of a forward pass that keeps what the backward pass needs, and of the backward pass."""
    row: dict[str, Any] = {"name": name, **case, **must_move(case, dtype)}
    batch = case["batch"]
    if name.startswith("reference") and case["batch"] * case["dim"] * case["time"] > REFERENCE_ELEMENTS:
        # As many rows as fit, and the time for all of them in proportion.
        batch = row["batch_measured"] = max(1, REFERENCE_ELEMENTS // (case["dim"] * case["time"]))
    if name == "reference, torch.compile" and case["time"] > 64:
        return row | {"skipped": "its loop is unrolled: compiling takes minutes"}
    time_innermost = name in ("mamba_ssm", "ours, time innermost")
    before = operators.path
    if name == "ours without a C compiler":
        operators.path = lambda x: "torch"
    try:
        row["error"] = check(scan, case, device, dtype, time_innermost)
        leaves = {k: x.requires_grad_() for k, x in inputs(case, batch, device, dtype, time_innermost).items()}
        out = scan(**leaves)
        dy = torch.randn_like(out)
        scale = case["batch"] / batch
        row["forward_ms"] = scale * median_ms(lambda: scan(**leaves), device, runs)
        wanted = list(leaves.values())
        row["backward_ms"] = scale * median_ms(
            lambda: torch.autograd.grad(out, wanted, dy, retain_graph=True), device, runs
        )
    finally:
        operators.path = before
    return row


def check(scan: Scan, case: Case, device: torch.device, dtype: torch.dtype, time_innermost: bool) -> float:
    """The largest relative error of output and gradients against the reference in float64 on a few rows."""
    given = inputs(case, CHECK_BATCH, device, dtype, time_innermost)
    results = []
    plain: Scan = partial(reference.selective_scan, delta_softplus=True)
    for which, kind in ((scan, None), (plain, torch.float64)):
        leaves = {k: x.detach().to(kind or x.dtype, copy=True).requires_grad_() for k, x in given.items()}
        if time_innermost and kind is None:
            leaves = {
                k: x.detach().clone(memory_format=torch.contiguous_format).requires_grad_() for k, x in given.items()
            }
        out = which(**leaves)
        weights = torch.linspace(-1, 1, out.numel(), device=device).view(out.shape)
        (out.float() * weights if kind is None else out * weights).sum().backward()
        results.append([out.detach(), *(leaves[name].grad for name in LEAVES)])
    errors = [float((a.double() - b).norm() / b.norm().clamp(min=1e-9)) for a, b in zip(*results, strict=True)]
    if not max(errors) < TOLERANCE[dtype]:
        raise SystemExit(f"wrong at time {case['time']}, dim {case['dim']}: relative errors {errors}")
    return max(errors)


def must_move(case: Case, dtype: torch.dtype) -> dict[str, int]:
    """Bytes of a pass where each tensor is read or written once: forward u, delta, z, B, C, y; backward also dy, the
    gradients, and no y."""
    wide, narrow = case["batch"] * case["time"] * case["dim"], case["batch"] * case["time"] * case["state"]
    return {
        "forward_bytes": (4 * wide + 2 * narrow) * dtype.itemsize,
        "backward_bytes": (7 * wide + 4 * narrow) * dtype.itemsize,
    }


def median_ms(work: Callable[[], Any], device: torch.device, runs: int) -> float:
    for _ in range(2):
        work()
    found = []
    for _ in range(runs):
        if device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            work()
            end.record()
            end.synchronize()
            found.append(start.elapsed_time(end))
        else:
            started = clock.perf_counter()
            work()
            found.append(1e3 * (clock.perf_counter() - started))
    return statistics.median(found)


def copy_bandwidth(device: torch.device, elements: int, runs: int) -> float:
    """Bytes a second of a copy, read and written ones together."""
    source = torch.randn(max(elements, 2**24), device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / (median_ms(lambda: target.copy_(source), device, runs) / 1e3)


def table_of(result: dict[str, Any]) -> Table:
    share = "of copy bandwidth"
    table = Table(title=f"Selective scan, {result['type']}, ours by {result['path']}")
    for name in ("time", "dim", "batch", "name", "error", "forward ms", share, "backward ms", share):
        table.add_column(name, justify="left" if name == "name" else "right")
    for row in result["rows"]:
        where = [str(row["time"]), str(row["dim"]), str(row["batch"]), row["name"]]
        if "skipped" in row:
            table.add_row(*where, row["skipped"])
            continue
        figures = [f"{row['error']:.0e}"]
        for way in ("forward", "backward"):
            figures += [f"{row[f'{way}_ms']:.3f}", f"{row[f'{way}_bandwidth_share']:.1%}"]
        table.add_row(*where, *figures)
    for name, reason in result["missing"].items():
        table.add_row("", "", "", name, reason)
    return table


if __name__ == "__main__":
    main()
