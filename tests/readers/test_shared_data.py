"""Real captures and data sets that the repository does not hold."""

import json
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import capture_bytes as make
import pytest

from edgegen.flow import UDP, fault
from edgegen.readers import Options, Report, open_flows, read_flows
from edgegen.readers.frame import SLL2
from edgegen.readers.pcap import read_biflows

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
CAPTURES = sorted((DATA / "pcap").glob("*"))
# Broken on purpose: wrong lengths, overwritten bytes, a flood of fragments.
BROKEN = {"badpackets.pcap", "fuzz-2006-09-29-28586.pcap", "ip_fragmented_garbage.pcap"}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there")


def test_all_captures_are_there() -> None:
    assert len(CAPTURES) == 15


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_every_packet_of_a_capture_is_in_a_flow_or_counted(path: Path) -> None:
    report = Report()
    with path.open("rb") as file:
        flows = list(read_biflows(file, path.name, Options(keep_empty=True, max_packets=1 << 20), report))
    assert sum(flow.packets for flow in flows) + report.reasons.total() == report.records
    assert all(flow.packets == len(flow.pl) for flow in flows)
    assert bool(report.reasons) == (path.name in BROKEN)
    for flow in open_flows(path):
        assert fault(flow) is None
        assert flow.session == flow.label == path.stem


@pytest.mark.parametrize("path", [p for p in CAPTURES if p.name not in BROKEN], ids=lambda path: path.name)
def test_packet_and_payload_counts_per_direction_are_nfstreams(path: Path) -> None:
    nfstream = pytest.importorskip("nfstream")
    ours: Counter[tuple[object, ...]] = Counter()
    options = Options(keep_empty=True, max_packets=1 << 20)
    with path.open("rb") as file:
        for flow in read_biflows(file, path.name, options, Report()):
            for pl, way in zip(flow.pl, flow.dir, strict=True):
                ends = (flow.server, flow.client) if way else (flow.client, flow.server)
                ours[flow.proto, *ends, "packets"] += 1
                ours[flow.proto, *ends, "bytes"] += pl
    theirs: Counter[tuple[object, ...]] = Counter()
    # Accounting mode 3 counts payload bytes.
    streamer = nfstream.NFStreamer(
        str(path), decode_tunnels=False, accounting_mode=3, n_dissections=0, n_meters=1, active_timeout=1 << 30
    )
    for flow in streamer:
        here = ip_address(flow.src_ip).packed, flow.src_port
        there = ip_address(flow.dst_ip).packed, flow.dst_port
        theirs[flow.protocol, here, there, "packets"] += flow.src2dst_packets
        theirs[flow.protocol, here, there, "bytes"] += flow.src2dst_bytes
        theirs[flow.protocol, there, here, "packets"] += flow.dst2src_packets
        theirs[flow.protocol, there, here, "bytes"] += flow.dst2src_bytes
    assert +ours == +theirs
    assert ours


def test_ndpi_names_the_application() -> None:
    pytest.importorskip("nfstream")
    options = Options(label_by="ndpi")
    names = {path.stem: {flow.label for flow in open_flows(path, options)} for path in CAPTURES}
    assert names["modbus"] == {"modbus"}
    assert names["wireguard"] == {"wireguard"}
    assert names["dropbox"] == {"dropbox", "dns.dropbox"}


def test_what_ndpi_cannot_decode_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("nfstream")
    frames = [(make.START, make.cooked2(make.ipv4(make.udp(40), UDP)))]
    (tmp_path / "any.pcap").write_bytes(make.pcap(frames, link=SLL2))
    report = Report()
    assert [flow.label for flow in open_flows(tmp_path / "any.pcap", Options(label_by="ndpi"), report)] == ["unknown"]
    assert report.reasons == {"flows that nDPI has not seen: labelled unknown": 1}


def test_mirage_gives_its_33_biflows() -> None:
    flows = []
    for path in sorted((DATA / "mirage2019").glob("*.json")):
        entries = json.loads(path.read_text()).values()
        report = Report()
        found = list(open_flows(path, Options(keep_empty=True), report))
        assert [f.pl for f in found] == [entry["packet_data"]["L4_payload_bytes"] for entry in entries]
        assert [f.dir for f in found] == [entry["packet_data"]["packet_dir"] for entry in entries]
        assert [f.iat[1:] for f in found] == [entry["packet_data"]["iat"][1:] for entry in entries]
        dropped = list(open_flows(path, Options(), report))
        assert [f.pl for f in dropped] == [[n for n in f.pl if n] for f in found]
        assert not report.reasons
        flows += dropped
    assert Counter(f.label for f in flows) == {"com.iconology.comics": 5, "air.com.hypah.io.slither": 28}


@pytest.mark.parametrize(("name", "flows", "labels"), [("quic5", 2_500, 5), ("mobile40", 24_000, 40)])
def test_tables(name: str, flows: int, labels: int) -> None:
    report = Report()
    found = read_flows(DATA / f"{name}.parquet", report)
    assert (len(found), len({flow.label for flow in found})) == (flows, labels)
    assert all(flow.session for flow in found)
    assert not report.reasons
