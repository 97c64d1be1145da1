"""All of it on the shipped data: train, export, generate, and say how large, how fast and how alike."""

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.table import Table

from edgegen import checkpoint
from edgegen.bundle import Bundle
from edgegen.datasets import edgelab
from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate.compare import compare, copy_rate, cut, print_comparison
from edgegen.evaluate.latency import Latency, latencies
from edgegen.evaluate.plot import plot_comparison
from edgegen.export import export
from edgegen.readers import read_flows
from edgegen.resume import held
from edgegen.runtime import generate
from edgegen.split import split
from edgegen.tables import print_table
from edgegen.train import check_minutes, train
from edgegen.writers import write_flows

FLOWS = 1_000
SEED = 0
# An empty file in the run of a demo, which the next one may replace.
MARK = "made-by-demo"


def demo(out: Path, minutes: float, data: Path | None = None) -> None:
    """Train a tiny LLaMA for `minutes`, and leave run, bundle, flows and picture in the folder `out`.

    data: a flow table in place of EdgeLab. What an earlier demo left in `out` is replaced, another run is not.
    """
    check_minutes(minutes)
    data = data or edgelab()
    run = _fresh_run(out)
    train(data, run, "llama", "tiny", minutes=minutes, seed=SEED)
    model, codec, config = checkpoint.load(run)
    parameters, best = sum(p.numel() for p in model.parameters()), config["best"]
    epochs, seconds = len(config["history"]), sum(epoch["seconds"] for epoch in config["history"])
    print(f"train     tiny LLaMA, {parameters:,} parameters, {epochs} epochs in {seconds:.0f} s on {data.name}")
    print(f"          validation loss {best['validation']:.3f} nats per token in epoch {best['epoch']}")

    start = time.monotonic()
    with _status("export") as status:
        exported = export(run, out / "demo.edgegen", say=lambda text: status.update(f"export: {text}"))
    bundle = exported.bundle
    print(f"export    {bundle.path} in {time.monotonic() - start:.0f} s; the gate:")
    for check in exported.checks:
        print(f"          {check.line()}")

    start = time.monotonic()
    synthetic = list(generate(bundle, FLOWS, seed=SEED))
    print(f"generate  {FLOWS:,} flows in {time.monotonic() - start:.2f} s, loading included")
    for suffix in (".pcap", ".parquet"):
        write_flows(synthetic, out / f"flows{suffix}")
        print(f"          {out / f'flows{suffix}'}")

    print()
    print_table(_sizes(bundle))
    print()
    with _status("timing the engines"):
        timed = latencies(model, bundle, seed=SEED)
    print_table(_latency_table(timed))
    print()
    parts = split(read_flows(data), SEED)
    real, training = cut(parts.test, codec.max_packets), cut(parts.train, codec.max_packets)
    print_comparison(compare(real, synthetic, training))
    copies = (copy_rate(flows, training) for flows in (synthetic, real))
    print("\ncopies: {:.1%} of the synthetic flows, {:.1%} of the real ones the model has not seen,".format(*copies))
    print("have the lengths and directions of a training flow")
    plot_comparison(real, synthetic, out / "comparison.png")
    print(f"\npicture   {out / 'comparison.png'}")


def _fresh_run(out: Path) -> Path:
    """The run folder in `out`, without the checkpoint of an earlier demo; UsageError where it holds another run."""
    run = out / "run"
    try:
        run.mkdir(parents=True, exist_ok=True)
        with held(run):
            files = [run / name for name in (checkpoint.CONFIG, checkpoint.MODEL, checkpoint.LAST)]
            if any(file.exists() for file in files) and not (run / MARK).exists():
                raise UsageError(f"{run} holds a run that no demo made: choose another folder with -o")
            # First: a demo may be killed before it has trained an epoch, or while it removes these.
            (run / MARK).touch()
            for file in files:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise EdgegenError(f"cannot use the folder {out} ({error.strerror}): choose another with -o") from error
    return run


def _status(text: str) -> Status:
    """A spinner on a terminal, nothing elsewhere."""
    return Console(stderr=True, quiet=not sys.stderr.isatty()).status(text)


def _sizes(bundle: Bundle) -> Table:
    table = Table(title="Sizes", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("file")
    table.add_column("KB", justify="right")
    for name in bundle.files:
        table.add_row(name, f"{(bundle.path / name).stat().st_size / 1e3:,.0f}")
    return table


def _latency_table(timed: list[Latency]) -> Table:
    title = "One flow, one thread, median"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("engine")
    for name in ("ms", "flows as the compiled engine's"):
        table.add_column(name, justify="right")
    for row in timed:
        table.add_row(row.engine, f"{row.milliseconds:.2f}", f"{row.same:.0%}")
    return table
