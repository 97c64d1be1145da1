"""Captures (pcap, pcapng) -> flows, streaming."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from edgegen.errors import EdgegenError
from edgegen.flow import Flow, unicode
from edgegen.readers.biflow import Biflow, BiflowTable
from edgegen.readers.capture import Packet, read_packets
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
    first = report.records
    try:
        for packet in steady(_counted(read_packets(file, name, report), report), table.idle, report):
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
    if report.records == first:
        raise EdgegenError(f"{name} is a capture without a whole packet: there is nothing to import")
    yield from table.close()


def _counted(packets: Iterable[Packet], report: Report) -> Iterator[Packet]:
    for packet in packets:
        report.records += 1
        yield packet


def steady(packets: Iterable[Packet], idle: int, report: Report) -> Iterator[Packet]:
    """The packets but for single ones whose time is far from that of those before and after, which are counted.

    Believed, one wrong time would end all flows under way. A gap in the capture is one that the next packet confirms.
    idle: ns that are far
    """
    last: Packet | None = None
    doubtful: Packet | None = None
    for packet in packets:
        if doubtful is not None and last is not None:
            if abs(packet.time - last.time) <= idle < abs(packet.time - doubtful.time):
                report.count("packets with a time far from those around them: left out")
            else:
                yield doubtful
                last = doubtful
            doubtful = None
        if last is not None and abs(packet.time - last.time) > idle:
            doubtful = packet
            continue
        last = packet
        yield packet
    if doubtful is not None:
        yield doubtful


def read(path: Path, options: Options, report: Report) -> Iterator[Flow]:
    """The flows of a capture, labelled by `options`; the session is the capture's stem."""
    session = unicode(stem(path))
    applications = Applications(path, options.idle_timeout) if options.label_by == "ndpi" else None
    with open_bytes(path) as file:
        for biflow in read_biflows(file, path.name, options, report):
            label = unicode(applications.of(biflow, report) if applications else options.label or session)
            yield Flow(label, biflow.pl, biflow.dir, biflow.iat, biflow.proto, session)
