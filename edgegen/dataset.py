"""Flow tables made from captures and data sets, and what is in one."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgegen.errors import EdgegenError
from edgegen.flow import Flow
from edgegen.paths import same
from edgegen.readers import detect, import_flows
from edgegen.readers.options import Options
from edgegen.readers.report import Report
from edgegen.writers import check_table, write_flows

QUANTILES = (0.05, 0.5, 0.95)
# Two flows that agree in (pl, dir) this far are duplicates: what the field's classifiers look at.
DUPLICATE_PACKETS = 10


def import_table(sources: Sequence[Path], target: Path, options: Options, format: str) -> Report:
    """Write the flows of `sources` to `target`, as they come, and return what was read and left out.

    Raises UsageError where `target` is one of them, which it would replace, or no table; EdgegenError where flows are
    marked as `synthetic`: what is written has no such mark, and they would pass for real ones.
    """
    check_table(target, [target for source in sources if _is_part(target, source)])
    report = Report()
    flows = import_flows(sources, options, report, format, target)
    write_flows(_shown(flows, report), target, options.metadata())
    return report


def _is_part(target: Path, source: Path) -> bool:
    """Whether `target` is that source or a capture or data set in it; a table in it is what an import before left."""
    if not source.is_dir():
        return same(source, target)
    inside = target.is_file() and target.resolve().is_relative_to(source.resolve())
    return inside and target.stat().st_size > 0 and detect(target) not in (None, "table")


def _shown(flows: Iterable[tuple[Path, Flow]], report: Report) -> Iterator[Flow]:
    """The flows, and on a terminal a line that says how far the import is."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as progress:
        task = progress.add_task("reading")
        for path, flow in flows:
            if report.generated:
                raise EdgegenError(
                    f"{path} holds added flows (column synthetic): import the real ones, and add to those"
                )
            progress.update(task, description=f"{path.name}: {report.flows:,} flows, {report.records:,} records")
            yield flow


@dataclass
class Summary:
    """What one label, or a whole table, holds: pl in bytes, iat in seconds without each flow's first."""

    flows: int = 0
    sessions: set[str] = field(default_factory=set)
    pl: list[int] = field(default_factory=list)
    iat: list[float] = field(default_factory=list)
    # The first packets, as one hash -> flows that have them.
    starts: Counter[int] = field(default_factory=Counter)
    duplicates: int = 0

    def add(self, flow: Flow) -> None:
        """Count one flow in."""
        start = hash((tuple(flow.pl[:DUPLICATE_PACKETS]), tuple(flow.dir[:DUPLICATE_PACKETS])))
        self.flows += 1
        self.sessions.add(flow.session)
        self.pl.extend(flow.pl)
        self.iat.extend(flow.iat[1:])
        self.starts[start] += 1

    @property
    def packets(self) -> int:
        return len(self.pl)

    @property
    def pl_quantiles(self) -> list[float]:
        """Payload bytes at QUANTILES."""
        return [float(value) for value in np.quantile(self.pl, QUANTILES)]

    @property
    def iat_quantiles(self) -> list[float]:
        """Seconds at QUANTILES; none where every flow has one packet."""
        return [float(value) for value in np.quantile(self.iat, QUANTILES)] if self.iat else []


def summarise(flows: Iterable[Flow]) -> tuple[dict[str, Summary], Summary]:
    """A summary of each label, sorted by name, and one of all. A duplicate's twin may have another label."""
    labels: dict[str, Summary] = {}
    total = Summary()
    for flow in flows:
        labels.setdefault(flow.label, Summary()).add(flow)
        total.add(flow)
    for summary in (*labels.values(), total):
        summary.duplicates = sum(n for start, n in summary.starts.items() if total.starts[start] > 1)
    return dict(sorted(labels.items())), total
