import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgegen.cli import main
from edgegen.dataset import summarise
from edgegen.flow import TCP, UDP, Flow
from edgegen.readers import read_flows
from edgegen.writers import write_flows

pq = pytest.importorskip("pyarrow.parquet")

# The arguments of a command -> its exit status, stdout and stderr.
Command = Callable[..., tuple[int, str, str]]
FLOWS = [
    Flow("dns", [45, 61], [0, 1], [0.0, 0.004], UDP, "a"),
    Flow("dns", [45, 61], [0, 1], [0.0, 0.008], UDP, "b"),
    Flow("web", [517, 1460, 80], [0, 1, 1], [0.0, 0.02, 1.5], TCP, "b"),
]


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one edgegen command."""
    monkeypatch.setattr(sys, "argv", ["edgegen", *map(str, args)])
    with pytest.raises(SystemExit) as exit:
        main()
    shown = capsys.readouterr()
    return int(exit.value.code or 0), shown.out, shown.err


@pytest.fixture
def edgegen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *args: run(capsys, monkeypatch, *args)


def test_import_writes_a_table_and_reports_on_stderr(tmp_path: Path, edgegen: Command) -> None:
    source = tmp_path / "in.jsonl"
    write_flows(FLOWS, source)
    with source.open("a") as file:
        file.write("not json\n")
    for name in ("x.parquet", "x.jsonl", "x.csv"):
        status, out, err = edgegen("data", "import", source, "-o", tmp_path / name, "--label", "z")
        assert (status, out) == (0, "")
        assert "3 flows" in err
        assert "1 lines that are no JSON object (in.jsonl 1)" in err
        assert [(f.label, f.pl) for f in read_flows(tmp_path / name)] == [("z", f.pl) for f in FLOWS]


def test_an_import_makes_no_real_flows_of_added_ones(tmp_path: Path, edgegen: Command) -> None:
    write_flows(FLOWS, tmp_path / "real.jsonl")
    more, target = tmp_path / "more.jsonl", tmp_path / "x.parquet"
    assert edgegen("augment", tmp_path / "real.jsonl", "--transform", "edit", "--ratio", 1, "-o", more)[0] == 0
    status, _, err = edgegen("data", "import", more, "-o", target)
    assert status == 1
    assert "more.jsonl holds added flows (column synthetic): import the real ones" in err
    assert not target.exists()


def test_the_choices_of_an_import_are_recorded(tmp_path: Path, edgegen: Command) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "x.parquet"
    write_flows([Flow("x", [0, 5], [0, 1], [0.0, 1.0])], source)
    assert edgegen("data", "import", source, "-o", target, "--keep-empty", "--max-packets", 7)[0] == 0
    metadata = pq.read_schema(target).metadata
    assert (metadata[b"edgegen.keep_empty"], metadata[b"edgegen.max_packets"]) == (b"True", b"7")
    assert read_flows(target)[0].pl == [0, 5]
    assert edgegen("data", "import", source, "-o", target)[0] == 0
    assert pq.read_schema(target).metadata[b"edgegen.keep_empty"] == b"False"
    assert read_flows(target)[0].pl == [5]


@pytest.mark.parametrize(
    ("content", "args", "status", "says"),
    [
        (b"", (), 1, "in.bin is empty"),
        (b"\x00" * 100, (), 1, "in.bin is no capture"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), (), 1, "in.bin is a capture without"),
        (b"\xd4\xc3\xb2\xa1" + bytes(3), (), 1, "in.bin ends inside"),
        (b"x", ("--format", "netflow"), 2, "netflow"),
        (b"x", ("--label-by", "guess"), 2, "--label-by"),
        (b"x", ("--max-packets", "0"), 2, "--max-packets"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    tmp_path: Path, edgegen: Command, content: bytes, args: tuple[str, ...], status: int, says: str
) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(content)
    got, out, err = edgegen("data", "import", source, "-o", tmp_path / "x.parquet", *args)
    assert (got, out) == (status, "")
    assert says in err
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == ["in.bin"]


def test_a_failure_in_the_middle_leaves_no_half_table(tmp_path: Path, edgegen: Command) -> None:
    write_flows(FLOWS, tmp_path / "a.jsonl")
    (tmp_path / "b.bin").write_bytes(bytes(50))
    status, _, err = edgegen("data", "import", tmp_path / "a.jsonl", tmp_path / "b.bin", "-o", tmp_path / "x.parquet")
    assert status == 1
    assert "b.bin" in err
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "b.bin"]


def test_an_import_does_not_replace_its_source(tmp_path: Path, edgegen: Command) -> None:
    source, link = tmp_path / "in.jsonl", tmp_path / "link.jsonl"
    write_flows(FLOWS, source)
    before = source.read_bytes()
    link.hardlink_to(source)
    for target in (source, link):
        status, out, err = edgegen("data", "import", source, "-o", target)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert f"{target} is a source" in err
    assert edgegen("data", "import", tmp_path, source, "-o", source)[0] == 2
    assert source.read_bytes() == before


def test_an_import_of_a_folder_replaces_no_capture_in_it(tmp_path: Path, edgegen: Command) -> None:
    write_flows(FLOWS, tmp_path / "in.pcap")
    before = (tmp_path / "in.pcap").read_bytes()
    status, out, err = edgegen("data", "import", tmp_path, "-o", tmp_path / "in.pcap")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "in.pcap is a source" in err
    assert (tmp_path / "in.pcap").read_bytes() == before
    # The table that an import before left there is made again.
    for _ in range(2):
        assert edgegen("data", "import", tmp_path, "-o", tmp_path / "all.jsonl")[0] == 0


def test_info_shows_every_label(tmp_path: Path, edgegen: Command) -> None:
    table = tmp_path / "x.parquet"
    write_flows(FLOWS, table)
    status, out, err = edgegen("data", "info", table)
    assert (status, err) == (0, "")
    cells = {
        row.split("│")[1].strip(): [c.strip() for c in row.split("│")[2:-1]] for row in out.splitlines() if "│" in row
    }
    assert cells["dns"] == ["2", "4", "2", "45 53 61", "4.2 6 7.8", "100.0%"]
    assert cells["web"] == ["1", "3", "1", "124 517 1366", "94 760 1.43e+03", "0.0%"]
    assert cells["all"][:3] == ["3", "7", "2"]
    assert cells["all"][-1] == "66.7%"


def test_info_takes_no_name_for_markup(tmp_path: Path, edgegen: Command) -> None:
    table = tmp_path / "a[b]:smile:.jsonl"
    labels = ["GET [/v1]", "web[tls]", "[red]x", ":smile:", "a\\"]
    write_flows([Flow(label, [1], [0], [0.0]) for label in labels], table)
    status, out, err = edgegen("data", "info", table)
    assert (status, err) == (0, "")
    assert table.name in out.splitlines()[0]
    assert {row.split("│")[1].strip() for row in out.splitlines() if "│" in row} == {*labels, "all"}


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_names_that_are_no_unicode_are_escaped(tmp_path: Path, edgegen: Command, suffix: str) -> None:
    source, target = tmp_path / "caf\udce9.jsonl", tmp_path / f"out{suffix}"
    source.write_text('{"label": "\\ud800", "session": "\\udce9", "pl": [1], "dir": [0], "iat": [0]}\n')
    assert edgegen("data", "import", source, "-o", target)[0] == 0
    assert [(flow.label, flow.session) for flow in read_flows(target)] == [("\\ud800", "\\udce9")]
    status, out, err = edgegen("data", "info", source)
    assert (status, err) == (0, "")
    assert "│ \\ud800 │" in out
    assert "caf\\udce9.jsonl" in out.splitlines()[0]


def test_info_of_something_else_is_one_sentence(tmp_path: Path, edgegen: Command) -> None:
    path = tmp_path / "x.parquet"
    path.write_text(json.dumps({"a": 1}))
    status, out, err = edgegen("data", "info", path)
    assert (status, out) == (1, "")
    assert "x.parquet" in err
    assert "Traceback" not in err


def test_duplicates_agree_in_their_first_ten_packets() -> None:
    long = Flow("a", list(range(1, 13)), [0] * 12, [0.0] * 12)
    other_end = Flow("b", [*range(1, 11), 99], [0] * 11, [0.0] * 11)
    other_way = Flow("b", list(range(1, 13)), [1] * 12, [0.0] * 12)
    labels, total = summarise([long, other_end, other_way])
    assert (labels["a"].duplicates, labels["b"].duplicates, total.duplicates) == (1, 1, 2)


def test_flows_of_one_packet_have_no_times_to_show() -> None:
    labels, _ = summarise([Flow("a", [5], [0], [0.0])])
    assert labels["a"].iat_quantiles == []
