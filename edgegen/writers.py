"""Flows -> files: JSON lines, CSV, parquet and pcap, streaming, the format chosen by the suffix."""

import csv
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow, fault, unicode
from edgegen.paths import same
from edgegen.pcap_writer import write_pcap
from edgegen.signals import held_signals
from edgegen.streams import flush_whole, write_whole
from edgegen.temporary import new_file

ROW_GROUP = 16_384  # flows
TABLES = (".parquet", ".jsonl", ".csv")  # what holds flows with their labels
CSV_COLUMNS = ("label", "proto", "session", "pl", "dir", "iat")

Metadata = dict[str, str]


def write_flows(
    flows: Iterable[Flow], path: Path | str, metadata: Metadata | None = None, extra: tuple[str, ...] = ()
) -> int:
    """Write `flows` to `path` and return how many; `-` is JSON lines on stdout.

    metadata: kept in a parquet file's schema; the other formats have no place for it and drop it.
    extra: more columns, attributes of the flows: `synthetic`, `weight` (see `AddedFlow`); a pcap has none.
    The file appears under its name only when whole. UsageError for a suffix that is none of the four,
    EdgegenError where the file cannot be written or a flow breaks the contract; BrokenPipeError from
    stdout is the caller's.
    """
    if str(path) == "-":
        return _write_records(_sound(flows, "stdout"), sys.stdout.buffer, extra)
    path = Path(path)
    writer = _writer_for(path)
    with whole_file(path) as file:
        return writer(_sound(flows, str(path)), file, metadata or {}, extra)


