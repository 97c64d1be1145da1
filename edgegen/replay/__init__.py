"""Flows as Ethernet frames on a wire, each at its time.

The frames are those of a pcap of the same flows, and so are the times between them, which are all reckoned from the
first frame: what one is late by, the next is not.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from edgegen.errors import EdgegenError
from edgegen.replay.interface import Interface
from edgegen.replay.report import Sent
from edgegen.replay.schedule import Pace, Schedule, undisturbed, wait_until
from edgegen.replay.source import Source, batches

__all__ = ["Pace", "Source", "replay"]

# From the first frame's arrival here to its time, so that those that follow it are here, too.
LEAD_NS = 100_000_000


def replay(source: Source, interface: str, pace: Pace | None = None, stop: Sequence[int] = ()) -> dict[str, Any]:
    """Send the flows of `source` out of an interface, and tell how well their times were kept.

    stop: fills with signals when it is time to end early (see `held_signals`); the frame under way is the last
    Raises UsageError for a source that makes no sense, EdgegenError for an interface that cannot be used.
    """
    pace = pace or Pace()
    source.check()
    sent = Sent()
    with Interface(interface) as wire, undisturbed() as realtime:
        _send(source, wire, Schedule(pace), sent, stop)
    how = {"source": source.path.name, "interface": interface, "mtu": wire.mtu, "rate": pace.rate, "mbps": pace.mbps}
    return how | {"realtime": realtime} | sent.result() | {"stopped_by": stop[0] if stop else None}


def _send(source: Source, wire: Interface, schedule: Schedule, sent: Sent, stop: Sequence[int]) -> None:
    with closing(batches(source, wire.mtu, stop)) as made:
        for batch in made:
            for time_us, frame in batch:
                if not sent.packets:
                    schedule.start(time_us, time.monotonic_ns() + LEAD_NS)
                due = schedule.due(time_us, len(frame))
                if not wait_until(due, stop):
                    return
                try:
                    wire.send(frame)
                except OSError as error:
                    raise EdgegenError(
                        f"{wire.name} took {sent.packets:,} packets and no more ({error.strerror}): see `ip link`"
                    ) from error
                sent.add(len(frame), due, time.monotonic_ns())
