"""Captures (pcap, pcapng) -> flows, streaming."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgegen.errors import EdgegenError
from edgegen.flow import Flow, unicode
from edgegen.readers.biflow import Biflow, BiflowTable
from edgegen.readers.capture import read_packets
from edgegen.readers.frame import Skip, segment_of
from edgegen.readers.ndpi import Applications
from edgegen.readers.options import Options
from edgegen.readers.report import Report
from edgegen.readers.source import UNREADABLE, open_bytes, stem


def read_biflows(file: IO[bytes], name: str, options: Options, report: Report) -> Iterator[Biflow]:
    """The biflows of an open capture, each as soon as it is complete.

    Packets that hold no TCP or UDP segment are counted in `report`. Raises EdgegenError where `file` (called
    `name`) is no capture or holds no packet.
    """
    table = BiflowTable(options.idle_timeout, options.max_packets, options.keep_empty, report)
    seen = 0
    try:
        for packet in read_packets(file, name, report):
            seen += 1
            report.records += 1
            try:
                segment = segment_of(packet.link, packet.data, packet.size)
            except Skip as skip:
                report.count(str(skip))
                continue
            if segment.first_fragment:
                report.count("packets of which only the first IP fragment counts")
            yield from table.add(packet.time, segment)
    except UNREADABLE:
        # Where what came before a break is kept, it is not to be the longest flows alone.
        yield from table.close()
        raise
    if not seen:
        raise EdgegenError(f"{name} is a capture without a whole packet: there is nothing to import")
    yield from table.close()


def read(path: Path, options: Options, report: Report) -> Iterator[Flow]:
    """The flows of a capture, labelled by `options`; the session is the capture's stem."""
    session = unicode(stem(path))
    applications = Applications(path, options.idle_timeout) if options.label_by == "ndpi" else None
    with open_bytes(path) as file:
        for biflow in read_biflows(file, path.name, options, report):
            label = unicode(applications.of(biflow) if applications else options.label or session)
            yield Flow(label, biflow.pl, biflow.dir, biflow.iat, biflow.proto, session)
