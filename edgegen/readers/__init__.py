"""Captures and data sets in: one file per format, all of them streaming.

capture.py frame.py biflow.py   bytes -> packets -> segments -> biflows
pcap.py mirage.py cesnet.py tcbench.py table.py   one format each, `read(path, options, report)`
"""

from collections.abc import Iterator
from pathlib import Path

from edgegen.flow import Flow
from edgegen.readers import pcap
from edgegen.readers.options import Options
from edgegen.readers.report import Report


def open_flows(path: Path, options: Options, report: Report) -> Iterator[Flow]:
    """The flows of one file, as they come."""
    for flow in pcap.read(path, options, report):
        report.flows += 1
        yield flow
