"""Flows -> files: JSON lines, CSV, parquet and pcap, streaming, the format chosen by the suffix."""

import csv
import io
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow, fault
from edgegen.pcap_writer import write_pcap

ROW_GROUP = 16_384  # flows
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


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` when the block ends well, and is gone when it does not.

    An OSError inside the block becomes an EdgegenError that names `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EdgegenError(f"cannot write {path} ({reason}): free space or choose another place") from error
    finally:
        # After success the name is gone already; a folder that cannot be read holds no temporary of ours.
        if os.path.lexists(temporary):
            temporary.unlink()


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
            file.write(json_line(flow, extra).encode("utf-8", "backslashreplace"))
            if held:
                break
        file.flush()
    return count


@contextmanager
def held_signals() -> Iterator[list[int]]:
    """Signals that would end the process are only listed inside the block, and raised again after it.

    A second one of a kind is not held, should a reader that does not read hold up the first.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return

    def hold(number: int, frame: object) -> None:
        held.append(number)
        signal.signal(number, before[number])

    ending: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in ending}
    for number in ending:
        signal.signal(number, hold)
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in held:
        signal.raise_signal(number)


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


def _write_parquet(flows: Iterator[Flow], file: BinaryIO, metadata: Metadata, extra: tuple[str, ...]) -> int:
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
        metadata=metadata,
    )
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(itertools.islice(flows, ROW_GROUP)):
            columns = {
                "label": [_unicode(flow.label) for flow in group],
                "proto": [flow.proto for flow in group],
                "session": [_unicode(flow.session) for flow in group],
                "pl": [flow.pl for flow in group],
                "dir": [flow.dir for flow in group],
                "iat": [flow.iat for flow in group],
            } | {name: [getattr(flow, name) for flow in group] for name in extra}
            writer.write_table(pa.table(columns, schema=schema), row_group_size=ROW_GROUP)
            count += len(group)
    return count


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _write_pcap(flows: Iterator[Flow], file: BinaryIO, metadata: Metadata, extra: tuple[str, ...]) -> int:
    if extra:
        raise UsageError(f"a pcap has no place for {', '.join(extra)}: write .parquet, .csv or .jsonl")
    return write_pcap(flows, file)


WRITERS = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet, ".pcap": _write_pcap}
