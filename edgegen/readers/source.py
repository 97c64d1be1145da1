"""A file of flows as bytes or as text, unpacked on the way where it is compressed."""

import bz2
import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from edgegen.errors import EdgegenError
from edgegen.readers.report import Report

# How a compressed file begins.
UNPACKERS: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": cast(Callable[[Path], IO[bytes]], gzip.open),
    b"BZh": cast(Callable[[Path], IO[bytes]], bz2.open),
    b"\xfd7zXZ\x00": cast(Callable[[Path], IO[bytes]], lzma.open),
}
# The lists of a long flow are above the 131,072 characters that Python takes for the longest cell: so are those of
# 40,000 packets, which edgegen itself writes.
LONGEST_CELL = 1 << 26
csv.field_size_limit(LONGEST_CELL)
PACKED_SUFFIXES = {".gz", ".bz2", ".xz"}
# What a file that does not unpack raises, and one that cannot be read.
BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
UNREADABLE = (*BROKEN, OSError)


def stem(path: Path) -> str:
    """The name of `path` without its suffix and without that of a compression."""
    name = Path(path.stem) if path.suffix.lower() in PACKED_SUFFIXES else path
    return name.stem


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """`path` open for reading. A file that cannot be read or unpacked, here or later, is an EdgegenError."""
    try:
        with path.open("rb") as plain, _unpacked(path, plain) as file:
            yield file
    except BROKEN as error:
        raise EdgegenError(f"{path} cannot be unpacked ({error}): fetch it again") from error
    except OSError as error:
        raise EdgegenError(f"cannot read {path} ({error.strerror or error}): give a readable file") from error


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """`path` open as UTF-8; bytes that are not become U+FFFD, so that one bad row costs that row only."""
    with open_bytes(path) as file:
        yield io.TextIOWrapper(cast(BinaryIO, file), "utf-8-sig", "replace", newline="")


def _unpacked(path: Path, plain: BinaryIO) -> IO[bytes]:
    head = plain.read(8)
    plain.seek(0)
    for magic, unpack in UNPACKERS.items():
        if head.startswith(magic):
            return unpack(path)
    return plain


def csv_rows(path: Path, report: Report) -> Iterator[dict[str, str]]:
    """The rows of a CSV with a header, by column name. Rows of another width are counted and left out."""
    with open_text(path) as file:
        rows = csv.reader(file)
        names: list[str] | None = None
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error:
                report.count("rows that are no CSV")
                continue
            if names is None:
                names = row
            elif len(row) == len(names):
                yield dict(zip(names, row, strict=True))
            elif row:
                report.count("rows with more or fewer cells than the header")
