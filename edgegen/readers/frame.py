"""A captured frame -> its TCP or UDP segment: link layer, VLAN tags, IP headers, fragments.

Lengths come from the IP header where it has one, never from the captured bytes: a capture may be cut, a short frame
is padded.
"""

from typing import NamedTuple

from edgegen.flow import MAX_PL, TCP, UDP

ETHERNET, NULL, RAW, LOOP, SLL, SLL2 = 1, 0, 101, 108, 113, 276
# 12 and 14 are what some systems write for raw IP; 228 and 229 are raw IPv4 and IPv6.
RAW_LINKS = {12, 14, RAW, 228, 229}
VLAN_TAGS = {0x8100, 0x88A8, 0x9100, 0x9200, 0x9300}
IPV4, IPV6 = 0x0800, 0x86DD
# AF_INET and the numbers that BSD, Linux, macOS and Windows give AF_INET6.
LOOPBACK_FAMILIES = {2, 10, 23, 24, 28, 30}

FRAGMENT, AUTHENTICATION = 44, 51
# Hop-by-hop, routing, destination options, mobility, HIP, shim6: all carry their length in the second byte.
EXTENSIONS = {0, 43, 60, 135, 139, 140}

FIN, SYN, RST, ACK = 1, 2, 4, 16


class Skip(Exception):
    """Why a frame holds no segment; the message reads after a number."""


class Segment(NamedTuple):
    """proto: 6 or 17; src, dst: (address bytes, port); pl: payload bytes; flags: of TCP, 0 for UDP;
    first_fragment: the datagram goes on in fragments that are not counted."""

    proto: int
    src: tuple[bytes, int]
    dst: tuple[bytes, int]
    pl: int
    flags: int
    first_fragment: bool


def segment_of(link: int, data: bytes, size: int) -> Segment:
    """The segment in a frame of `size` bytes, of which `data` was captured. Raises Skip if there is none."""
    at = _ip_offset(link, data)
    if at >= len(data):
        raise Skip("packets captured too short to hold an IP header")
    version = data[at] >> 4
    if version == 4:
        return _ipv4(data, at, size)
    if version == 6:
        return _ipv6(data, at, size)
    raise Skip("packets with an IP version other than 4 and 6")


def _ip_offset(link: int, data: bytes) -> int:
    """Where the IP header starts."""
    if link in RAW_LINKS:
        return 0
    if link in (NULL, LOOP):
        # Written in the byte order of the machine that captured, whatever the file's is.
        family = min(int.from_bytes(data[:4], "big"), int.from_bytes(data[:4], "little"))
        if family not in LOOPBACK_FAMILIES:
            raise Skip("packets other than IP (ARP and the like)")
        return 4
    if link == ETHERNET:
        return _ethertype(data, 12, 14)
    if link == SLL:
        return _ethertype(data, 14, 16)
    if link == SLL2:
        return _ethertype(data, 0, 20)
    raise Skip(f"packets of link type {link}, which is not supported")


def _ethertype(data: bytes, type_at: int, body_at: int) -> int:
    ethertype = int.from_bytes(data[type_at : type_at + 2], "big")
    while ethertype in VLAN_TAGS:
        ethertype = int.from_bytes(data[body_at + 2 : body_at + 4], "big")
        body_at += 4
    if ethertype not in (IPV4, IPV6):
        raise Skip("packets other than IP (ARP and the like)")
    return body_at


def _ipv4(data: bytes, at: int, size: int) -> Segment:
    if len(data) < at + 20:
        raise Skip("packets captured too short to hold an IP header")
    header = (data[at] & 15) * 4
    # 0 is for the network card to fill in, which cuts the packet into several (segmentation offload).
    total = int.from_bytes(data[at + 2 : at + 4], "big") or size - at
    if header < 20 or not header <= total <= size - at:
        raise Skip("packets with a wrong length in the IP header")
    fragment = int.from_bytes(data[at + 6 : at + 8], "big")
    if fragment & 0x1FFF:
        raise Skip("IP fragments after the first")
    src, dst = data[at + 12 : at + 16], data[at + 16 : at + 20]
    return _transport(data, at + header, total - header, data[at + 9], src, dst, bool(fragment & 0x2000))


def _ipv6(data: bytes, at: int, size: int) -> Segment:
    if len(data) < at + 40:
        raise Skip("packets captured too short to hold an IP header")
    # 0 as in IPv4, or beyond 65,535 bytes.
    left = int.from_bytes(data[at + 4 : at + 6], "big") or size - at - 40
    if left > size - at - 40:
        raise Skip("packets with a wrong length in the IP header")
    src, dst = data[at + 8 : at + 24], data[at + 24 : at + 40]
    proto, at, more = data[at + 6], at + 40, False
    while proto in EXTENSIONS or proto in (FRAGMENT, AUTHENTICATION):
        if len(data) < at + 8:
            raise Skip("packets captured too short to hold an IP header")
        if proto == FRAGMENT:
            fragment = int.from_bytes(data[at + 2 : at + 4], "big")
            if fragment >> 3:
                raise Skip("IP fragments after the first")
            more, length = bool(fragment & 1), 8
        elif proto == AUTHENTICATION:
            length = (data[at + 1] + 2) * 4
        else:
            length = (data[at + 1] + 1) * 8
        proto, at, left = data[at], at + length, left - length
    return _transport(data, at, left, proto, src, dst, more)


def _transport(data: bytes, at: int, left: int, proto: int, src: bytes, dst: bytes, more: bool) -> Segment:
    """The segment at `at`, of which the IP header says that it has `left` bytes."""
    if proto not in (TCP, UDP):
        raise Skip("IP packets other than TCP and UDP")
    if left < (20 if proto == TCP else 8):
        raise Skip("packets with no room for their TCP or UDP header")
    if len(data) < at + (14 if proto == TCP else 4):
        raise Skip("packets captured too short to hold a TCP or UDP header")
    header, flags = 8, 0
    if proto == TCP:
        header, flags = (data[at + 12] >> 4) * 4, data[at + 13]
        if not 20 <= header <= left:
            raise Skip("packets with a wrong length in the TCP header")
    sport, dport = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
    if left - header > MAX_PL:
        raise Skip(f"packets with more than {MAX_PL:,} bytes of payload")
    return Segment(proto, (src, sport), (dst, dport), left - header, flags, more)
