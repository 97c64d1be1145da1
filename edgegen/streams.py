"""Standard streams that whoever started us has closed: Python has None for them, and a file would get their number."""

import os
import sys


def open_streams() -> None:
    """Open what is closed: nothing can be read from it or written to it, but standard error takes and drops all."""
    # In this order, as each gets the lowest number that is free: its own.
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_WRONLY), encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
