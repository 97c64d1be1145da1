"""`python -m bench.lab`: install the programs, record the sessions, write the data set."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.lab import run
from edgegen.errors import EdgegenError, UsageError

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)
Labels = Annotated[list[str] | None, typer.Option("--label", help="only these labels (repeatable)")]
Work = Annotated[Path, typer.Option(help="where captures are kept; an interrupted run goes on from them")]


@app.command()
def install(label: Labels = None, work: Work = Path("scratch/edgelab")) -> None:
    """Install the Debian and Python packages that the scenarios need (as root).

    Debian starts some of the servers it installs: use a machine where they may.
    """
    run.install(run.load(label or []), work)


@app.command()
def record(
    output: Annotated[Path, typer.Option("-o", help="the data set, .parquet")] = Path(
        "edgegen/datasets/edgelab.parquet"
    ),
    label: Labels = None,
    rounds: Annotated[int, typer.Option(min=1, help="sessions of each label over each link")] = 3,
    flows: Annotated[int, typer.Option(min=1, help="flows of each session")] = 32,
    jobs: Annotated[int, typer.Option(min=1, help="sessions at once")] = 10,
    seed: int = 1,
    work: Work = Path("scratch/edgelab"),
) -> None:
    """Record every session that has no capture yet, then write the flows of all (as root)."""
    from edgegen.writers import write_flows

    if os.geteuid() != 0:
        raise EdgegenError("network namespaces need root: run `python -m bench.lab record` as root")
    # Killed, the lab still takes its namespaces down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # What else this machine does must not show in the times; the lab itself mostly waits.
    os.nice(-10)
    chosen = run.load(label or [])
    sessions = run.plan(chosen, rounds, flows, seed)
    failures = run.capture(sessions, work.resolve(), jobs)
    written = write_flows(
        run.assemble(sessions, work.resolve(), flows), output, run.provenance(chosen, work.resolve(), seed)
    )
    print(f"{output}: {written:,} flows of {len(sessions) - len(failures)} sessions")
    if failures:
        raise EdgegenError(f"{len(failures)} of {len(sessions)} sessions failed; run again to record just them")


if __name__ == "__main__":
    try:
        app()
    except EdgegenError as error:
        print(f"edgelab: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
