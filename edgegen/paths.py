"""What is at a path."""

import os
from pathlib import Path

from edgegen.errors import EdgegenError


def is_there(path: Path) -> bool:
    """EdgegenError where that cannot be told, as in a folder that is closed to us."""
    try:
        return path.exists()
    except OSError as error:
        raise EdgegenError(f"cannot read {path} ({error.strerror}): check the path and its permissions") from error


def same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, under whatever names."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def check_folder(path: Path) -> None:
    """EdgegenError unless something can be written to `path`'s folder."""
    if not os.access(path.parent, os.W_OK):
        raise EdgegenError(
            f"the folder {path.parent} is missing or closed to you: choose another place for {path.name}"
        )
