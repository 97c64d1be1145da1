"""tcbench-style parquet -> flows: pkts_size, pkts_dir, timetofirst (seconds since the first packet), app.

Data sets in this form disagree on the sign of a direction, so the sender of the first packet is the client.
Sizes are taken as they stand.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from edgegen.flow import Flow
from edgegen.readers.build import build_flow
from edgegen.readers.options import Options
from edgegen.readers.parquet import parquet_rows
from edgegen.readers.report import Report
from edgegen.readers.source import stem


def read(path: Path, options: Options, report: Report) -> Iterator[Flow]:
    """The flows of a tcbench parquet; session from `fname` where it has that column."""
    required = ["pkts_size", "pkts_dir", "timetofirst"] + ([] if options.label else ["app"])
    for row in parquet_rows(path, required, ["app", "ip_proto", "fname"]):
        try:
            iat = [0.0, *(later - sooner for sooner, later in pairwise(row["timetofirst"]))]
            direction = [int(way != row["pkts_dir"][0]) for way in row["pkts_dir"]]
        except TypeError:
            report.count("rows without packet times or directions")
            continue
        session = row.get("fname") or stem(path)
        flow = build_flow(
            row.get("app"), row["pkts_size"], direction, iat, row.get("ip_proto"), session, options, report
        )
        if flow:
            yield flow
