"""edgegen's own flow tables (parquet, JSON lines, CSV) -> flows. Columns that are not ours are left alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgegen.errors import EdgegenError
from edgegen.flow import Flow
from edgegen.readers.build import build_flow
from edgegen.readers.options import Options
from edgegen.readers.parquet import parquet_rows
from edgegen.readers.report import Report
from edgegen.readers.source import csv_rows, open_bytes, open_text

PACKET_COLUMNS = ("pl", "dir", "iat")
# What AddedFlow.synthetic is written as.
TRUE = ("true", "1", "1.0")
LONGEST_LINE = 1 << 26  # characters


def read(path: Path, options: Options, report: Report) -> Iterator[Flow]:
    """The flows of a table.

    Bad rows are counted in `report`. Raises EdgegenError where `path` is no such table.
    """
    with open_bytes(path) as file:
        head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"PAR1"):
        required = [*PACKET_COLUMNS] if options.label else ["label", *PACKET_COLUMNS]
        rows = parquet_rows(path, required, ["label", "proto", "session", "synthetic"])
    elif head.startswith(b"{"):
        rows = _json_rows(path, report)
    else:
        rows = _csv_rows(path, options, report)
    for row in rows:
        report.generated += str(row.get("synthetic")).lower() in TRUE
        lists = row.get("pl"), row.get("dir"), row.get("iat")
        flow = build_flow(row.get("label"), *lists, row.get("proto"), row.get("session"), options, report)
        if flow:
            yield flow


def _json_rows(path: Path, report: Report) -> Iterator[dict[str, Any]]:
    with open_text(path) as file:
        while line := file.readline(LONGEST_LINE):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield row
            else:
                report.count("lines that are no JSON object")


def _csv_rows(path: Path, options: Options, report: Report) -> Iterator[dict[str, Any]]:
    required = PACKET_COLUMNS if options.label else ("label", *PACKET_COLUMNS)
    for row in csv_rows(path, report):
        missing = [name for name in required if name not in row]
        if missing:
            raise EdgegenError(f"{path} has no column {', '.join(missing)}: give a table with {', '.join(required)}")
        try:
            yield row | {name: json.loads(row[name]) for name in PACKET_COLUMNS}
        except (ValueError, RecursionError):
            report.count("rows whose pl, dir and iat are no lists")
