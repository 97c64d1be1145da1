"""Flows -> a classic pcap of valid frames: Ethernet, IPv4, and TCP with its handshake or UDP.

Payload lengths, directions and times are the flow's; what a flow does not say is made up, the same each
time: addresses are those kept for documentation (RFC 5737), ports lie where no protocol is expected, payload
is a pattern. The server's port tells the label: the n-th label to appear (n from 0) has port 50000 + n.
A flow without a transport is written as TCP. A UDP flow that the server starts reads back with its ends
exchanged, since nothing in it but the first packet tells the client.

Packets above the MTU are single large frames, as segmentation offload shows them in captures. Only a payload
that no IPv4 packet holds (above 65,495 bytes in TCP, 65,507 in UDP) is split into two packets of one time;
for a real wire `frames` splits what its MTU does not hold in the same way.
A zero-payload packet is an empty datagram or a pure ACK; with nothing new to acknowledge, a duplicate ACK.
"""

import heapq
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from edgegen.errors import EdgegenError
from edgegen.flow import TCP, UDP, Flow

MICROSECONDS = 1_000_000
EPOCH_US = 1_767_225_600 * MICROSECONDS  # 2026-01-01T00:00:00Z, the first frame
STAGGER_US = 10_000  # between the starts of two flows
ROUND_TRIP_US = 10_000  # of the handshake and the close
LONGEST_GAP = 1e12  # seconds between two packets; far longer ones are no numbers to reckon with
OPEN_FLOWS = 1_024  # more do not run at the same time, which bounds memory
SNAP_LENGTH = 262_144

CLIENTS, SERVERS = bytes((192, 0, 2)), bytes((198, 51, 100))
HOSTS = 254
# Two ranges of the dynamic ports in which Wireshark expects no protocol.
SERVER_PORTS = 50_000
CLIENT_PORTS = 61_440
PORTS = 4_096  # in either range; with the hosts enough for 264 million different flows

IP_MAX = 65_535
IP_HEADER, TCP_HEADER, UDP_HEADER = 20, 20, 8
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
WINDOW = 65_535
WINDOW_SCALE = 14
SYN_OPTIONS = bytes((2, 4, 0x05, 0xB4, 1, 3, 3, WINDOW_SCALE))  # MSS 1460, no-op, window scale
UNACKNOWLEDGED_MAX = 1 << 28  # bytes, a quarter of the scaled window

# 251 is prime, so that the pattern does not repeat where packets are powers of two; all bytes have the top
# bit set, which no text protocol does.
PATTERN_PERIOD = 251
PATTERN = bytes(0x80 | (i * 89 + 7) % 127 for i in range(PATTERN_PERIOD)) * (2 + IP_MAX // PATTERN_PERIOD)

Frame = tuple[int, bytes]  # microseconds since 1970, bytes from the Ethernet header on


def write_pcap(flows: Iterable[Flow], file: BinaryIO) -> int:
    """Write `flows` as interleaved conversations in order of time; returns how many flows were written."""
    conversations = _Conversations(flows)
    for record in _records(conversations):
        file.write(record)
    return conversations.started


def pcap_parts(flows: Iterable[Flow], size: int = 65_536) -> Iterator[bytes]:
    """The same file in parts of about `size` bytes, each made when it is asked for."""
    part = bytearray()
    for record in _records(_Conversations(flows)):
        part += record
        if len(part) >= size:
            yield bytes(part)
            part.clear()
    yield bytes(part)


def frames(flows: Iterable[Flow], mtu: int) -> Iterator[Frame]:
    """The frames of the same file; a payload whose IP packet is above `mtu` bytes (68 or more) is split."""
    return iter(_Conversations(flows, mtu))


def _records(conversations: "_Conversations") -> Iterator[bytes]:
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP_LENGTH, 1)
    for time_us, frame in conversations:
        seconds, microseconds = divmod(time_us, MICROSECONDS)
        if seconds >= 1 << 32:
            raise EdgegenError("a flow ends after the year 2106, which pcap cannot say: write it to another format")
        yield struct.pack("<IIII", seconds, microseconds, len(frame), len(frame)) + frame


