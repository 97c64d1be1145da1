"""CESNET's CSV (TLS, QUIC) -> flows.

The packets are one JSON string, the column PPI: a row of times in ms, one of directions (+1 client to server,
-1 back), one of payload sizes, and in some releases one of push flags.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from edgegen.errors import EdgegenError
from edgegen.flow import Flow
from edgegen.readers.build import build_flow
from edgegen.readers.options import Options
from edgegen.readers.report import Report
from edgegen.readers.source import csv_rows, stem

MILLISECONDS = 1000
DIRECTIONS = {1: 0, -1: 1}


def read(path: Path, options: Options, report: Report) -> Iterator[Flow]:
    """The flows of a CESNET CSV: label from APP, session from the file. EdgegenError where `path` is none."""
    for row in csv_rows(path, report):
        if "PPI" not in row or not (options.label or "APP" in row):
            raise EdgegenError(f"{path} has no columns PPI and APP: give a CESNET CSV, or --label in place of APP")
        try:
            times, ways, sizes = json.loads(row["PPI"])[:3]
            # Some releases pad to 30 packets with zeros; no real direction is zero.
            count = ways.index(0) if 0 in ways else len(ways)
            iat = [time / MILLISECONDS for time in times[:count]]
            direction = [DIRECTIONS[way] for way in ways[:count]]
            pl = sizes[:count]
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            report.count("rows whose PPI is no list of times, directions and sizes")
            continue
        flow = build_flow(row.get("APP"), pl, direction, iat, row.get("PROTOCOL"), stem(path), options, report)
        if flow:
            yield flow
