"""The file format: an `ar` archive of a version, what dpkg reads (control) and what it unpacks (data).

The same members make the same bytes: no clock, no owner, no order but that of names.
"""

import io
import lzma
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Member:
    """A file of a package."""

    data: bytes
    mode: int = 0o644


Members = Mapping[PurePosixPath, Member]


def deb(control: Members, data: Members, seconds: int) -> bytes:
    """A package; the time of every file in it is `seconds` since 1970."""
    members = {"debian-binary": b"2.0\n", "control.tar.xz": _tar(control, seconds), "data.tar.xz": _tar(data, seconds)}
    return b"!<arch>\n" + b"".join(_ar_member(name, content, seconds) for name, content in members.items())


def folders(members: Members) -> list[PurePosixPath]:
    """The folders that members lie in, each after the one that it lies in."""
    return sorted({folder for path in members for folder in path.parents if folder.parts})


def _ar_member(name: str, content: bytes, seconds: int) -> bytes:
    head = f"{name:<16}{seconds:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)


def _tar(members: Members, seconds: int) -> bytes:
    """root's, with the folders that the members lie in."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in [PurePosixPath(), *folders(members)]:
            tar.addfile(_entry(folder, 0o755, seconds, tarfile.DIRTYPE))
        for path, member in sorted(members.items()):
            entry = _entry(path, member.mode, seconds, tarfile.REGTYPE)
            entry.size = len(member.data)
            tar.addfile(entry, io.BytesIO(member.data))
    # Unpacking takes 9 MB at this level; at the highest it takes 65 MB, which a gateway may not have.
    return lzma.compress(buffer.getvalue(), preset=6)


def _entry(path: PurePosixPath, mode: int, seconds: int, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"./{path}" if path.parts else ".")
    entry.mode, entry.mtime, entry.type = mode, seconds, kind
    entry.uname = entry.gname = "root"
    return entry