class _Conversations:
    """All frames of all flows in order of time, holding at most OPEN_FLOWS flows and one frame of each."""

    def __init__(self, flows: Iterable[Flow], mtu: int = IP_MAX) -> None:
        self.flows = iter(flows)
        self.mtu = mtu
        self.started = 0
        self.ports: dict[str, int] = {}

    def __iter__(self) -> Iterator[Frame]:
        open_flows: list[tuple[int, int, bytes, Iterator[Frame]]] = []
        start = now = EPOCH_US
        waiting = next(self.flows, None)
        while waiting is not None or open_flows:
            due = not open_flows or open_flows[0][0] >= start
            if waiting is not None and due and len(open_flows) < OPEN_FLOWS:
                frames = self._frames(waiting, max(start, now))
                time_us, frame = next(frames)
                heapq.heappush(open_flows, (time_us, self.started, frame, frames))
                self.started += 1
                start = max(start, now) + STAGGER_US
                waiting = next(self.flows, None)
                continue
            now, number, frame, frames = open_flows[0]
            yield now, frame
            following = next(frames, None)
            if following:
                heapq.heapreplace(open_flows, (following[0], number, following[1], frames))
            else:
                heapq.heappop(open_flows)

    def _frames(self, flow: Flow, start_us: int) -> Iterator[Frame]:
        port = SERVER_PORTS + self.ports.setdefault(flow.label, len(self.ports)) % PORTS
        link = _Link(self.started, UDP if flow.proto == UDP else TCP, port)
        make = _udp_frames if flow.proto == UDP else _tcp_frames
        return make(flow, link, start_us, self.mtu)


class _Link:
    """The two ends of flow `number`, and the frames between them. Side 0 is the client, 1 the server."""

    def __init__(self, number: int, proto: int, server_port: int) -> None:
        round_of_hosts, client = divmod(number, HOSTS)
        round_of_ports, client_port = divmod(round_of_hosts, PORTS)
        server = round_of_ports % HOSTS
        self.number = number
        self.proto = proto
        self.addresses = (CLIENTS + bytes((1 + client,)), SERVERS + bytes((1 + server,)))
        self.ports = (CLIENT_PORTS + client_port, server_port)
        # Locally administered, and different for every host.
        macs = tuple(b"\x02\x00" + address for address in self.addresses)
        self.ethernet = tuple(macs[1 - side] + macs[side] + b"\x08\x00" for side in (0, 1))
        self.packets = [0, 0]

    def frame(self, side: int, segment: bytes) -> bytes:
        """Ethernet and IPv4 around a transport segment sent by `side`."""
        identification = self.packets[side] & 0xFFFF
        self.packets[side] += 1
        length = IP_HEADER + len(segment)
        fixed = struct.pack(">BBHHHBB", 0x45, 0, length, identification, 0x4000, 64, self.proto)
        ends = self.addresses[side] + self.addresses[1 - side]
        return self.ethernet[side] + fixed + _checksum(fixed + ends) + ends + segment

    def pseudo_header(self, side: int, length: int) -> bytes:
        return self.addresses[side] + self.addresses[1 - side] + struct.pack(">HH", self.proto, length)

    def payload(self, side: int, offset: int, length: int) -> bytes:
        """Bytes `offset`.. of what `side` sends: a function of the flow's number, the side and the offset."""
        first = (self.number * 17 + side * 101 + offset) % PATTERN_PERIOD
        return PATTERN[first : first + length]


def _udp_frames(flow: Flow, link: _Link, start_us: int, mtu: int) -> Iterator[Frame]:
    sent = [0, 0]
    for time_us, side, length in _packets(flow, start_us, mtu - IP_HEADER - UDP_HEADER):
        payload = link.payload(side, sent[side], length)
        sent[side] += length
        total = UDP_HEADER + length
        header = struct.pack(">HHH", link.ports[side], link.ports[1 - side], total)
        # Zero would mean that there is no checksum; its other form stands for it.
        checksum = _checksum(link.pseudo_header(side, total) + header + b"\0\0" + payload)
        segment = header + (b"\xff\xff" if checksum == b"\0\0" else checksum) + payload
        yield time_us, link.frame(side, segment)


