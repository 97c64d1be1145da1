"""The noun: one biflow as the sizes, directions and times of its packets, and a label."""

from dataclasses import dataclass
from typing import Any

MAX_PL = 65_535
TCP, UDP = 6, 17


@dataclass(slots=True)
class Flow:
    """One biflow.

    label: what the flow is (an application, a service)
    pl:    payload bytes of each packet above the transport header, 0..65535
    dir:   0 client to server, 1 server to client, the client being who sent first
    iat:   seconds since the previous packet, the first 0.0
    proto: 6 (TCP), 17 (UDP) or None where the source does not say
    session: the capture the flow came from; data is split by it, never by flow
    """

    label: str
    pl: list[int]
    dir: list[int]
    iat: list[float]
    proto: int | None = None
    session: str = ""

    def __len__(self) -> int:
        return len(self.pl)

    def record(self) -> dict[str, Any]:
        """The flow as the columns every file format uses; `proto` and `session` only where known."""
        row: dict[str, Any] = {"label": self.label}
        if self.proto is not None:
            row["proto"] = self.proto
        row |= {"pl": self.pl, "dir": self.dir, "iat": self.iat}
        if self.session:
            row["session"] = self.session
        return row


@dataclass(slots=True)
class AddedFlow(Flow):
    """A flow of a training set that was added to.

    synthetic: whether it was added
    weight:    what it should count for in training, 1 on the mean
    """

    synthetic: bool = False
    weight: float = 1.0


def unicode(text: str) -> str:
    """`text` as every format can hold it: what is none, of the name of a file or of JSON, becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def fault(flow: Flow) -> str | None:
    """What is wrong with `flow`, in a few words, or None where it keeps the contract."""
    lengths = {len(flow.pl), len(flow.dir), len(flow.iat)}
    if lengths == {0}:
        return "no packets"
    if len(lengths) != 1:
        return "pl, dir and iat differ in length"
    if not all(0 <= n <= MAX_PL for n in flow.pl):
        return f"a payload length outside 0..{MAX_PL}"
    if not all(d in (0, 1) for d in flow.dir):
        return "a direction other than 0 and 1"
    if not all(0.0 <= t < float("inf") for t in flow.iat):
        return "an inter-arrival time that is negative or not a number"
    if flow.iat[0] != 0.0:
        return "a first inter-arrival time other than 0"
    if flow.proto not in (None, TCP, UDP):
        return f"transport protocol {flow.proto}, where 6 and 17 are known"
    return None
