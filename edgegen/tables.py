"""Tables for people, on stdout."""

import sys

from rich.console import Console
from rich.table import Table

from edgegen.dataset import Summary

# Where nobody says how wide the output is: a file, a pipe.
UNKNOWN_WIDTH = 160


def print_table(table: Table) -> None:
    """Print to stdout, as wide as the terminal, or wide enough where there is none."""
    print_as_it_stands(table, None if sys.stdout.isatty() else UNKNOWN_WIDTH)


def print_as_it_stands(table: Table, width: int | None) -> None:
    """Print to stdout, whatever is in the cells: labels and names of files are no markup, nor always Unicode."""
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    print(printable(captured.get()), end="")


def printable(text: str) -> str:
    """What of `text` stdout takes, and escapes for the rest, such as the name of a file that is no Unicode."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def info_table(title: str, labels: dict[str, Summary], total: Summary) -> Table:
    """A row for each label and one for all; duplicates share their first ten (pl, dir) with another flow."""
    table = Table(title=title)
    table.add_column("label", overflow="fold")
    for heading in (
        "flows",
        "packets",
        "sessions",
        "payload bytes p5 p50 p95",
        "inter-arrival ms p5 p50 p95",
    ):
        table.add_column(heading, justify="right")
    table.add_column("duplicates", justify="right")
    for name, summary in labels.items():
        table.add_row(name, *_cells(summary))
    table.add_section()
    table.add_row("all", *_cells(total))
    return table


def _cells(summary: Summary) -> list[str]:
    sessions = len(summary.sessions - {""})
    return [
        f"{summary.flows:,}",
        f"{summary.packets:,}",
        f"{sessions:,}" if sessions else "-",
        " ".join(f"{value:.0f}" for value in summary.pl_quantiles),
        " ".join(f"{value * 1000:.3g}" for value in summary.iat_quantiles) or "-",
        f"{summary.duplicates / summary.flows:.1%}",
    ]
