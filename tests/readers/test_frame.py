import struct
from collections.abc import Callable

import capture_bytes as make
import pytest

from edgegen.flow import TCP, UDP
from edgegen.readers.frame import ETHERNET, LOOP, NULL, RAW, SLL, SLL2, Segment, Skip, segment_of

HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION, AUTHENTICATION = 0, 43, 44, 60, 51


def segment(link: int, frame: bytes) -> Segment:
    return segment_of(link, frame, len(frame))


@pytest.mark.parametrize(
    ("link", "wrap"),
    [
        (ETHERNET, make.ethernet),
        (ETHERNET, lambda ip: make.ethernet(ip, (0x8100,))),
        (ETHERNET, lambda ip: make.ethernet(ip, (0x88A8, 0x8100))),
        (SLL, make.cooked),
        (SLL2, make.cooked2),
        (NULL, make.loopback),
        (NULL, lambda ip: make.loopback(ip, ">")),
        (LOOP, lambda ip: make.loopback(ip, ">")),
        (RAW, bytes),
        (12, bytes),
    ],
    ids=["ethernet", "vlan", "qinq", "sll", "sll2", "null", "null-big", "loop", "raw", "raw-bsd"],
)
def test_link_layers(link: int, wrap: Callable[[bytes], bytes]) -> None:
    client4, server4 = (make.CLIENT4, 40_000), (make.SERVER4, 443)
    got = segment(link, wrap(make.ipv4(make.tcp(100, make.SYN), TCP)))
    assert got == Segment(TCP, client4, server4, 100, make.SYN, False)
    client6, server6 = (make.CLIENT6, 40_000), (make.SERVER6, 53)
    assert segment(link, wrap(make.ipv6(make.udp(33), UDP))) == Segment(UDP, client6, server6, 33, 0, False)


def test_padding_of_a_short_frame_is_not_payload() -> None:
    assert segment(ETHERNET, make.ethernet(make.ipv4(make.tcp(0), TCP)) + bytes(6)).pl == 0


def test_a_packet_cut_by_the_capture_keeps_its_length() -> None:
    frame = make.ethernet(make.ipv4(make.tcp(1000), TCP))
    assert segment_of(ETHERNET, frame[:60], len(frame)).pl == 1000


def test_header_options_are_not_payload() -> None:
    ip = make.ipv4(make.tcp(7, options=bytes(12)), TCP, options=bytes(8))
    assert segment(RAW, ip).pl == 7


def test_ipv6_extension_headers_are_walked() -> None:
    extensions = bytes([ROUTING, 0]) + bytes(6)
    extensions += bytes([AUTHENTICATION, 1]) + bytes(14)
    extensions += bytes([DESTINATION, 4]) + bytes(22)
    extensions += bytes([UDP, 0]) + bytes(6)
    got = segment(RAW, make.ipv6(make.udp(50), HOP_BY_HOP, extensions=extensions))
    assert (got.proto, got.pl, got.src[1], got.dst[1]) == (UDP, 50, 40_000, 53)


def test_fragments() -> None:
    first = segment(RAW, make.ipv4(make.udp(800), UDP, fragment=0x2000))
    assert (first.pl, first.first_fragment) == (800, True)
    with pytest.raises(Skip, match="fragments"):
        segment(RAW, make.ipv4(bytes(800), UDP, fragment=0x2064))
    header = struct.pack(">BBHI", UDP, 0, 1, 9)
    assert segment(RAW, make.ipv6(make.udp(80), FRAGMENT, extensions=header)).first_fragment
    with pytest.raises(Skip, match="fragments"):
        segment(RAW, make.ipv6(bytes(80), FRAGMENT, extensions=struct.pack(">BBHI", UDP, 0, 8, 9)))


@pytest.mark.parametrize(
    ("link", "frame", "reason"),
    [
        (ETHERNET, bytes(12) + b"\x08\x06" + bytes(40), "other than IP"),
        (ETHERNET, bytes(12) + b"\x81\x00", "other than IP"),
        (ETHERNET, b"", "other than IP"),
        (NULL, bytes(40), "other than IP"),
        (147, bytes(40), "link type 147"),
        (RAW, b"", "too short"),
        (RAW, b"\x45" + bytes(10), "too short"),
        (RAW, b"\x60" + bytes(30), "too short"),
        (RAW, b"\x95" + bytes(60), "IP version"),
        (RAW, make.ipv4(bytes(20), 1), "other than TCP and UDP"),
        (RAW, make.ipv4(make.tcp(5), TCP, total=200), "wrong length in the IP"),
        (RAW, make.ipv4(make.tcp(5), TCP, total=10), "wrong length in the IP"),
        (RAW, make.ipv6(make.tcp(5), TCP)[:60], "wrong length in the IP"),
        (RAW, make.ipv4(bytes(7), UDP), "no room"),
        (RAW, make.ipv4(make.tcp(0)[:12] + b"\x10" + bytes(7), TCP), "wrong length in the TCP"),
        (RAW, make.ipv4(make.tcp(0)[:12] + b"\xf0" + bytes(7), TCP), "wrong length in the TCP"),
        (RAW, make.ipv6(b"", HOP_BY_HOP), "too short"),
    ],
)
def test_what_holds_no_segment_is_skipped_with_a_reason(link: int, frame: bytes, reason: str) -> None:
    with pytest.raises(Skip, match=reason):
        segment(link, frame)


def test_a_packet_cut_inside_its_transport_header_is_skipped() -> None:
    frame = make.ipv4(make.tcp(100), TCP)
    with pytest.raises(Skip, match="too short to hold a TCP or UDP"):
        segment_of(RAW, frame[:30], len(frame))


def test_a_length_that_the_network_card_fills_in_is_that_of_the_frame() -> None:
    assert segment(ETHERNET, make.ethernet(make.ipv4(make.tcp(30_000), TCP, total=0))).pl == 30_000
    six = bytearray(make.ipv6(make.tcp(30_000), TCP))
    six[4:6] = bytes(2)
    assert segment(RAW, bytes(six)).pl == 30_000
    with pytest.raises(Skip, match="more than 65,535 bytes of payload"):
        segment(RAW, make.ipv4(make.tcp(70_000), TCP, total=0))
