"""What every verb that opens a bundle may be told about its signature."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgegen.bundle import Bundle

RequireSignature = Annotated[
    Path | None,
    typer.Option(
        metavar="KEY.pub", help="Refuse a bundle that this key has not signed.", envvar="EDGEGEN_REQUIRE_SIGNATURE"
    ),
]
CheckSignature = Annotated[
    Path | None,
    typer.Option(
        metavar="KEY.pub", help="The same, with a warning for one not signed at all.", envvar="EDGEGEN_CHECK_SIGNATURE"
    ),
]


def open_bundle(path: Path, required: Path | None, checked: Path | None) -> "Bundle":
    """The bundle at `path`, if its signature is what was asked for."""
    from edgegen.bundle import Bundle
    from edgegen.trust import Trust

    return Bundle.open(path, Trust.asked(required, checked))
