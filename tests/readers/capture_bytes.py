"""Captures built byte by byte, layer by layer."""

import struct

CLIENT4, SERVER4 = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
CLIENT6, SERVER6 = bytes(15) + b"\x01", bytes(15) + b"\x02"
SYN, SYN_ACK, ACK, FIN, RST = 2, 18, 16, 17, 4
START = 1_700_000_000_123_456_789


def tcp(payload: int, flags: int = ACK, sport: int = 40_000, dport: int = 443, options: bytes = b"") -> bytes:
    offset = (20 + len(options)) // 4 << 4
    return struct.pack(">HHIIBBHHH", sport, dport, 1, 1, offset, flags, 1024, 0, 0) + options + bytes(payload)


def udp(payload: int, sport: int = 40_000, dport: int = 53) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + payload, 0) + bytes(payload)


def ipv4(
    body: bytes,
    proto: int,
    src: bytes = CLIENT4,
    dst: bytes = SERVER4,
    fragment: int = 0,
    options: bytes = b"",
    total: int | None = None,
) -> bytes:
    header = 20 + len(options)
    total = header + len(body) if total is None else total
    head = struct.pack(">BBHHHBBH", 0x40 | header // 4, 0, total, 1, fragment, 64, proto, 0)
    return head + src + dst + options + body


def ipv6(body: bytes, proto: int, src: bytes = CLIENT6, dst: bytes = SERVER6, extensions: bytes = b"") -> bytes:
    """`extensions` end in the header before the transport; `proto` is the first header's number."""
    return struct.pack(">IHBB", 6 << 28, len(extensions) + len(body), proto, 64) + src + dst + extensions + body


def ethertype_of(ip: bytes) -> bytes:
    return b"\x08\x00" if ip[0] >> 4 == 4 else b"\x86\xdd"


def ethernet(ip: bytes, tags: tuple[int, ...] = ()) -> bytes:
    vlans = b"".join(struct.pack(">HH", tag, 5) for tag in tags)
    return bytes(12) + vlans + ethertype_of(ip) + ip


def cooked(ip: bytes) -> bytes:
    return bytes(14) + ethertype_of(ip) + ip


def cooked2(ip: bytes) -> bytes:
    return ethertype_of(ip) + bytes(18) + ip


def loopback(ip: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "I", 2 if ip[0] >> 4 == 4 else 30) + ip


def pcap(
    packets: list[tuple[int, bytes]],
    order: str = "<",
    nano: bool = True,
    link: int = 1,
    snaplen: int = 65_535,
) -> bytes:
    """packets: time in ns and frame."""
    magic, unit = (0xA1B23C4D, 1) if nano else (0xA1B2C3D4, 1000)
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    for time, frame in packets:
        seconds, fraction = divmod(time, 1_000_000_000)
        cut = frame[:snaplen]
        parts += [struct.pack(order + "IIII", seconds, fraction // unit, len(cut), len(frame)), cut]
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order: str = "<", link: int = 1, resolution: int | None = 9, offset: int | None = None) -> bytes:
    """resolution: the byte of if_tsresol, None to leave the option out; offset: seconds of if_tsoffset."""
    options = b""
    if resolution is not None:
        options += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options + bytes(4), order)


def enhanced(ticks: int, frame: bytes, order: str = "<", number: int = 0) -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame, order)


def pcapng(packets: list[tuple[int, bytes]], order: str = "<", link: int = 1) -> bytes:
    """packets: time in ns and frame."""
    return section(order) + interface(order, link) + b"".join(enhanced(t, frame, order) for t, frame in packets)
