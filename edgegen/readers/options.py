"""What a user may choose about an import."""

from dataclasses import asdict, dataclass

from edgegen.errors import UsageError


@dataclass(frozen=True)
class Options:
    """label: for every flow, in place of the source's own
    label_by: `file` (a capture's stem) or `ndpi`, for captures
    idle_timeout: seconds, for captures
    max_packets: kept of a flow
    keep_empty: keep packets without payload
    keep_background: keep flows that are not of the app a file is about, under the label `background`
    """

    label: str | None = None
    label_by: str = "file"
    idle_timeout: float = 120.0
    max_packets: int = 32
    keep_empty: bool = False
    keep_background: bool = True

    def __post_init__(self) -> None:
        if self.label_by not in ("file", "ndpi"):
            raise UsageError(f"--label-by {self.label_by} is not known: say file or ndpi")
        if self.label == "":
            raise UsageError("--label is empty: give a name, or leave it out")
        if self.label is not None and self.label_by == "ndpi":
            raise UsageError("--label and --label-by ndpi contradict each other: leave one out")
        if not 0 < self.idle_timeout < 1e9:
            raise UsageError(f"--idle-timeout {self.idle_timeout} is not a time: give seconds above 0")
        if self.max_packets < 1:
            raise UsageError(f"--max-packets {self.max_packets} keeps nothing: give 1 or more")

    def metadata(self) -> dict[str, str]:
        """The choices as a parquet file records them."""
        return {f"edgegen.{name}": str(value) for name, value in asdict(self).items() if value is not None}


# A flow table is read as it stands.
AS_IT_STANDS = Options(keep_empty=True, max_packets=1 << 31)
