"""Rows of a parquet file, a batch in memory at a time."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgegen.errors import EdgegenError

BATCH = 2048  # rows


def parquet_columns(path: Path) -> list[str]:
    """The column names of `path`. EdgegenError where it cannot be read."""
    return list(_open(path).schema_arrow.names)


def parquet_rows(path: Path, required: Sequence[str], optional: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of `path`, of the columns named. EdgegenError where a required one is missing."""
    import pyarrow as pa

    file = _open(path)
    names = file.schema_arrow.names
    missing = [name for name in required if name not in names]
    if missing:
        raise EdgegenError(
            f"{path} has no column {', '.join(missing)} (it has: {', '.join(names)}): give a file with flows"
        )
    wanted = [name for name in dict.fromkeys([*required, *optional]) if name in names]
    try:
        for batch in file.iter_batches(BATCH, columns=wanted, use_threads=False):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise EdgegenError(f"{path} is damaged ({_first_line(error)}): make or fetch it again") from error


def _open(path: Path) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise EdgegenError("parquet needs pyarrow, which is not installed: pip install 'edgegen[data]'") from error
    try:
        # As bytes: of a name that is no Unicode, pyarrow takes no string.
        return parquet.ParquetFile(pa.OSFile(os.fsencode(path)))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise EdgegenError(f"{path} is no whole parquet file ({_first_line(error)}): copy or write it again") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
