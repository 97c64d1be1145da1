import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import TCP, UDP, Flow
from edgegen.readers import Options, Report, import_flows, mirage, open_flows, read_flows
from edgegen.readers.biflow import BACKWARDS
from edgegen.writers import write_flows

pa = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

MIRAGE_NAME = "1539866692_com.example.app_MIRAGE-2019_traffic_dataset_labeled_biflows.json"
FLOWS = [
    Flow("dns", [45, 61], [0, 1], [0.0, 0.0041], UDP, "a"),
    Flow("web, “x”", [517, 1460, 0], [0, 1, 1], [0.0, 0.02, 1.5], TCP, "b"),
    Flow("old", [9], [1], [0.0]),
]


def biflow(label: str, pl: list[Any], way: list[Any], iat: list[Any]) -> dict[str, Any]:
    packets = {"packet_dir": way, "L4_payload_bytes": pl, "iat": iat, "L4_raw_payload": [[1]] * len(pl)}
    return {"packet_data": packets, "flow_metadata": {"BF_label": label}}


def write_mirage(folder: Path, entries: dict[str, Any], name: str = MIRAGE_NAME) -> Path:
    path = folder / name
    path.write_text(json.dumps(entries, indent=1))
    return path


def flows_of(path: Path, options: Options | None = None) -> tuple[list[Flow], Report]:
    report = Report()
    return list(open_flows(path, options or Options(), report)), report


def test_mirage(tmp_path: Path) -> None:
    entries = {
        "10.0.0.1,4000,10.0.0.2,443,6": biflow(
            "com.example.app", [0, 0, 100, 0, 1400], [0, 1, 0, 1, 1], [0, 0.1, 0.25, 0.5, 0.125]
        ),
        "10.0.0.1,4001,10.0.0.2,53,17": biflow("com.other", [40], [0], [0]),
        "10.0.0.1,4002,10.0.0.2,443,6": biflow("com.example.app", [0, 0], [0, 1], [0, 0.1]),
        "10.0.0.1,4003,10.0.0.2,443,6": {"packet_data": {}},
        "10.0.0.1,4004,10.0.0.2,443,6": biflow("com.example.app", [5], [2], [0]),
    }
    path = write_mirage(tmp_path, entries)
    flows, report = flows_of(path)
    assert flows == [
        Flow("com.example.app", [100, 1400], [0, 1], [0.0, 0.625], TCP, path.stem),
        Flow("background", [40], [0], [0.0], UDP, path.stem),
    ]
    assert report.reasons == {
        "background flows kept": 1,
        "flows without payload": 1,
        "entries that are no MIRAGE biflow": 1,
        "flows with a direction other than 0 and 1": 1,
    }
    assert [f.label for f in flows_of(path, Options(keep_background=False))[0]] == ["com.example.app"]
    everything, _ = flows_of(path, Options(keep_empty=True))
    assert [f.pl for f in everything] == [[0, 0, 100, 0, 1400], [40], [0, 0]]


def test_mirage_under_another_name_has_no_background(tmp_path: Path) -> None:
    path = write_mirage(tmp_path, {"a,1,b,2,6": biflow("x", [1], [0], [0])}, "x.json")
    assert flows_of(path)[0][0].label == "x"


def test_mirage_is_read_in_pieces_and_a_cut_file_keeps_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {f"a,{i},b,2,6": biflow("x", [i + 1], [0], [0]) for i in range(20)}
    path = write_mirage(tmp_path, entries, "x.json")
    monkeypatch.setattr(mirage, "CHUNK", 7)
    assert [f.pl for f in flows_of(path)[0]] == [[i + 1] for i in range(20)]
    path.write_text(path.read_text()[:-300])
    flows, report = flows_of(path)
    assert 0 < len(flows) < 20
    assert report.reasons.total() == 1


CESNET_ROW = '"[[0, 5, 1000], [1, -1, 1], [517, 1400, 64], [1, 1, 0]]"'


def test_cesnet(tmp_path: Path) -> None:
    path = tmp_path / "flows-20211004.csv"
    padded = '"[[0, 7, 0, 0], [1, -1, 0, 0], [200, 300, 0, 0]]"'
    rows = [
        f"1,17,{CESNET_ROW},youtube",
        f"2,6,{padded},mail",
        "3,6,none,mail",
        '3,6,"[[0], [1], 5.5]",mail',
        '4,6,"[[0], [5], [9]]",mail',
        "5,6",
    ]
    path.write_text("ID,PROTOCOL,PPI,APP\n" + "\n".join(rows) + "\n")
    flows, report = flows_of(path)
    assert flows == [
        Flow("youtube", [517, 1400, 64], [0, 1, 0], [0.0, 0.005, 1.0], UDP, "flows-20211004"),
        Flow("mail", [200, 300], [0, 1], [0.0, 0.007], TCP, "flows-20211004"),
    ]
    assert report.reasons == {
        "rows whose PPI is no list of times, directions and sizes": 3,
        "rows with more or fewer cells than the header": 1,
    }


