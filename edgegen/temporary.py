"""What is to take the place of a file or a folder once it is whole: beside it, hidden, and nobody else's.

A name by process number would not do: on a folder that two containers share, both writers may be process 1.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgegen.signals import held_signals


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, gone after the block unless it has another name by then.

    Its mode is that of any new file, and not the 0600 of tempfile's.
    """
    with _made(path, lambda name: name.touch(exist_ok=False), lambda name: name.unlink(missing_ok=True)) as made:
        yield made


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """The same with an empty folder; what is in it goes with it."""
    with _made(path, lambda name: name.mkdir(), lambda name: shutil.rmtree(name, ignore_errors=True)) as made:
        yield made


@contextmanager
def _made(path: Path, make: Callable[[Path], None], remove: Callable[[Path], None]) -> Iterator[Path]:
    made: Path | None = None
    try:
        # Only what this process made may be removed: a signal must not come between making it and knowing it.
        with held_signals():
            made = _create(path, make)
        yield made
    finally:
        if made is not None:
            # It may have its real name; and where it cannot be removed, the first error says more.
            with suppress(OSError):
                remove(made)


def _create(path: Path, make: Callable[[Path], None]) -> Path:
    while True:
        name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        with suppress(FileExistsError):
            make(name)
            return name
