"""What the pcap writer writes, the pcap reader reads: lengths, directions and times to the microsecond."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.flow import TCP, UDP, Flow
from edgegen.readers import open_flows
from edgegen.readers.options import Options
from edgegen.readers.report import Report
from edgegen.writers import write_flows

Packets = tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def packets_of(flow: Flow) -> Packets:
    """What a capture can say of a flow: its transport, lengths, directions and times in microseconds."""
    return flow.proto or TCP, tuple(flow.pl), tuple(flow.dir), tuple(round(1e6 * t) for t in flow.iat)


@st.composite
def carried_flow(draw: st.DrawFn) -> Flow:
    """A flow that a capture can carry: payload in every packet, never too large, idle for under 120 s."""
    n = draw(st.integers(1, 12))
    proto = draw(st.sampled_from([TCP, UDP, None]))
    times_us = draw(st.lists(st.integers(0, 119_000_000), min_size=n - 1, max_size=n - 1))
    flow = Flow(
        label=draw(st.sampled_from(["a", "b", "c"])),
        pl=draw(st.lists(st.integers(1, 1_472) | st.integers(1, 65_495), min_size=n, max_size=n)),
        dir=draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)),
        iat=[0.0, *(us / 1e6 for us in times_us)],
        proto=proto,
    )
    if proto == UDP:
        # Without a handshake the client is who sends first.
        flow.dir[0] = 0
    return flow


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(carried_flow(), min_size=1, max_size=20))
def test_flows_survive_a_capture(tmp_path: Path, flows: list[Flow]) -> None:
    capture = tmp_path / "flows.pcap"
    write_flows(flows, capture)
    report = Report()
    back = list(open_flows(capture, Options(), report))
    assert sorted(map(packets_of, back)) == sorted(map(packets_of, flows))
    assert report.lines() == []


def test_more_flows_than_client_hosts_keep_apart(tmp_path: Path) -> None:
    capture = tmp_path / "many.pcap"
    flows = [Flow("dns", [1 + i % 1_000, 1 + i // 1_000], [0, 1], [0.0, 1.5], UDP) for i in range(3_000)]
    write_flows(flows, capture)
    back = list(open_flows(capture, Options(), Report()))
    assert sorted(map(packets_of, back)) == sorted(map(packets_of, flows))
