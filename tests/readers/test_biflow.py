import io
import tracemalloc
from pathlib import Path

import capture_bytes as make
import pytest

from edgegen.errors import EdgegenError
from edgegen.flow import TCP, UDP, Flow
from edgegen.readers import Options, Report, open_flows
from edgegen.readers.biflow import BACKWARDS, Biflow, BiflowTable
from edgegen.readers.capture import NANOSECONDS, Packet
from edgegen.readers.frame import Segment
from edgegen.readers.pcap import read_biflows, steady

CLIENT, SERVER = (make.CLIENT4, 40_000), (make.SERVER4, 443)


def up(pl: int, flags: int = make.ACK, proto: int = TCP) -> Segment:
    return Segment(proto, CLIENT, SERVER, pl, flags, False)


def down(pl: int, flags: int = make.ACK, proto: int = TCP) -> Segment:
    return Segment(proto, SERVER, CLIENT, pl, flags, False)


def biflows(
    segments: list[tuple[float, Segment]],
    idle: float = 120.0,
    max_packets: int = 32,
    keep_empty: bool = False,
    report: Report | None = None,
) -> list[Biflow]:
    """segments: time in seconds and segment. The lists are copied: the table may let go of them."""
    table = BiflowTable(idle, max_packets, keep_empty, report or Report())
    found: list[Biflow] = []
    for time, segment in segments:
        found += table.add(round(time * NANOSECONDS), segment)
    return [*found, *table.close()]


def test_both_directions_are_one_biflow_with_times_since_the_packet_kept_before() -> None:
    (flow,) = biflows(
        [
            (0, up(0, make.SYN)),
            (0.1, down(0, make.SYN_ACK)),
            (0.2, up(300)),
            (0.3, down(0)),
            (0.5, down(1460)),
            (0.5000001, up(20)),
        ]
    )
    assert (flow.pl, flow.dir, flow.iat) == ([300, 1460, 20], [0, 1, 0], [0.0, 0.3, 1e-7])
    assert (flow.proto, flow.client, flow.packets) == (TCP, CLIENT, 6)


def test_keep_empty_keeps_every_packet() -> None:
    (flow,) = biflows([(0, up(0, make.SYN)), (1, down(0, make.SYN_ACK)), (2, up(5))], keep_empty=True)
    assert (flow.pl, flow.dir, flow.iat) == ([0, 0, 5], [0, 1, 0], [0.0, 1.0, 1.0])


def test_a_flow_without_payload_is_counted() -> None:
    report = Report()
    assert biflows([(0, up(0, make.SYN)), (1, down(0, make.RST))], report=report) == []
    assert report.reasons == {"flows without payload": 1}


def test_silence_longer_than_the_idle_timeout_ends_a_flow() -> None:
    packets = [(0, up(1, proto=UDP)), (10, down(2, proto=UDP)), (20.1, up(3, proto=UDP))]
    assert [flow.pl for flow in biflows(packets, idle=10)] == [[1, 2], [3]]
    assert [flow.pl for flow in biflows(packets, idle=10.2)] == [[1, 2, 3]]


def test_idle_flows_are_handed_on_before_the_capture_ends() -> None:
    table = BiflowTable(10, 32, False, Report())
    assert list(table.add(0, up(1))) == []
    other = Segment(UDP, (make.CLIENT4, 1), (make.SERVER4, 2), 9, 0, False)
    assert [flow.pl for flow in table.add(11 * NANOSECONDS, other)] == [[1]]
    assert len(table.flows) == 1


@pytest.mark.parametrize("end", [make.FIN, make.RST])
def test_a_port_used_again_after_the_end_is_a_new_flow(end: int) -> None:
    packets = [
        (0, up(0, make.SYN)),
        (1, up(5)),
        (2, down(0, end)),
        (3, down(7)),
        (4, up(0, make.SYN)),
        (5, up(6)),
    ]
    assert [flow.pl for flow in biflows(packets)] == [[5, 7], [6]]


def test_a_port_used_again_whose_end_was_not_captured_is_a_new_flow() -> None:
    assert [f.pl for f in biflows([(0, up(5)), (1, up(0, make.SYN)), (2, up(6))])] == [[5], [6]]


def test_a_repeated_syn_is_not_a_new_flow() -> None:
    assert len(biflows([(0, up(0, make.SYN)), (1, up(0, make.SYN)), (2, up(5))], keep_empty=True)) == 1


def test_the_client_is_who_sent_the_syn() -> None:
    (answered_first,) = biflows([(0, down(0, make.SYN_ACK)), (1, up(5))])
    assert (answered_first.client, answered_first.dir) == (CLIENT, [0])
    (late,) = biflows([(0, down(0)), (1, up(0, make.SYN)), (2, down(9))], keep_empty=True)
    assert (late.client, late.dir) == (CLIENT, [1, 0, 1])


def test_without_a_syn_the_client_is_who_sent_first() -> None:
    (flow,) = biflows([(0, down(5)), (1, up(6))])
    assert (flow.client, flow.dir) == (SERVER, [0, 1])


def test_the_rest_of_a_flow_that_is_full_is_not_another_flow() -> None:
    table = BiflowTable(10, 3, False, Report())
    found: list[list[int]] = []
    for second in range(100):
        found += [list(flow.pl) for flow in table.add(second * NANOSECONDS, up(second + 1))]
    assert found == [[1, 2, 3]]
    assert list(table.close()) == []


def test_times_that_run_backwards_are_counted_and_set_to_zero() -> None:
    report = Report()
    (flow,) = biflows([(5, up(1)), (4, up(2)), (6, up(3))], report=report)
    # From the first packet to the last it is a second.
    assert flow.iat == [0.0, 0.0, 1.0]
    assert report.reasons == {BACKWARDS: 1}


def stamped(*seconds: float) -> tuple[list[int], Report]:
    """The packets, by their number, that are left of packets at these times, 10 s being far."""
    report = Report()
    packets = [Packet(round(second * NANOSECONDS), i, b"", 0) for i, second in enumerate(seconds)]
    return [packet.link for packet in steady(packets, 10 * NANOSECONDS, report)], report


def test_a_single_packet_of_another_time_ends_no_flow() -> None:
    for odd in (0, 90, 1e9):
        left, report = stamped(50, 51, odd, 52, 53)
        assert left == [0, 1, 3, 4]
        assert report.reasons == {"packets with a time far from those around them: left out": 1}


@pytest.mark.parametrize("times", [(1, 2, 50, 51, 90), (50, 51, 1, 2), (1,), (1, 50), (1, 50, 99), ()])
def test_gaps_of_a_capture_lose_nothing(times: tuple[float, ...]) -> None:
    left, report = stamped(*times)
    assert left == list(range(len(times)))
    assert not report.reasons


def test_a_packet_to_oneself_is_a_flow() -> None:
    (flow,) = biflows([(0, Segment(UDP, CLIENT, CLIENT, 4, 0, False))])
    assert (flow.pl, flow.dir) == ([4], [0])


def capture_of(tmp_path: Path) -> Path:
    t = make.START
    frames = [
        (t, make.ethernet(make.ipv4(make.udp(40), UDP))),
        (t + 7, make.ethernet(make.ipv4(make.udp(90, 53, 40_000), UDP, make.SERVER4, make.CLIENT4))),
        (t + 9, bytes(12) + b"\x08\x06" + bytes(28)),
    ]
    path = tmp_path / "dns-3.pcap"
    path.write_bytes(make.pcap(frames))
    return path


def test_a_capture_gives_labelled_flows_with_exact_times(tmp_path: Path) -> None:
    path, report = capture_of(tmp_path), Report()
    flows = list(open_flows(path, Options(), report))
    assert flows == [Flow("dns-3", [40, 90], [0, 1], [0.0, 7e-9], UDP, "dns-3")]
    assert (report.records, report.flows, report.reasons.total()) == (3, 1, 1)
    assert next(open_flows(path, Options(label="dns"))).label == "dns"


def test_a_capture_without_packets_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.pcap"
    path.write_bytes(make.pcap([]))
    with pytest.raises(EdgegenError, match=r"none\.pcap is a capture without"):
        list(open_flows(path))


class EndlessCapture(io.RawIOBase):
    """`count` packets a second apart, each of a 5-tuple of its own, made as they are read."""

    def __init__(self, count: int) -> None:
        self.packets = iter(range(count))
        self.left = make.pcap([])

    def read(self, size: int = -1) -> bytes:
        if not self.left:
            number = next(self.packets, None)
            if number is not None:
                source = (10 << 24 | number).to_bytes(4, "big")
                frame = make.ethernet(make.ipv4(make.udp(number % 1000 + 1), UDP, source))
                self.left = make.pcap([(number * NANOSECONDS, frame)])[24:]
        chunk, self.left = self.left[:size], self.left[size:]
        return chunk


def peak_of(count: int) -> tuple[int, int]:
    """Flows, and the most bytes held while reading them."""
    tracemalloc.start()
    try:
        flows = sum(1 for _ in read_biflows(EndlessCapture(count), "x", Options(idle_timeout=50), Report()))
        return flows, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_capture() -> None:
    small_flows, small = peak_of(500)
    large_flows, large = peak_of(5_000)
    assert (small_flows, large_flows) == (500, 5_000)
    assert large < small + 65_536


def test_the_table_of_biflows_stays_small_over_many_packets() -> None:
    table, flows, largest = BiflowTable(50, 32, False, Report()), 0, 0
    for number in range(200_000):
        client = (number.to_bytes(4, "big"), 40_000)
        flows += len(list(table.add(number * NANOSECONDS, Segment(UDP, client, SERVER, 9, 0, False))))
        largest = max(largest, len(table.flows))
    assert largest == 51
    assert flows + len(list(table.close())) == 200_000
