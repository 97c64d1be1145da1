import csv
import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow
from edgegen.writers import ROW_GROUP, json_line, write_flows

DNS = Flow("dns", [45, 61], [0, 1], [0.0, 0.0041], 17)
SUFFIXES = [".jsonl", ".csv", ".parquet", ".pcap"]


@st.composite
def any_flow(draw: st.DrawFn) -> Flow:
    n = draw(st.integers(1, 8))
    return Flow(
        label=draw(st.text(min_size=1, max_size=12)),
        pl=draw(st.lists(st.integers(0, 65_535), min_size=n, max_size=n)),
        dir=draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)),
        iat=[0.0] + [us / 1e6 for us in draw(st.lists(st.integers(0, 10**12), min_size=n - 1, max_size=n - 1))],
        proto=draw(st.sampled_from([6, 17, None])),
        session=draw(st.text(max_size=6)),
    )


def test_a_json_line_is_these_bytes() -> None:
    assert json_line(DNS) == '{"label": "dns", "proto": 17, "pl": [45, 61], "dir": [0, 1], "iat": [0.0, 0.0041]}\n'
    unknown = Flow('ü"\n', [0], [0], [0.0], None, "s-1")
    assert json_line(unknown) == '{"label": "ü\\"\\n", "pl": [0], "dir": [0], "iat": [0.0], "session": "s-1"}\n'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e-06, "0.000001"),
        (1e-9, "0.000000001"),
        (1e-10, "0.0"),
        (3, "3.0"),
        (599.999999, "599.999999"),
        (10.0, "10.0"),
    ],
)
def test_times_are_fixed_decimals(seconds: float, text: str) -> None:
    assert json_line(Flow("a", [1, 1], [0, 0], [0.0, seconds])).endswith(f'"iat": [0.0, {text}]}}\n')


@given(any_flow())
def test_a_json_line_is_the_record_to_the_last_digit(flow: Flow) -> None:
    assert json.loads(json_line(flow)) == flow.record()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(any_flow(), max_size=5))
def test_csv_cells_give_the_flow_back(tmp_path: Path, flows: list[Flow]) -> None:
    target = tmp_path / "flows.csv"
    assert write_flows(flows, target) == len(flows)
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    back = [
        Flow(
            row["label"],
            *(json.loads(row[name]) for name in ("pl", "dir", "iat")),
            int(row["proto"]) if row["proto"] else None,
            row["session"],
        )
        for row in rows
    ]
    assert back == flows


def test_parquet_has_the_contract_columns_row_groups_and_metadata(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "flows.parquet"
    nameless = Flow("x", [65_535], [1], [0.0])
    flows = [DNS, nameless] + [DNS] * ROW_GROUP
    assert write_flows(iter(flows), target, {"keep_empty": "no"}) == len(flows)
    table = parquet.ParquetFile(target)
    types = {field.name: str(field.type) for field in table.schema_arrow}
    assert types == {
        "label": "string",
        "proto": "uint8",
        "session": "string",
        "pl": "list<element: int32>",
        "dir": "list<element: int8>",
        "iat": "list<element: double>",
    }
    assert table.metadata.num_row_groups == 2
    assert table.schema_arrow.metadata[b"keep_empty"] == b"no"
    assert table.metadata.row_group(0).column(0).compression == "ZSTD"
    rows = table.read().slice(0, 2).to_pylist()
    assert rows[0] == DNS.record() | {"session": ""}
    assert rows[1] == nameless.record() | {"session": "", "proto": None}


def test_a_dash_is_json_lines_on_stdout(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert write_flows([DNS, DNS], "-") == 2
    assert capsysbinary.readouterr().out.decode() == json_line(DNS) * 2


def test_a_reader_of_stdout_that_has_gone_is_the_callers_to_know() -> None:
    code = (
        "import sys; from edgegen.flow import Flow; from edgegen.writers import write_flows\n"
        "try: write_flows((Flow('a', [1], [0], [0.0]) for _ in range(100_000)), '-')\n"
        "except BrokenPipeError: sys.stderr.write('gone'); sys.stderr.flush(); __import__('os')._exit(3)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b'{"label": "a", "pl": [1], "dir": [0], "iat": [0.0]}\n'
        process.stdout.close()
        assert process.stderr.read() == b"gone"
    assert process.returncode == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_flows_is_a_file_without_flows(tmp_path: Path, suffix: str) -> None:
    assert write_flows([], tmp_path / f"none{suffix}") == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"none{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_label_that_is_not_unicode_is_escaped(tmp_path: Path, suffix: str) -> None:
    assert write_flows([Flow("caf\udce9", [1], [0], [0.0], 6, "s\udce9")], tmp_path / f"odd{suffix}") == 1
    if suffix == ".jsonl":
        assert json.loads((tmp_path / "odd.jsonl").read_bytes())["label"] == "caf\udce9"


def test_metadata_that_is_not_unicode_is_escaped(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    write_flows([], tmp_path / "x.parquet", {"added by": "caf\udce9.edgegen"})
    assert pq.read_schema(tmp_path / "x.parquet").metadata[b"added by"] == b"caf\\udce9.edgegen"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failing_source_leaves_the_old_file_and_no_temporary(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"flows{suffix}"
    target.write_text("old")

    def broken() -> object:
        yield DNS
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_flows(broken(), target)  # type: ignore[arg-type]
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_one_sentence(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this machine has no /dev/full")
    opened = Path.open
    # Writes reach the device that is always full, under the name of the temporary.
    monkeypatch.setattr(Path, "open", lambda self, mode: opened(full, mode))
    with pytest.raises(EdgegenError, match=r"cannot write .*No space left on device.*: free space") as failure:
        write_flows([DNS] * 50_000, tmp_path / f"flows{suffix}")
    assert failure.value.__cause__.errno == errno.ENOSPC  # type: ignore[union-attr]
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EdgegenError, match=r"cannot write .*absent/a\.csv, as there is no folder .*absent: make"):
        write_flows([DNS], tmp_path / "absent" / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(EdgegenError, match=r"cannot write .*folder\.csv \(Is a directory\)"):
        write_flows([DNS], tmp_path / "folder.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize("name", ["flows", "flows.txt", "flows.pcapng"])
def test_an_unknown_suffix_is_a_wrong_usage_that_lists_the_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.jsonl, \.csv, \.parquet, \.pcap"):
        write_flows([DNS], tmp_path / name)


def test_a_pcap_has_no_place_for_more_columns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a pcap has no place for synthetic, weight"):
        write_flows([DNS], tmp_path / "a.pcap", extra=("synthetic", "weight"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flow_that_breaks_the_contract_is_named(tmp_path: Path, suffix: str) -> None:
    bad = Flow("dns", [1, 2], [0, 1], [0.0, float("nan")])
    with pytest.raises(EdgegenError, match="flow 1 cannot be written"):
        write_flows([DNS, bad], tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []
