"""Output and input that do not wait lose nothing."""

import io
import os
import threading
import time
from collections.abc import Iterator

import pytest

from edgegen.streams import flush_whole, open_input, write_whole

LINES = [b"%d\n" % i * 50 for i in range(5_000)]  # more than a pipe holds


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pipe, of which neither end waits."""
    read, write = os.pipe()
    for end in (read, write):
        os.set_blocking(end, False)
    yield read, write
    os.close(read)


@pytest.mark.parametrize("buffering", [0, -1])
def test_what_a_full_pipe_does_not_take_is_written_later(ends: tuple[int, int], buffering: int) -> None:
    read, write = ends
    got: list[bytes] = []

    def slowly() -> None:
        time.sleep(0.2)
        with open_input(read) as file:
            os.set_blocking(read, True)
            got.append(file.read())

    reader = threading.Thread(target=slowly)
    reader.start()
    with open(write, "wb", buffering=buffering) as file:
        for line in LINES:
            write_whole(file, line)
        flush_whole(file)
    reader.join(60)
    assert got == [b"".join(LINES)]


def test_a_line_that_is_not_there_yet_is_waited_for(ends: tuple[int, int]) -> None:
    read, write = ends
    writer = threading.Timer(0.2, lambda: (os.write(write, b'{"n": 1}\n'), os.close(write)))
    writer.start()
    with open_input(read) as file:
        assert file.readline() == b'{"n": 1}\n'
        assert file.readline() == b""


def test_a_stream_in_memory_is_written_to_as_ever() -> None:
    file = io.BytesIO()
    write_whole(file, b"abc")
    flush_whole(file)
    assert file.getvalue() == b"abc"