def test_cesnet_without_labels_wants_one(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"PPI\n{CESNET_ROW}\n")
    with pytest.raises(EdgegenError, match="--label"):
        flows_of(path)
    assert flows_of(path, Options(label="tls"))[0][0].label == "tls"


@pytest.mark.parametrize(("here", "there"), [(0, 1), (1, 0), (1, -1), (-1, 1)])
def test_tcbench_takes_the_first_sender_for_the_client(tmp_path: Path, here: int, there: int) -> None:
    columns = {
        "row_id": [0, 1],
        "app": ["doc", None],
        "pkts_size": [[100, 1350, 60], [1]],
        "pkts_dir": [[here, there, here], [here]],
        "timetofirst": [[0.0, 0.25, 0.75], [0.0]],
    }
    path = tmp_path / "ucdavis.parquet"
    parquet.write_table(pa.table(columns), path)
    flows, report = flows_of(path)
    assert flows == [Flow("doc", [100, 1350, 60], [0, 1, 0], [0.0, 0.25, 0.5], None, "ucdavis")]
    assert report.reasons == {"flows without a label": 1}


def test_a_late_packet_makes_no_flow_longer(tmp_path: Path) -> None:
    columns = {
        "app": ["doc"] * 2,
        "pkts_size": [[1, 2, 3, 4], [1, 0, 3, 4]],
        "pkts_dir": [[0, 1, 1, 1]] * 2,
        "timetofirst": [[0.0, 10.0, 5.0, 11.0]] * 2,
    }
    path = tmp_path / "late.parquet"
    parquet.write_table(pa.table(columns), path)
    flows, report = flows_of(path)
    assert [flow.iat for flow in flows] == [[0.0, 10.0, 0.0, 1.0], [0.0, 5.0, 6.0]]
    assert report.reasons == {BACKWARDS: 2}


def test_a_table_is_known_by_a_first_flow_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    write_flows([Flow("bulk", [1_400] * 20_000, [1] * 20_000, [0.0] * 20_000)], path)
    assert len(flows_of(path, Options(max_packets=20_000))[0][0]) == 20_000


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_our_own_tables_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"flows{suffix}"
    write_flows(FLOWS, path)
    assert read_flows(path) == FLOWS
    assert [f.pl for f in flows_of(path)[0]] == [[45, 61], [517, 1460], [9]]
    assert [f.pl for f in flows_of(path, Options(max_packets=1))[0]] == [[45], [517], [9]]


def test_a_csv_of_a_long_flow_is_read_again(tmp_path: Path) -> None:
    flow = Flow("x", [1460] * 40_000, [0, 1] * 20_000, [0.0, *[0.000123456] * 39_999])
    write_flows([flow], tmp_path / "x.csv")
    assert read_flows(tmp_path / "x.csv") == [flow]


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2"), (lzma.compress, ".xz")])
def test_compressed_files_are_unpacked(tmp_path: Path, pack: Callable[[bytes], bytes], suffix: str) -> None:
    path = tmp_path / f"day.csv{suffix}"
    data = pack(f"PPI,APP\n{CESNET_ROW},x\n".encode())
    path.write_bytes(data)
    assert flows_of(path)[0][0].session == "day"
    path.write_bytes(data[:-12])
    with pytest.raises(EdgegenError, match="cannot be unpacked"):
        flows_of(path)


def test_bad_lines_of_a_table_are_counted(tmp_path: Path) -> None:
    good = '{"label": "x", "pl": [1], "dir": [0], "iat": [0]}'
    bad = [
        '{"label": "x", "pl": [1], "dir": [0]}',
        '{"label": "x", "pl": "1", "dir": [0], "iat": [0]}',
        "[1]",
        "{",
    ]
    bad += ['{"label": "x", "pl": [70000], "dir": [0], "iat": [0]}', '{"pl": [1], "dir": [0], "iat": [0]}']
    bad += [
        '{"label": "x", "pl": [1.5], "dir": [0], "iat": [0]}',
        '{"label": "x", "pl": [1, 1], "dir": [0, 0], "iat": [0, NaN]}',
    ]
    bad += ["[" * 100_000]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join([good, "", *bad, good]))
    report = Report()
    assert len(read_flows(path, report)) == 2
    assert report.reasons.total() == len(bad)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"", "is empty"),
        ("x.parquet", b"PAR1 and no more", "no whole parquet file"),
        ("x.bin", b"\x00\x01\x02\x03" * 50, "no capture and no data set"),
        ("x.json", b'{"a": 1}', "no capture and no data set"),
        ("x.csv", b"a,b\n1,2\n", "no capture and no data set"),
    ],
)
def test_files_of_another_kind_are_one_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EdgegenError, match=message) as error:
        list(open_flows(path))
    assert name in str(error.value)
    with pytest.raises(EdgegenError):
        read_flows(path)


def test_a_parquet_without_the_columns_says_which(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"label": ["x"], "pl": [[1]]}), path)
    with pytest.raises(EdgegenError, match="no column dir, iat"):
        read_flows(path)


def test_a_damaged_parquet_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_flows([FLOWS[0]] * 1000, path)
    data = bytearray(path.read_bytes())
    data[20:200] = bytes(180)
    path.write_bytes(data)
    with pytest.raises(EdgegenError, match=r"x\.parquet"):
        read_flows(path)


def test_a_parquet_with_a_name_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"label": ["x"], "somewhere": [1]}), path)
    path.write_bytes(path.read_bytes().replace(b"somewhere", b"some\xffhere"))
    for read in (read_flows, lambda path: list(open_flows(path))):
        with pytest.raises(EdgegenError, match=r"x\.parquet is no whole parquet file"):
            read(path)


def test_numbers_stand_for_sessions_and_protocols(tmp_path: Path) -> None:
    # As data frames write them: a first session 0, and whole numbers beside gaps as floating-point ones.
    path = tmp_path / "x.parquet"
    packets = {"pl": [[1]] * 3, "dir": [[0]] * 3, "iat": [[0.0]] * 3}
    parquet.write_table(
        pa.table({"label": ["x"] * 3, "session": [0, 1, 2], "proto": [17.0, None, 6.0], **packets}), path
    )
    assert [(flow.session, flow.proto) for flow in read_flows(path)] == [("0", UDP), ("1", None), ("2", TCP)]


def test_a_training_set_must_be_a_table(tmp_path: Path) -> None:
    path = write_mirage(tmp_path, {"a,1,b,2,6": biflow("x", [1], [0], [0])})
    with pytest.raises(EdgegenError, match="edgegen data import"):
        read_flows(path)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EdgegenError, match="No such file"):
        list(open_flows(tmp_path / "none.pcap"))


def test_folders_are_searched_and_other_files_in_them_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_flows(FLOWS, tmp_path / "in" / "a.jsonl")
    write_flows([replace(flow, session="") for flow in FLOWS], tmp_path / "b.parquet")
    (tmp_path / "README.md").write_text("about")
    report = Report()
    assert len(list(import_flows([tmp_path], Options(), report))) == 6
    assert report.reasons == {"files that are no capture and no data set": 1}
    assert report.lines() == ["1 files that are no capture and no data set (README.md 1)"]


def test_an_import_without_flows_says_why(tmp_path: Path) -> None:
    path = write_mirage(tmp_path, {"a,1,b,2,6": biflow("x", [0], [0], [0])})
    with pytest.raises(EdgegenError, match="1 flows without payload"):
        list(import_flows([path], Options(), Report()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgegenError, match="holds no file"):
        list(import_flows([tmp_path / "empty"], Options(), Report()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_by": "guess"},
        {"label": ""},
        {"label": "x", "label_by": "ndpi"},
        {"idle_timeout": 0},
        {"idle_timeout": float("nan")},
        {"max_packets": 0},
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Options(**wrong)


def test_an_unknown_format_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mirage"):
        list(open_flows(tmp_path, format="netflow"))


def test_who_gives_no_report_hears_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    good = '{"label": "x", "pl": [1], "dir": [0], "iat": [0]}\n'
    path.write_text(good)
    read_flows(path)
    assert capsys.readouterr().err == ""
    path.write_text(good + "{\n{\n" + good.replace("x", ""))
    read_flows(path, Report())
    assert capsys.readouterr().err == ""
    read_flows(path)
    counts = "2 lines that are no JSON object; 1 flows without a label"
    assert capsys.readouterr().err == f"edgegen: not all of {path} could be used: {counts}\n"


def test_a_capture_whose_name_is_no_unicode_has_a_label_that_is(tmp_path: Path) -> None:
    write_flows(FLOWS, tmp_path / "x.pcap")
    path = (tmp_path / "x.pcap").rename(tmp_path / "caf\udce9.pcap")
    assert {(flow.label, flow.session) for flow in flows_of(path)[0]} == {("caf\\udce9", "caf\\udce9")}
    table = tmp_path / "caf\udce9.parquet"
    write_flows(FLOWS, table)
    assert read_flows(table) == FLOWS