class _Connection:
    """The sequence numbers of one TCP connection, and its segments."""

    def __init__(self, link: _Link) -> None:
        self.link = link
        # Spread over the whole range by the golden ratio, different for the two sides.
        self.initial = [(link.number * 2 + side) * 2_654_435_761 & 0xFFFFFFFF for side in (0, 1)]
        self.sent = [0, 0]  # sequence numbers used by each side, SYN and FIN included
        self.acknowledged = [0, 0]  # of those, how many the other side has confirmed

    def frame(self, side: int, flags: int, length: int = 0, options: bytes = b"") -> bytes:
        """The next frame of `side`, which acknowledges all that has come (but in a first SYN)."""
        other = 1 - side
        sequence = self.initial[side] + self.sent[side] & 0xFFFFFFFF
        acknowledge = 0
        if flags & ACK:
            acknowledge = self.initial[other] + self.sent[other] & 0xFFFFFFFF
            self.acknowledged[other] = self.sent[other]
        ends = (self.link.ports[side], self.link.ports[other])
        words = (TCP_HEADER + len(options)) // 4
        header = struct.pack(">HHIIBBH", *ends, sequence, acknowledge, words << 4, flags, WINDOW)
        # The SYN takes the first sequence number, the payload those after it.
        payload = self.link.payload(side, self.sent[side] - 1, length)
        rest = b"\0\0" + options + payload
        pseudo = self.link.pseudo_header(side, len(header) + 2 + len(rest))
        self.sent[side] += length + (flags & SYN > 0) + (flags & FIN > 0)
        return self.link.frame(side, header + _checksum(pseudo + header + b"\0\0" + rest) + rest)


def _tcp_frames(flow: Flow, link: _Link, start_us: int, mtu: int) -> Iterator[Frame]:
    connection = _Connection(link)
    yield start_us, connection.frame(0, SYN, options=SYN_OPTIONS)
    yield start_us + ROUND_TRIP_US, connection.frame(1, SYN | ACK, options=SYN_OPTIONS)
    yield start_us + ROUND_TRIP_US, connection.frame(0, ACK)
    last = start_us
    for time_us, side, length in _packets(flow, start_us + ROUND_TRIP_US, mtu - IP_HEADER - TCP_HEADER):
        if connection.sent[side] - connection.acknowledged[side] + length > UNACKNOWLEDGED_MAX:
            yield time_us, connection.frame(1 - side, ACK)
        yield time_us, connection.frame(side, PSH | ACK if length else ACK, length)
        last = time_us
    yield last + ROUND_TRIP_US, connection.frame(0, FIN | ACK)
    yield last + 2 * ROUND_TRIP_US, connection.frame(1, FIN | ACK)
    yield last + 2 * ROUND_TRIP_US, connection.frame(0, ACK)


def _packets(flow: Flow, start_us: int, biggest: int) -> Iterator[tuple[int, int, int]]:
    """(microseconds, side, payload bytes) of each packet, those above `biggest` bytes in parts of it."""
    time_us = start_us
    for pl, side, iat in zip(flow.pl, flow.dir, flow.iat, strict=True):
        if iat > LONGEST_GAP:
            raise EdgegenError(f"a flow of {flow.label} has a packet {iat:g} seconds after another: leave it out")
        time_us += round(iat * MICROSECONDS)
        while pl > biggest:
            yield time_us, side, biggest
            pl -= biggest
        yield time_us, side, pl


def _checksum(data: bytes) -> bytes:
    """The Internet checksum: adding 16-bit words with end-around carry is arithmetic modulo 65,535."""
    padded = data if len(data) % 2 == 0 else data + b"\0"
    # A sum that is a multiple of 65,535 is all ones (never zero: addresses are not), its complement zero.
    return ((0xFFFF - int.from_bytes(padded, "big") % 0xFFFF) % 0xFFFF).to_bytes(2, "big")
