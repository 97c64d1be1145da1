"""Captures and data sets in, and what is in them."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def data_import(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Captures, data sets, or folders.")],
    out: Annotated[Path, typer.Option("-o", help="The table to write: .parquet, .jsonl or .csv.")],
    format: Annotated[str, typer.Option(help="auto, pcap, mirage, cesnet, tcbench or table.")] = "auto",
    label: Annotated[str | None, typer.Option(help="Label of every flow.")] = None,
    label_by: Annotated[str, typer.Option(help="Label captures by file name or by nDPI: file, ndpi.")] = "file",
    idle_timeout: Annotated[float, typer.Option(help="Seconds of silence that end a flow.")] = 120.0,
    max_packets: Annotated[int, typer.Option(help="Packets kept of a flow.")] = 32,
    keep_empty: Annotated[bool, typer.Option("--keep-empty", help="Keep packets without payload.")] = False,
    keep_background: Annotated[
        bool,
        typer.Option("--keep-background/--drop-background", help="Flows of other apps in a MIRAGE file."),
    ] = True,
) -> None:
    """Turn captures and data sets into one table of flows."""
    from edgegen.dataset import import_table
    from edgegen.readers.options import Options

    options = Options(label, label_by, idle_timeout, max_packets, keep_empty, keep_background)
    report = import_table(sources, out, options, format)
    print(f"{out}: {report.flows:,} flows from {report.records:,} packets or rows", file=sys.stderr)
    for line in report.lines():
        print(f"  {line}", file=sys.stderr)


def data_info(flows: Annotated[Path, typer.Argument(metavar="FLOWS", help="A table of flows.")]) -> None:
    """Show what is in a table: labels, flows, packets, sessions, lengths, times, duplicates."""
    from edgegen.dataset import summarise
    from edgegen.readers import read_flows
    from edgegen.readers.report import Report
    from edgegen.tables import info_table, print_table

    report = Report()
    print_table(info_table(flows.name, *summarise(read_flows(flows, report))))
    for line in report.lines():
        print(f"  {line}", file=sys.stderr)


def data_pick(
    flows: Annotated[Path, typer.Argument(metavar="FLOWS", help="A table of flows, more than are needed.")],
    out: Annotated[Path, typer.Option("-o", help="The table to write: .parquet, .jsonl or .csv.")],
    per_label: Annotated[int, typer.Option(min=1, help="Flows to keep of each label, or all where there are fewer.")],
) -> None:
    """Keep of many generated flows a few that together are most like all of them, to train classifiers on.

    Flows are alike by lengths and directions of their first 32 packets. `edgegen augment` picks in the same way.
    """
    from edgegen.evaluate.command import run_pick

    run_pick(flows, per_label, out)
