"""Writing a bundle: whole or not at all, and never over anything that is not one."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgegen.bundle import FIRST_LINE, MANIFEST, SIGNATURE, Bundle, Manifest, is_inside
from edgegen.errors import EdgegenError
from edgegen.paths import check_folder
from edgegen.signals import held_signals
from edgegen.temporary import new_folder


def is_bundle(path: Path) -> bool:
    """Whether `path` looks like something `write_bundle` wrote, sound or not."""
    try:
        with (path / MANIFEST).open("rb") as file:
            return file.read(11) == b'{"sha256": '
    except OSError:
        return False


def check_place(path: Path) -> None:
    """Refuse, before any work is done, a place where a bundle cannot or must not be written."""
    if os.path.lexists(path) and not is_bundle(path):
        raise EdgegenError(f"{path} exists and is not a bundle: choose another name or remove it")
    check_folder(_place(path))


def write_bundle(
    path: Path | str,
    files: Mapping[str, bytes | Path],
    manifest: Manifest,
    sign: Callable[[bytes], bytes] | None = None,
) -> Bundle:
    """Write a bundle under a temporary name, renamed when it is whole; it replaces an older bundle.

    path:  a link stays, and what it points to is replaced
    files: name inside the bundle ("x86_64/edgegen") -> its bytes, or the file to copy
    sign:  bytes -> their signature, where executables and manifest are to bear one
    Raises EdgegenError where `path` is something else than a bundle, or cannot be written.
    """
    path = Path(path)
    check_place(path)
    executables = {target.executable for target in manifest.targets.values()}
    place = _place(path)
    with _replacing(place) as folder:
        named = executables & files.keys()
        signatures = {f"{name}.sig": sign(_bytes(files[name])) for name in sorted(named)} if sign else {}
        hashes = {}
        for name, content in {**files, **signatures}.items():
            if not is_inside(name):
                raise EdgegenError(f"{name!r} is not a file name inside a bundle: use one relative to its folder")
            data = _bytes(content)
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if name in executables else 0o644)
            hashes[name] = hashlib.sha256(data).hexdigest()
        rest = json.dumps({**manifest.to_json(), "files": hashes}, indent=1, ensure_ascii=False)[2:] + "\n"
        text = (FIRST_LINE.format(hashlib.sha256(rest.encode()).hexdigest()) + rest).encode()
        (folder / MANIFEST).write_bytes(text)
        if sign:
            (folder / SIGNATURE).write_bytes(sign(text))
        Bundle.open(folder)
    # From inside it, `.` is still the folder that was replaced.
    return Bundle.open(place if path.name in ("", "..") else path)


def _place(path: Path) -> Path:
    """Where `path` is, which may be a link or `.`: a folder whose name can be given to another."""
    try:
        return Path(os.path.realpath(path))
    except OSError as error:
        raise EdgegenError(f"cannot tell where {path} is ({error.strerror}): give its whole path") from error


def _bytes(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A folder beside `path` that takes its place if the block succeeds, and goes if it does not."""
    try:
        with new_folder(path) as fresh:
            yield fresh
            # A signal between the two would leave neither the new bundle nor the old one.
            with new_folder(path) as old, held_signals():
                replaced = path.exists()
                if replaced:
                    path.rename(old)
                try:
                    fresh.rename(path)
                except BaseException:
                    if replaced:
                        old.rename(path)
                    raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EdgegenError(f"cannot write {path}: {reason}; choose another place or make room") from error
