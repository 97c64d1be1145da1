"""Captures and data sets in, streaming. Each format is one file with `read(path, options, report)`.

capture.py, frame.py, biflow.py  bytes -> packets -> segments -> biflows, for pcap.py
folder.py                        which files to read
source.py, parquet.py, build.py  opening, unpacking, rows, and one record -> one flow, for the others
"""

import json
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow, unicode
from edgegen.readers import cesnet, mirage, pcap, table, tcbench
from edgegen.readers.capture import PCAP_MAGIC, PCAPNG_MAGIC
from edgegen.readers.folder import files
from edgegen.readers.options import AS_IT_STANDS, Options
from edgegen.readers.parquet import parquet_columns
from edgegen.readers.report import Report
from edgegen.readers.source import open_bytes, stem

FORMATS: dict[str, Callable[[Path, Options, Report], Iterator[Flow]]] = {
    "pcap": pcap.read,
    "mirage": mirage.read,
    "cesnet": cesnet.read,
    "tcbench": tcbench.read,
    "table": table.read,
}
# Enough for a CSV header or the first record of a JSON file.
HEAD = 1 << 16
DEFAULTS = Options()


def open_flows(
    path: Path, options: Options = DEFAULTS, report: Report | None = None, format: str = "auto"
) -> Iterator[Flow]:
    """The flows of one file, as they come.

    format: a name in FORMATS, or `auto` to tell by the content. What is left out is counted in `report`.
    Raises EdgegenError where the file is none of them.
    """
    report = Report() if report is None else report
    report.source = path.name
    if format not in ("auto", *FORMATS):
        raise UsageError(f"format {format} is not known: say auto, {', '.join(FORMATS)}")
    name = detect(path) if format == "auto" else format
    if name is None:
        raise EdgegenError(f"{path} is no capture and no data set that edgegen knows: give another file or --format")
    for flow in FORMATS[name](path, options, report):
        report.flows += 1
        yield flow


def read_flows(path: Path, report: Report | None = None) -> list[Flow]:
    """All flows of a flow table at once; see `table_flows`. Without a report, stderr hears what is left out."""
    told = Report() if report is None else report
    flows = list(table_flows(path, told))
    if report is None:
        _tell(path, told)
    return flows


def read_real_flows(path: Path, instead: str = "give the real ones") -> list[Flow]:
    """The same, where they are to be real ones: EdgegenError where some are marked as `synthetic`, with what to do."""
    report = Report()
    flows = read_flows(path, report)
    if report.generated:
        raise EdgegenError(f"{path} holds {report.generated:,} generated flows (column synthetic): {instead}")
    _tell(path, report)
    return flows


def read_generated_flows(path: Path) -> list[Flow]:
    """The same, where all are to be generated: EdgegenError where only some are marked as `synthetic`."""
    report = Report()
    flows = read_flows(path, report)
    if 0 < report.generated < len(flows):
        few = f"{report.generated:,} of {len(flows):,} flows are generated (column synthetic)"
        raise EdgegenError(f"{path} holds real flows, too, {few}: give the generated ones")
    _tell(path, report)
    return flows


def table_flows(path: Path, report: Report | None = None) -> Iterator[Flow]:
    """The flows of a flow table (parquet, JSON lines, CSV), as they stand and as they come.

    Raises EdgegenError where `path` is no such table, or holds no flow.
    """
    report = Report() if report is None else report
    if detect(path) in ("pcap", "mirage", "cesnet", "tcbench"):
        raise EdgegenError(f"{path} is not a flow table: turn it into one with edgegen data import")
    yield from open_flows(path, AS_IT_STANDS, report, "table")
    if not report.flows:
        raise EdgegenError(f"{path} holds no flow{_because(report)}: give a table with flows")


def import_flows(
    sources: Sequence[Path], options: Options, report: Report, format: str = "auto", target: Path | None = None
) -> Iterator[tuple[Path, Flow]]:
    """The flows of files and folders, each with the file it is from.

    A file in a folder that is neither capture nor data set, or is broken, is counted; one that is named is an error,
    as is an import that finds no flow at all. `target`, which the flows are written to, is no part of a folder.
    """
    sessions: dict[str, Path] = {}
    first: dict[str, Path] = {}
    known: set[tuple[int, int]] = set()
    for source in sources:
        folder = source.is_dir()
        for path in files(source, report, target):
            # The same flows under another session's name would stand on both sides of a split.
            if (file := _file(path)) in known:
                report.source = path.name
                report.count("files that were read already: not read again")
                continue
            known |= {file} if file else set()
            own, session = unicode(stem(path)), _session(path, sessions)
            try:
                if folder and format == "auto" and detect(path) is None:
                    report.source = path.name
                    report.count("files that are no capture and no data set")
                    continue
                for flow in open_flows(path, options, report, format):
                    if flow.session == own:
                        flow.session = session
                    elif flow.session and first.setdefault(flow.session, path) != path:
                        # Parts of one table have sessions in common. Captures of one name have not, but who imported
                        # them apart has lost what told them from each other.
                        report.count("flows of a session that another file has, too: taken for the same")
                    yield path, flow
            except EdgegenError as error:
                # What is asked for wrongly, or not installed, is not the file's fault.
                if not folder or isinstance(error, UsageError) or isinstance(error.__cause__, ImportError):
                    raise
                report.broken(path.name, error)
    if not report.flows:
        names = ", ".join(str(source) for source in sources)
        raise EdgegenError(f"there is no flow in {names}{_because(report)}: nothing was written")


def _file(path: Path) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None of a pipe, and of one that is not there, as the reader will say."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _session(path: Path, taken: dict[str, Path]) -> str:
    """The stem of `path`, or where another file has the same one, its folder's name before it, or all of its path.

    taken: by session, whose it is; this one is added
    """
    names = stem(path), f"{path.parent.name}/{stem(path)}", str(path)
    session = next((name for name in map(unicode, names) if taken.get(name, path) == path), names[-1])
    taken[session] = path
    return session


def detect(path: Path) -> str | None:
    """The format of `path` by its content, None where it is none of ours; EdgegenError where it is empty."""
    with open_bytes(path) as file:
        head = file.read(HEAD)
    if not head:
        raise EdgegenError(f"{path} is empty: give a capture or a data set")
    if head[:4] in PCAP_MAGIC or head[:4] == PCAPNG_MAGIC:
        return "pcap"
    if head.startswith(b"PAR1"):
        return "tcbench" if "pkts_size" in parquet_columns(path) else "table"
    text = head.decode("utf-8-sig", "replace").lstrip()
    first = text.partition("\n")[0]
    if text.startswith("{"):
        return "table" if _is_flow(first) else "mirage" if '"packet_data"' in text else None
    columns = {name.strip().strip('"') for name in first.split(",")}
    if "PPI" in columns:
        return "cesnet"
    return "table" if {"pl", "dir", "iat"} <= columns else None


def _is_flow(line: str) -> bool:
    """Whether a line of JSON has a flow's members; cut off at HEAD, within its packets, by the name of the first."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return '"pl"' in line and '"packet_data"' not in line
    return isinstance(row, dict) and {"pl", "dir"} <= row.keys()


def _because(report: Report) -> str:
    lines = report.lines()
    return f" ({'; '.join(lines)})" if lines else ""


def _tell(path: Path, report: Report) -> None:
    if report.reasons:
        counts = "; ".join(f"{times:,} {reason}" for reason, times in report.reasons.most_common())
        print(f"edgegen: not all of {path} could be used: {counts}", file=sys.stderr)
