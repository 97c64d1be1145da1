"""A bundle -> Debian packages, one for each processor: `dpkg -i` puts the executable and its socket on a gateway.

It takes nothing of the workshop: whoever has a bundle can package it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from edgegen.bundle import Bundle, this_target
from edgegen.errors import EdgegenError, UsageError
from edgegen.package.content import ARCHITECTURES, Facts, contents
from edgegen.package.deb import deb
from edgegen.package.origin import check_environment, origin
from edgegen.writers import whole_file

__all__ = ["check", "package"]

# What the names of Debian packages and those of systemd units have in common; a file name has room for the rest.
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


def package(
    bundle: Bundle, folder: Path, targets: Sequence[str] = (), version: str | None = None, port: int = 8585
) -> list[Path]:
    """Write the packages of a bundle into `folder`: each whole or not at all, the same bytes from the same bundle.

    targets: none meaning all that the bundle has
    version: of Debian's form; none: edgegen's, and the day of the export
    port: where the socket listens, once it is enabled
    Raises EdgegenError where the bundle lacks a target or the folder cannot be written, UsageError for an unknown
    target, a wrong version or environment.
    """
    name, made_by = _name(bundle.path), origin(bundle, version)
    made = {}
    for target in targets or bundle.manifest.targets or (this_target(),):
        if target not in ARCHITECTURES:
            raise UsageError(f"no package is made for {target}: choose of {', '.join(ARCHITECTURES)}")
        executable = bundle.executable(target)
        path = folder / f"edgegen-{name}_{made_by.version}_{ARCHITECTURES[target]}.deb"
        made[path] = deb(*contents(bundle, executable, Facts(name, target, made_by, port)), made_by.seconds)
    for path, data in made.items():
        with whole_file(path) as file:
            file.write(data)
    return list(made)


def check(path: Path) -> None:
    """Refuse, before a bundle is made at `path`, a name or an environment that it could not be packaged with."""
    _name(path)
    check_environment()


def _name(path: Path) -> str:
    """What is left of a bundle's name in that of its packages: home_LAN.edgegen -> home-lan."""
    stem = path.absolute().name.removesuffix(".edgegen")
    name = re.sub("[ _]", "-", stem.lower())
    if not _NAME.fullmatch(name):
        raise EdgegenError(
            f"{stem!r} makes no name of a Debian package: rename the bundle with at most 100 of a-z, 0-9, - and ."
        )
    return name