def check_table(path: Path, sources: Iterable[Path]) -> None:
    """UsageError unless flows of `sources` can be written to `path`: to a table, and to none of these."""
    if any(same(path, source) for source in sources):
        raise UsageError(f"{path} is a source, and would be replaced by its own flows: write to another file")
    if str(path) != "-" and path.suffix.lower() not in TABLES:
        raise UsageError(f"{path} is no table that edgegen writes: name it with one of {', '.join(TABLES)}")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` when the block ends well, and is gone when it does not.

    An OSError inside the block becomes an EdgegenError that names `path`.
    """
    try:
        with new_file(path) as temporary:
            with temporary.open("wb") as file:
                yield file
            os.replace(temporary, path)
    except OSError as error:
        if not path.parent.is_dir():
            raise EdgegenError(f"cannot write {path}, as there is no folder {path.parent}: make it first") from error
        reason = error.strerror or str(error)
        raise EdgegenError(f"cannot write {path} ({reason}): free space or choose another place") from error


def json_line(flow: Flow, extra: tuple[str, ...] = ()) -> str:
    """One flow as JSON lines has it, newline included; the compiled engine prints the same bytes."""
    cells = [f'"label": {json.dumps(flow.label, ensure_ascii=False)}']
    if flow.proto is not None:
        cells.append(f'"proto": {flow.proto}')
    cells += [f'"pl": {_ints(flow.pl)}', f'"dir": {_ints(flow.dir)}', f'"iat": {_times(flow.iat)}']
    if flow.session:
        cells.append(f'"session": {json.dumps(flow.session, ensure_ascii=False)}')
    cells += [f'"{name}": {json.dumps(getattr(flow, name))}' for name in extra]
    return "{" + ", ".join(cells) + "}\n"


def _writer_for(path: Path) -> Callable[[Iterator[Flow], BinaryIO, Metadata, tuple[str, ...]], int]:
    if path.suffix.lower() not in WRITERS:
        known = ", ".join(WRITERS)
        raise UsageError(f"{path} has none of the suffixes edgegen writes ({known}): name the output with one")
    return WRITERS[path.suffix.lower()]


def _sound(flows: Iterable[Flow], target: str) -> Iterator[Flow]:
    for number, flow in enumerate(flows):
        if wrong := fault(flow):
            raise EdgegenError(f"flow {number} cannot be written to {target}: it has {wrong}; drop it first")
        yield flow


def _ints(values: Sequence[int]) -> str:
    return "[" + ", ".join(str(int(value)) for value in values) + "]"


def _times(seconds: Sequence[float]) -> str:
    return "[" + ", ".join(_decimal(value) for value in seconds) + "]"


def _decimal(seconds: float) -> str:
    """At most nine decimals, at least one, never an exponent: 0.0041, 3.0."""
    digits = f"{seconds:.9f}".rstrip("0")
    return digits + "0" if digits.endswith(".") else digits


def _write_jsonl(flows: Iterator[Flow], file: BinaryIO, metadata: Metadata, extra: tuple[str, ...]) -> int:
    count = 0
    for count, flow in enumerate(flows, start=1):  # noqa: B007  the last number is the result
        # A lone surrogate (a file name that is not UTF-8) becomes \udcxx, which is what JSON calls it.
        file.write(json_line(flow, extra).encode("utf-8", "backslashreplace"))
    return count


def _write_records(flows: Iterator[Flow], file: BinaryIO, extra: tuple[str, ...]) -> int:
    """JSON lines to a stream, which ends with a whole record even where a signal ends the process."""
    count = 0
    with held_signals() as held:
        for count, flow in enumerate(flows, start=1):  # noqa: B007
            write_whole(file, json_line(flow, extra).encode("utf-8", "backslashreplace"))
            if held:
                break
        flush_whole(file)
    return count


def _write_csv(flows: Iterator[Flow], file: BinaryIO, metadata: Metadata, extra: tuple[str, ...]) -> int:
    text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
    # Quoting all text keeps a carriage return inside a label, which minimal quoting loses.
    rows = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    rows.writerow((*CSV_COLUMNS, *extra))
    count = 0
    for count, flow in enumerate(flows, start=1):  # noqa: B007
        lists = (_ints(flow.pl), _ints(flow.dir), _times(flow.iat))
        rows.writerow((flow.label, flow.proto, flow.session, *lists, *(getattr(flow, name) for name in extra)))
    text.detach()
    return count


class _Sink(io.RawIOBase):
    """A file that hands on what has been written since it was last asked."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def parquet_parts(
    flows: Iterator[Flow], metadata: Metadata | None = None, extra: tuple[str, ...] = (), group: int = ROW_GROUP
) -> Iterator[bytes]:
    """The bytes of a parquet file, those of `group` flows at a time. See `write_flows`."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise EdgegenError("parquet needs pyarrow, which is not installed: pip install 'edgegen[data]'") from error
    schema = pa.schema(
        [
            pa.field("label", pa.string(), nullable=False),
            ("proto", pa.uint8()),
            ("session", pa.string()),
            ("pl", pa.list_(pa.int32())),
            ("dir", pa.list_(pa.int8())),
            ("iat", pa.list_(pa.float64())),
            *((name, {"synthetic": pa.bool_(), "weight": pa.float64()}[name]) for name in extra),
        ],
        metadata={key: unicode(value) for key, value in (metadata or {}).items()},
    )
    sink = _Sink()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        while rows := list(itertools.islice(flows, group)):
            columns = {
                "label": [unicode(flow.label) for flow in rows],
                "proto": [flow.proto for flow in rows],
                "session": [unicode(flow.session) for flow in rows],
                "pl": [flow.pl for flow in rows],
                "dir": [flow.dir for flow in rows],
                "iat": [flow.iat for flow in rows],
            } | {name: [getattr(flow, name) for flow in rows] for name in extra}
            writer.write_table(pa.table(columns, schema=schema), row_group_size=group)
            yield sink.take()
    yield sink.take()


def _write_parquet(flows: Iterator[Flow], file: BinaryIO, metadata: Metadata, extra: tuple[str, ...]) -> int:
    # zip asks for a flow first, so that the counter is where the flows end.
    counter = itertools.count()
    for part in parquet_parts((flow for flow, _ in zip(flows, counter, strict=False)), metadata, extra):
        file.write(part)
    return next(counter)


def _write_pcap(flows: Iterator[Flow], file: BinaryIO, metadata: Metadata, extra: tuple[str, ...]) -> int:
    if extra:
        raise UsageError(f"a pcap has no place for {', '.join(extra)}: write .parquet, .csv or .jsonl")
    return write_pcap(flows, file)


WRITERS = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet, ".pcap": _write_pcap}
