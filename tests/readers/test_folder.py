"""A folder is imported as far as it can be read; what cannot is counted and named."""

import gzip
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import capture_bytes as make
import pytest

from edgegen.errors import EdgegenError
from edgegen.flow import TCP, Flow
from edgegen.readers import Options, Report, import_flows
from edgegen.writers import write_flows

pytest.importorskip("pyarrow")

FLOWS = [Flow(f"app {i % 7}", [i + 1, 2], [0, 1], [0.0, i / 1e3], TCP, "a") for i in range(500)]
CAPTURE = make.pcap([(make.START, make.ethernet(make.ipv4(make.tcp(9), TCP)))])
BROKEN = "files that cannot be read, or not to their end"


def cut_gzip(path: Path) -> None:
    write_flows(FLOWS * 5, path)
    path.write_bytes(gzip.compress(path.read_bytes())[:-12])


def cut_parquet(path: Path) -> None:
    write_flows(FLOWS, path)
    path.write_bytes(path.read_bytes()[:-100])


WAYS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "quiet": ("q.pcap", lambda path: path.write_bytes(CAPTURE[:24])),
    "empty": ("e.csv", lambda path: path.write_bytes(b"")),
    "cut gzip": ("g.jsonl", cut_gzip),
    "cut parquet": ("p.parquet", cut_parquet),
    "cut header": ("h.pcap", lambda path: path.write_bytes(CAPTURE[:20])),
    "link to nowhere": ("l.pcap", lambda path: path.symlink_to("nowhere")),
}


def imported(sources: list[Path], target: Path | None = None) -> tuple[list[str], Report]:
    report = Report()
    return [path.name for path, _ in import_flows(sources, Options(), report, target=target)], report


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_file_in_a_folder_is_counted_and_named(tmp_path: Path, way: str) -> None:
    name, write = WAYS[way]
    write(tmp_path / name)
    (tmp_path / "z.pcap").write_bytes(CAPTURE)
    names, report = imported([tmp_path])
    assert names.count("z.pcap") == 1
    assert report.by_file[BROKEN] == {name: 1}
    counted, said = report.lines()
    assert counted == f"1 {BROKEN} ({name} 1)"
    assert name in said
    with pytest.raises(EdgegenError, match=name):
        imported([tmp_path / name])


def test_what_a_cut_file_holds_is_kept(tmp_path: Path) -> None:
    cut_gzip(tmp_path / "g.jsonl")
    names, _ = imported([tmp_path])
    assert 0 < len(names) < len(FLOWS) * 5


def test_a_cut_capture_gives_its_short_flows_too(tmp_path: Path) -> None:
    # What is not complete before the end is handed on at it, also where the end comes too soon.
    packets = [
        (make.START + i, make.ethernet(make.ipv4(make.tcp(0, sport=10_000 + i) + random.randbytes(90), TCP)))
        for i in range(5_000)
    ]
    (tmp_path / "cut.pcap.gz").write_bytes(gzip.compress(make.pcap(packets))[:-3_000])
    names, report = imported([tmp_path])
    assert len(names) == report.records > 2_000
    assert report.by_file[BROKEN] == {"cut.pcap.gz": 1}


def test_captures_of_one_name_are_sessions_of_their_own(tmp_path: Path) -> None:
    for name in ("web.pcap", "one/web.pcap", "two/web.pcap", "two/deep/two/web.pcap", "two/dns.pcap"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CAPTURE)

    def sessions(*sources: Path) -> list[tuple[str, str]]:
        flows = (flow for _, flow in import_flows(sources, Options(), Report()))
        return [(flow.label, flow.session) for flow in flows]

    whole = str(tmp_path / "two" / "web.pcap")
    names = [("web", "web"), ("web", "two/web"), ("dns", "dns"), ("web", whole), ("web", f"{tmp_path.name}/web")]
    assert sessions(tmp_path) == names
    assert sessions(tmp_path / "one" / "web.pcap", tmp_path / "two" / "web.pcap") == [
        ("web", "web"),
        ("web", "two/web"),
    ]


def test_hidden_folders_are_not_read(tmp_path: Path) -> None:
    for name in (".trash/a.pcap", "seen/.b.pcap", "seen/c.pcap"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(CAPTURE)
    assert imported([tmp_path])[0] == ["c.pcap"]


def test_nothing_but_broken_files_is_an_error(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / f"{name}.pcap").write_bytes(CAPTURE[:24])
    with pytest.raises(EdgegenError, match=r"no flow in .* .5 files that cannot be read, .*a.pcap is a capture"):
        imported([tmp_path])


def test_a_folder_in_it_that_cannot_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "a.pcap").write_bytes(CAPTURE)
    # For root no folder is shut.
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    names, report = imported([tmp_path])
    assert names == ["a.pcap"]
    assert report.lines() == ["1 folders that cannot be read (shut 1)"]
    with pytest.raises(EdgegenError, match=r"cannot read the folder .*shut .Permission denied"):
        imported([tmp_path / "shut"])


def test_what_is_not_installed_is_no_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flows(FLOWS, tmp_path / "a.parquet")
    (tmp_path / "b.pcap").write_bytes(CAPTURE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EdgegenError, match="needs pyarrow"):
        imported([tmp_path])


def test_the_output_is_no_part_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(CAPTURE)
    out = tmp_path / "deep" / "all.jsonl"
    out.parent.mkdir()
    for _ in range(2):
        write_flows((flow for _, flow in import_flows([tmp_path], Options(), Report(), target=out)), out)
        assert out.read_text().count("\n") == 1
    # By whatever name.
    (tmp_path / "again").symlink_to(out.parent)
    names, report = imported([tmp_path], tmp_path / "again" / "all.jsonl")
    assert names == ["a.pcap"]
    assert report.lines() == ["1 files that are the output: not read (all.jsonl 1)"]


def test_a_file_is_read_once_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "day").mkdir()
    capture = tmp_path / "day" / "web.pcap"
    capture.write_bytes(CAPTURE)
    (tmp_path / "day" / "again.pcap").symlink_to(capture)
    monkeypatch.chdir(tmp_path)
    named = [Path("day"), Path("day/web.pcap"), capture, Path("day/../day/web.pcap")]
    names, report = imported(named)
    assert len(names) == 1
    assert report.reasons == {"files that were read already: not read again": 4}


def test_sessions_that_two_tables_have_are_told_of(tmp_path: Path) -> None:
    for name in ("one.jsonl", "two.jsonl"):
        write_flows(FLOWS[:9], tmp_path / name)
    _, report = imported([tmp_path])
    assert report.reasons == {"flows of a session that another file has, too: taken for the same": 9}
