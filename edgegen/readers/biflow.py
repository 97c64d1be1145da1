"""Segments -> biflows: both directions of a 5-tuple, until it is idle or its connection begins anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from edgegen.readers.capture import NANOSECONDS
from edgegen.readers.frame import ACK, FIN, RST, SYN, Segment
from edgegen.readers.report import Report

BACKWARDS = "packets earlier than the one before them in their flow: inter-arrival time set to 0"
Endpoint = tuple[bytes, int]


@dataclass(slots=True)
class Biflow:
    """client: who sent first, or for TCP who sent the SYN; first, last: ns of the first and of the latest
    packet; packets: how many, kept or not; pl, dir, iat: of the packets kept, as in Flow."""

    proto: int
    client: Endpoint
    server: Endpoint
    first: int
    last: int
    packets: int = 0
    pl: list[int] = field(default_factory=list)
    dir: list[int] = field(default_factory=list)
    iat: list[float] = field(default_factory=list)
    kept_at: int = 0
    handed_on: bool = False
    syn: bool = False
    closing: bool = False
    carried: bool = False


class BiflowTable:
    """The biflows under way. Memory grows with the 5-tuples of one idle timeout, not with the capture.

    idle_timeout: seconds without a packet after which a 5-tuple is a new biflow
    max_packets:  packets kept of a biflow; it is handed on when it has them, and its 5-tuple remembered until
                  idle, so that its rest does not look like another biflow
    keep_empty:   keep packets without payload too
    """

    def __init__(self, idle_timeout: float, max_packets: int, keep_empty: bool, report: Report) -> None:
        self.idle = round(idle_timeout * NANOSECONDS)
        self.max_packets = max_packets
        self.keep_empty = keep_empty
        self.report = report
        # In the order of their latest packet: the idle ones are in front.
        self.flows: dict[tuple[int, Endpoint, Endpoint], Biflow] = {}

    def add(self, time: int, segment: Segment) -> Iterator[Biflow]:
        """Take in a segment seen at `time` (ns) and yield the biflows that are complete by now."""
        yield from self._expired(time)
        low, high = sorted((segment.src, segment.dst))
        key = (segment.proto, low, high)
        flow = self.flows.pop(key, None)
        opening = segment.flags & (SYN | ACK) == SYN
        # Away in time either way: a capture merged from two may jump back.
        if flow and (abs(time - flow.last) > self.idle or (opening and (flow.closing or flow.carried))):
            yield from self._finish(flow)
            flow = None
        if flow is None:
            answer = segment.flags & (SYN | ACK) == SYN | ACK
            ends = (segment.dst, segment.src) if answer else (segment.src, segment.dst)
            flow = Biflow(segment.proto, *ends, first=time, last=time)
        self.flows[key] = flow
        self._update(flow, time, segment, opening)
        if len(flow.pl) >= self.max_packets and not flow.handed_on:
            yield from self._finish(flow)
            flow.handed_on = True
            flow.pl, flow.dir, flow.iat = [], [], []

    def close(self) -> Iterator[Biflow]:
        """The biflows still under way when the capture ends."""
        for flow in self.flows.values():
            yield from self._finish(flow)
        self.flows.clear()

    def _expired(self, now: int) -> Iterator[Biflow]:
        while self.flows:
            key, oldest = next(iter(self.flows.items()))
            if abs(now - oldest.last) <= self.idle:
                return
            del self.flows[key]
            yield from self._finish(oldest)

    def _finish(self, flow: Biflow) -> Iterator[Biflow]:
        if flow.handed_on:
            return
        if flow.pl:
            yield flow
        else:
            self.report.count("flows without payload")

    def _update(self, flow: Biflow, time: int, segment: Segment, opening: bool) -> None:
        if opening and not flow.syn:
            flow.syn = True
            if segment.src != flow.client:
                flow.client, flow.server = flow.server, flow.client
                flow.dir = [1 - d for d in flow.dir]
        flow.packets += 1
        flow.last = time
        flow.closing = flow.closing or bool(segment.flags & (FIN | RST))
        flow.carried = flow.carried or (segment.pl > 0 and not segment.flags & SYN)
        if flow.handed_on or not (segment.pl or self.keep_empty):
            return
        gap = time - flow.kept_at if flow.pl else 0
        if gap < 0:
            self.report.count(BACKWARDS)
            gap = 0
        flow.pl.append(segment.pl)
        flow.dir.append(int(segment.src != flow.client))
        flow.iat.append(gap / NANOSECONDS)
        # What was late is no start: the flow would last longer than it did.
        flow.kept_at = max(flow.kept_at, time) if len(flow.pl) > 1 else time
