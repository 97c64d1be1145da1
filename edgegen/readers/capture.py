"""pcap and pcapng framing -> packets with whole-nanosecond times.

Read here and not with dpkt, whose times are floats: a float of today's date is exact to 240 ns only.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from edgegen.errors import EdgegenError
from edgegen.readers.report import Report

NANOSECONDS = 1_000_000_000
# What libpcap itself accepts; a longer record is a damaged length field.
LONGEST_PACKET = 262_144
LONGEST_BLOCK = 16 << 20

# First four bytes of a pcap file -> byte order, nanoseconds per unit of the fraction field.
PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
# Reads the same in both byte orders, and is a section block's type.
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
BYTE_ORDER = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}

# Block types.
INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 1, 2, 3, 6
OPT_TSRESOL, OPT_TSOFFSET = 9, 14

CUT_SHORT = "captures that end in the middle of a packet: what came before was read"
DAMAGED = "captures with a damaged packet header: what came before was read"


class Packet(NamedTuple):
    """time: nanoseconds since 1970; link: LINKTYPE_ number; data: bytes captured; size: bytes on the wire."""

    time: int
    link: int
    data: bytes
    size: int


def read_packets(file: IO[bytes], name: str, report: Report) -> Iterator[Packet]:
    """The packets of a capture, one at a time.

    A capture that is cut short or damaged ends at the damage, which is counted in `report`.
    Raises EdgegenError where `file` (called `name`) is no capture at all.
    """
    magic = file.read(4)
    if magic in PCAP_MAGIC:
        yield from _read_pcap(file, name, report, *PCAP_MAGIC[magic])
    elif magic == PCAPNG_MAGIC:
        yield from _read_pcapng(file, report)
    else:
        raise EdgegenError(f"{name} is not a capture: give a pcap or pcapng file")


def _read_pcap(file: IO[bytes], name: str, report: Report, order: str, unit: int) -> Iterator[Packet]:
    header = file.read(20)
    if len(header) < 20:
        raise EdgegenError(f"{name} ends inside its file header: capture it again")
    # The upper bits of the link field say how long a frame check sequence is.
    link = struct.unpack(order + "I", header[16:20])[0] & 0xFFFF
    record = struct.Struct(order + "IIII")
    while header := file.read(16):
        if len(header) < 16:
            report.count(CUT_SHORT)
            return
        seconds, fraction, captured, size = record.unpack(header)
        if captured > LONGEST_PACKET:
            report.count(DAMAGED)
            return
        data = file.read(captured)
        if len(data) < captured:
            report.count(CUT_SHORT)
            return
        yield Packet(seconds * NANOSECONDS + fraction * unit, link, data, max(size, captured))


@dataclass(frozen=True)
class _Interface:
    """link: LINKTYPE_ number; ticks: clock ticks in a second; offset: seconds to add to every time."""

    link: int
    ticks: int = 1_000_000
    offset: int = 0


def _read_pcapng(file: IO[bytes], report: Report) -> Iterator[Packet]:
    order: str | None = None
    interfaces: list[_Interface] = []
    head = PCAPNG_MAGIC + file.read(4)
    while head:
        if head[:4] == PCAPNG_MAGIC:
            # A section has its own byte order, named after the length that is written in it.
            interfaces = []
            head += file.read(4)
            order = BYTE_ORDER.get(head[8:])
        if len(head) < 8:
            report.count(CUT_SHORT)
            return
        if order is None:
            report.count(DAMAGED)
            return
        kind, length = struct.unpack(order + "II", head[:8])
        if length % 4 or not len(head) + 4 <= length <= LONGEST_BLOCK:
            report.count(DAMAGED)
            return
        rest = file.read(length - len(head))
        if len(rest) < length - len(head):
            report.count(CUT_SHORT)
            return
        if rest[-4:] != head[4:8]:
            report.count(DAMAGED)
            return
        if kind == INTERFACE:
            interfaces.append(_interface(rest[:-4], order))
        elif kind in (ENHANCED_PACKET, OLD_PACKET):
            packet = _block_packet(rest[:-4], order, kind, interfaces)
            if packet is None:
                report.count("packets in a damaged pcapng block")
            else:
                yield packet
        elif kind == SIMPLE_PACKET:
            report.count("packets that the capture gives no time for")
        head = file.read(8)


def _interface(body: bytes, order: str) -> _Interface:
    """The interface a description block names; a damaged option leaves its default."""
    if len(body) < 8:
        return _Interface(-1)
    link = struct.unpack(order + "H", body[:2])[0]
    ticks, offset, at = 1_000_000, 0, 8
    while at + 4 <= len(body):
        code, length = struct.unpack(order + "HH", body[at : at + 4])
        value = body[at + 4 : at + 4 + length]
        if code == 0:
            break
        if code == OPT_TSRESOL and len(value) == 1:
            exponent = value[0] & 0x7F
            ticks = 2**exponent if value[0] & 0x80 else 10**exponent
        elif code == OPT_TSOFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
        at += 4 + (length + 3) // 4 * 4
    return _Interface(link, ticks, offset)


def _block_packet(body: bytes, order: str, kind: int, interfaces: list[_Interface]) -> Packet | None:
    if len(body) < 20:
        return None
    number, high, low, captured, size = struct.unpack(order + "IIIII", body[:20])
    if kind == OLD_PACKET:
        number = struct.unpack(order + "H", body[:2])[0]
    if number >= len(interfaces) or captured > len(body) - 20:
        return None
    interface = interfaces[number]
    time = (high << 32 | low) * NANOSECONDS // interface.ticks + interface.offset * NANOSECONDS
    return Packet(time, interface.link, body[20 : 20 + captured], max(size, captured))
