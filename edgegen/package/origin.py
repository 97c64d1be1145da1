"""Who a package is by, its version and its time: from the bundle and the environment, never from the clock."""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of

from edgegen.bundle import MANIFEST, Bundle
from edgegen.errors import EdgegenError, UsageError

# Reserved for examples, as no address is nobody's.
NOBODY = "edgegen <edgegen@example.com>"
_MAINTAINER = re.compile(r"[^<>]+ <[^<>@\s]+@[^<>@\s]+>")
# Debian's, without an epoch, which file names leave out.
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~]*(-[A-Za-z0-9.+~]+)?")


@dataclass(frozen=True)
class Origin:
    maintainer: str
    version: str
    time: datetime

    @property
    def seconds(self) -> int:
        return int(self.time.timestamp())


def origin(bundle: Bundle, version: str | None) -> Origin:
    """Of the packages of a bundle; version: None for edgegen's and the day."""
    if version is not None and not _VERSION.fullmatch(version):
        raise UsageError(f"--version {version!r} is not the version of a Debian package: give one like 1.2-1")
    time = _from_environment() or _exported(bundle)
    return Origin(_maintainer(), version or f"{version_of('edgegen')}+{time:%Y%m%d}-1", time)


def check_environment() -> None:
    """Refuse variables that no package can be made with."""
    _maintainer()
    _from_environment()


def _maintainer() -> str:
    mail = os.environ.get("DEBEMAIL")
    if not mail:
        return NOBODY
    maintainer = mail if "<" in mail else f"{os.environ.get('DEBFULLNAME') or mail.partition('@')[0]} <{mail}>"
    if not (_MAINTAINER.fullmatch(maintainer) and maintainer.isprintable()):
        raise UsageError(f"DEBEMAIL makes {maintainer!r} the maintainer: give an address, and a name in DEBFULLNAME")
    return maintainer


def _from_environment() -> datetime | None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    if not re.fullmatch(r"[0-9]{1,11}", epoch):
        raise UsageError(f"SOURCE_DATE_EPOCH={epoch!r} is no number of seconds since 1970: correct or unset it")
    return datetime.fromtimestamp(int(epoch), UTC)


def _exported(bundle: Bundle) -> datetime:
    try:
        return datetime.strptime(bundle.manifest.provenance["exported"], "%Y-%m-%d").replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError) as error:
        raise EdgegenError(
            f"{bundle.path / MANIFEST} does not say when it was exported: export it again or set SOURCE_DATE_EPOCH"
        ) from error
