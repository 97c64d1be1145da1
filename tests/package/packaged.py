"""A help text, which is all that packaging reads of an executable, and a .deb read back: by Python's own tarfile and a
reader of `ar` that knows nothing of the writer.
"""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from edgegen.bundle import Bundle

HELP = "usage: edgegen generate -n N\n       edgegen info\n\ngenerate  flows -o '.jsonl' \\n\n.info\n"
PROGRAM = b"\x7fELF\x00" + HELP.encode() + b"\x00more"
Make = Callable[..., Bundle]


@dataclass(frozen=True)
class Entry:
    mode: int
    seconds: float
    owner: tuple[str, str, int, int]
    data: bytes


def members(archive: bytes) -> dict[str, bytes]:
    """The members of an `ar` archive, in order."""
    assert archive[:8] == b"!<arch>\n"
    found, at = {}, 8
    while at < len(archive):
        head = archive[at : at + 60]
        assert head[58:] == b"`\n"
        size = int(head[48:58])
        found[head[:16].decode().rstrip()] = archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    assert at == len(archive)
    return found


def entries(compressed: bytes) -> dict[str, Entry]:
    """What a tar holds; folders end in a slash."""
    with tarfile.open(fileobj=io.BytesIO(compressed), mode="r:xz") as tar:
        found = {}
        for info in tar:
            assert info.isdir() or info.isreg()
            data = b"" if info.isdir() else tar.extractfile(info).read()  # type: ignore[union-attr]
            owner = (info.uname, info.gname, info.uid, info.gid)
            found[info.name + "/" * info.isdir()] = Entry(info.mode, info.mtime, owner, data)
        return found


def read(archive: bytes) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Control and data."""
    parts = members(archive)
    assert list(parts) == ["debian-binary", "control.tar.xz", "data.tar.xz"]
    assert parts["debian-binary"] == b"2.0\n"
    return entries(parts["control.tar.xz"]), entries(parts["data.tar.xz"])
