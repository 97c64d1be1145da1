"""Standard streams as whoever started us has left them.

Closed, Python has None for them, and a file would get their number. Or they do not wait (O_NONBLOCK): then we do.
"""

import io
import os
import select
import sys
from typing import Any, BinaryIO


def open_streams() -> None:
    """Open what is closed: nothing can be read from it or written to it, but standard error takes and drops all."""
    # In this order, as each gets the lowest number that is free: its own.
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_WRONLY), encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def write_whole(file: BinaryIO, data: bytes) -> None:
    """Write all of `data`, in as many parts as `file` takes."""
    left = memoryview(data)
    while left:
        try:
            # Unbuffered, a stream that does not wait has written None where it can take nothing.
            written = file.write(left) or 0
        except BlockingIOError as error:
            written = error.characters_written
        left = left[written:]
        if left:
            _wait(file.fileno(), select.POLLOUT)


def flush_whole(file: BinaryIO) -> None:
    """Write what is left in the buffer of `file`."""
    while True:
        try:
            return file.flush()
        except BlockingIOError:
            _wait(file.fileno(), select.POLLOUT)


def open_input(descriptor: int) -> io.BufferedReader:
    """What can be read from `descriptor`, which stays open; a read waits for it."""
    return io.BufferedReader(_Waiting(descriptor))


class _Waiting(io.RawIOBase):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            try:
                data = os.read(self._descriptor, len(buffer))
            except BlockingIOError:
                _wait(self._descriptor, select.POLLIN)
            else:
                buffer[: len(data)] = data
                return len(data)


def _wait(descriptor: int, event: int) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    poll.poll()
