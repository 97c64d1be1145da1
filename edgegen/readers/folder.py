"""The files to import, of sources that are files and folders."""

import os
from collections.abc import Iterator
from pathlib import Path

from edgegen.errors import EdgegenError
from edgegen.paths import same
from edgegen.readers.report import Report


def files(source: Path, report: Report, besides: Path | None = None) -> Iterator[Path]:
    """`source`, or what lies in that folder, sorted, without what is hidden and without the file `besides`.

    A folder in it that cannot be read is counted. Raises EdgegenError where `source` itself cannot be, or is empty.
    """
    if not source.is_dir():
        yield source
        return
    found = []
    for folder, folders, names in os.walk(source, onerror=lambda error: _unreadable(error, source, report)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    found = [path for path in found if _is_import(path, report, besides)]
    if not found:
        raise EdgegenError(f"the folder {source} holds no file: give one with captures or data sets")
    yield from sorted(found)


def _is_import(path: Path, report: Report, besides: Path | None) -> bool:
    if besides is not None and same(path, besides):
        report.source = path.name
        report.count("files that are the output: not read")
        return False
    # Nothing comes from a pipe or a device. A link to nowhere is left to the reader, which says so.
    return os.path.isfile(path) or not os.path.exists(path)


def _unreadable(error: OSError, source: Path, report: Report) -> None:
    """Count a folder that os.walk could not list; one that was named is an error."""
    path = Path(str(error.filename))
    if path == source:
        raise EdgegenError(f"cannot read the folder {source} ({error.strerror}): give a readable one") from error
    report.source = path.name
    report.count("folders that cannot be read")
