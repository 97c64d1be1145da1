"""Whatever stands in a file, a reader ends in flows that keep the contract or in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import capture_bytes as make
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.errors import EdgegenError
from edgegen.flow import TCP, UDP, fault
from edgegen.readers import Options, Report, open_flows

FRAMES = [
    (make.START, make.ethernet(make.ipv4(make.tcp(0, make.SYN), TCP), (0x88A8, 0x8100))),
    (make.START + 5, make.ethernet(make.ipv4(make.tcp(30), TCP, options=bytes(4)))),
    (make.START + 9, make.ethernet(make.ipv6(make.udp(20), 60, extensions=bytes([UDP, 0]) + bytes(6)))),
]
MIRAGE = json.dumps(
    {
        f"10.0.0.1,{port},10.0.0.2,443,6": {
            "packet_data": {"packet_dir": [0, 1], "L4_payload_bytes": [10, 20], "iat": [0, 0.5]},
            "flow_metadata": {"BF_label": "com.example.app"},
        }
        for port in (1, 2)
    }
)
SEEDS = {
    "pcap.pcap": make.pcap(FRAMES),
    "big.pcap": make.pcap(FRAMES, ">", nano=False),
    "ng.pcapng": make.pcapng(FRAMES),
    "mirage.json": MIRAGE.encode(),
    "cesnet.csv": b'PPI,APP,PROTOCOL\n"[[0, 5], [1, -1], [517, 1400]]",x,6\n"[[0], [1], [5]]",y,17\n',
    "table.csv": b'label,proto,session,pl,dir,iat\nx,6,s,"[1, 2]","[0, 1]","[0.0, 0.5]"\n',
    "table.jsonl": b'{"label": "x", "proto": 17, "pl": [1, 2], "dir": [0, 1], "iat": [0.0, 1e-3]}\n' * 2,
}
FORMATS = {"pcap": "pcap", "big": "pcap", "ng": "pcap", "mirage": "mirage", "cesnet": "cesnet", "table": "table"}
CHECKS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def damaged(draw: Callable[[st.SearchStrategy], object], seed: bytes) -> bytes:
    """`seed` with a few places overwritten, removed or added, and perhaps cut."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 6))):  # type: ignore[call-overload]
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([0, 1, 1, 2, 4, 16]))
        data[at : at + length] = draw(st.binary(max_size=8))  # type: ignore[operator, arg-type]
    return bytes(data[: draw(st.integers(1, len(data) + 1))])  # type: ignore[misc]


def read_all(path: Path, format: str, keep_empty: bool) -> None:
    sentence = ""
    try:
        for flow in open_flows(path, Options(keep_empty=keep_empty), Report(), format):
            assert fault(flow) is None
            assert flow.label
    except EdgegenError as error:
        sentence = str(error)
    assert "\n" not in sentence


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_end_in_flows_or_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    @CHECKS
    @given(damaged(SEEDS[name]), st.booleans(), st.booleans())
    def check(data: bytes, told: bool, keep_empty: bool) -> None:
        path.write_bytes(data)
        read_all(path, FORMATS[path.stem] if told else "auto", keep_empty)

    path.write_bytes(SEEDS[name])
    assert list(open_flows(path))
    check()


@CHECKS
@given(link=st.sampled_from([0, 1, 101, 108, 113, 276]), frame=st.binary(max_size=120))
def test_any_frame_is_a_flow_or_skipped(tmp_path: Path, link: int, frame: bytes) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(make.pcap([(0, frame)], link=link))
    report = Report()
    flows = list(open_flows(path, Options(keep_empty=True), report))
    assert len(flows) + report.reasons.total() - report.reasons[FIRST_FRAGMENT] == 1


FIRST_FRAGMENT = "packets of which only the first IP fragment counts"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@CHECKS
@given(label=JSON, pl=JSON, way=JSON, iat=JSON, proto=JSON, session=JSON)
def test_any_json_values_are_a_flow_or_counted(
    tmp_path: Path, label: object, pl: object, way: object, iat: object, proto: object, session: object
) -> None:
    row = {"label": label, "pl": pl, "dir": way, "iat": iat, "proto": proto, "session": session}
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row))
    read_all(path, "table", keep_empty=True)
    packets = {"L4_payload_bytes": pl, "packet_dir": way, "iat": iat}
    path.write_text(json.dumps({"a,1,b,2,6": {"packet_data": packets, "flow_metadata": {"BF_label": label}}}))
    read_all(path, "mirage", keep_empty=True)
    path.write_text(f'PPI,APP\n"{json.dumps([iat, way, pl]).replace(chr(34), chr(34) * 2)}",x\n')
    read_all(path, "cesnet", keep_empty=True)


def test_a_time_beyond_all_floats_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f'PPI,APP\n"[[{"9" * 400}], [1], [5]]",x\n"[[0], [1], [5]]",y\n')
    (flow,) = open_flows(path, Options(keep_empty=True), Report(), "cesnet")
    assert flow.label == "y"


@CHECKS
@given(
    st.lists(st.tuples(st.integers(0, 65_535), st.sampled_from([0, 1]), st.floats(0, 1e6)), min_size=1, max_size=5),
    st.sampled_from([None, TCP, UDP]),
)
def test_sound_rows_come_back_exactly(tmp_path: Path, packets: list[tuple[int, int, float]], proto: int | None) -> None:
    pl, way, iat = (list(column) for column in zip(*packets, strict=True))
    iat[0] = 0.0
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"label": "x", "proto": proto, "pl": pl, "dir": way, "iat": iat}))
    (flow,) = open_flows(path, Options(keep_empty=True))
    assert (flow.pl, flow.dir, flow.iat, flow.proto) == (pl, way, iat, proto)
