import io
import struct
from pathlib import Path

import capture_bytes as make
import pytest

from edgegen.errors import EdgegenError
from edgegen.readers.capture import CUT_SHORT, DAMAGED, Packet, read_packets
from edgegen.readers.report import Report

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "pcap"
# Two interfaces with clocks of their own; dpkt reads the second's times with the first's clock.
TWO_CLOCKS = {"stun_google_meet.pcapng"}
FRAMES = [(make.START, b"one"), (make.START + 1, b"second"), (make.START + 3_000_000_000, b"")]


def packets_of(data: bytes) -> tuple[list[Packet], Report]:
    report = Report()
    return list(read_packets(io.BytesIO(data), "x.pcap", report)), report


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcap_in_nanoseconds_is_exact(order: str) -> None:
    packets, report = packets_of(make.pcap(FRAMES, order))
    assert [(p.time, p.data) for p in packets] == FRAMES
    assert not report.reasons


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcap_in_microseconds_is_exact_to_the_microsecond(order: str) -> None:
    packets, _ = packets_of(make.pcap(FRAMES, order, nano=False))
    assert [p.time for p in packets] == [t // 1000 * 1000 for t, _ in FRAMES]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_in_both_byte_orders(order: str) -> None:
    packets, report = packets_of(make.pcapng(FRAMES, order))
    assert [(p.time, p.data) for p in packets] == FRAMES
    assert not report.reasons


@pytest.mark.parametrize(
    ("resolution", "ticks", "nanoseconds"),
    [
        (None, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (3, 1_700_000_000_123, 1_700_000_000_123_000_000),
        (0x80 | 10, 1_700_000_000 * 1024 + 1, 1_700_000_000_000_976_562),
    ],
)
def test_pcapng_clock_resolutions(resolution: int | None, ticks: int, nanoseconds: int) -> None:
    data = make.section() + make.interface(resolution=resolution) + make.enhanced(ticks, b"x")
    assert packets_of(data)[0][0].time == nanoseconds


def test_pcapng_time_offset_is_added() -> None:
    data = make.section() + make.interface(offset=1_700_000_000) + make.enhanced(5, b"x")
    assert packets_of(data)[0][0].time == 1_700_000_000_000_000_005


def test_pcapng_interfaces_have_their_own_link_and_a_section_forgets_them() -> None:
    data = make.section() + make.interface(link=1) + make.interface(link=101) + make.enhanced(1, b"x", number=1)
    data += make.section(">") + make.interface(">", link=113) + make.enhanced(2, b"y", ">")
    packets, _ = packets_of(data)
    assert [p.link for p in packets] == [101, 113]


def test_pcapng_old_packet_block() -> None:
    body = struct.pack("<HHIIII", 0, 0, 0, 7, 2, 2) + b"ab"
    packets, _ = packets_of(make.section() + make.interface() + make.block(2, body))
    assert packets == [Packet(7, 1, b"ab", 2)]


def test_pcapng_packets_without_a_time_or_an_interface_are_counted() -> None:
    data = make.section() + make.interface()
    data += make.block(3, struct.pack("<I", 1) + b"x") + make.enhanced(1, b"x", number=9) + make.enhanced(2, b"y")
    packets, report = packets_of(data)
    assert [p.data for p in packets] == [b"y"]
    assert report.reasons.total() == 2


def test_unknown_pcapng_blocks_are_passed_over() -> None:
    data = make.section() + make.interface() + make.block(0xBAD, b"abcde") + make.enhanced(2, b"y")
    packets, report = packets_of(data)
    assert len(packets) == 1
    assert not report.reasons


def test_the_wire_length_of_a_cut_packet_is_kept() -> None:
    packets, _ = packets_of(make.pcap([(0, bytes(100))], snaplen=60))
    assert (len(packets[0].data), packets[0].size) == (60, 100)


@pytest.mark.parametrize("build", [make.pcap, make.pcapng])
def test_a_capture_cut_anywhere_keeps_what_came_before(build: object) -> None:
    data = build(FRAMES)  # type: ignore[operator]
    whole = 0
    for end in range(len(data) - 1, 0, -1):
        try:
            packets, report = packets_of(data[:end])
        except EdgegenError:
            assert end < 28
            continue
        assert [(p.time, p.data) for p in packets] == FRAMES[: len(packets)]
        assert set(report.reasons) <= {CUT_SHORT, DAMAGED}
        whole += bool(packets)
    assert whole > 0


def test_a_damaged_length_ends_the_capture_and_is_counted() -> None:
    data = make.pcap(FRAMES) + struct.pack("<IIII", 1, 1, 1 << 30, 1 << 30) + bytes(1000)
    packets, report = packets_of(data)
    assert len(packets) == 3
    assert report.reasons == {DAMAGED: 1}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04abcdefgh", b"\xd4\xc3\xb2\xa1\x02\x00"])
def test_what_is_no_capture_is_one_sentence(data: bytes) -> None:
    with pytest.raises(EdgegenError, match=r"x\.pcap"):
        packets_of(data)


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/pcap is not there")
@pytest.mark.parametrize("path", sorted(DATA.glob("*")), ids=lambda path: path.name)
def test_framing_agrees_with_dpkt(path: Path) -> None:
    dpkt = pytest.importorskip("dpkt")
    with path.open("rb") as file:
        ours, _ = packets_of(file.read())
    with path.open("rb") as file:
        theirs = list(dpkt.pcap.UniversalReader(file))
    assert [p.data for p in ours] == [data for _, data in theirs]
    if path.name not in TWO_CLOCKS:
        assert [p.time / 1e9 for p in ours] == pytest.approx([time for time, _ in theirs], abs=1e-6)
