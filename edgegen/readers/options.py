"""What a user may choose about an import."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """label: for every flow, in place of the source's own; label_by: `file` (its stem) or `ndpi`, for captures;
    idle_timeout: seconds, for captures; max_packets: kept of a flow; keep_empty: keep packets without payload;
    keep_background: keep flows that are not of the app the file is about, as label `background`."""

    label: str | None = None
    label_by: str = "file"
    idle_timeout: float = 120.0
    max_packets: int = 32
    keep_empty: bool = False
    keep_background: bool = True
