"""When a frame is due, and waiting until then."""

import ctypes
import gc
import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from edgegen.errors import UsageError

SLOWEST, FASTEST = 0.001, 1_000.0
# A sleep ends so much too late on an idle machine, and what is left of the wait is spent looking at the clock.
SPIN_NS = 100_000
# The longest sleep, since none is broken off by what asks for the end.
NAP_NS = 100_000_000
LATENCY = "/dev/cpu_dma_latency"
# Of prctl(2). By default the kernel may let a sleep last 50 microseconds longer.
SET_TIMER_SLACK, GET_TIMER_SLACK = 29, 30


@dataclass(frozen=True)
class Pace:
    """rate: how many times as fast as the flows' own times
    mbps: million bits of frames a second at most; frames that would be more are due later
    """

    rate: float = 1.0
    mbps: float | None = None

    def __post_init__(self) -> None:
        if not SLOWEST <= self.rate <= FASTEST:
            raise UsageError(f"--rate {self.rate:g} is outside {SLOWEST}..{FASTEST:,.0f}: 2 is twice as fast")
        if self.mbps is not None and not 0 < self.mbps < float("inf"):
            raise UsageError(f"--mbps {self.mbps:g} is no number above 0: give million bits a second")


class Schedule:
    """Moments on CLOCK_MONOTONIC, in nanoseconds, all reckoned from the first frame's."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._first_us = 0
        self._start = 0
        self._free = 0  # when the frames before leave room for another

    def start(self, time_us: int, moment: int) -> None:
        """The frame of `time_us` is due at `moment`."""
        self._first_us, self._start, self._free = time_us, moment, moment

    def due(self, time_us: int, size: int) -> int:
        """When the next frame, of `size` bytes, is due."""
        due = self._start + round((time_us - self._first_us) * 1_000 / self._pace.rate)
        if self._pace.mbps is not None:
            due = max(due, self._free)
            self._free = due + round(size * 8_000 / self._pace.mbps)
        return due


def wait_until(due: int, stop: Sequence[int]) -> bool:
    """Come back at `due`, at once where it is past; False, perhaps earlier, once there is something in `stop`."""
    while not stop and (left := due - time.monotonic_ns()) > SPIN_NS:
        time.sleep(min(left - SPIN_NS, NAP_NS) / 1e9)
    while not stop and time.monotonic_ns() < due:
        pass
    return not stop


@contextmanager
def awake() -> Iterator[None]:
    """Processors that idle stay awake, where this user may ask for it (Linux's PM QoS, while the file is open).

    From a deep sleep, or as a virtual one that its host has put aside, a processor takes milliseconds to come back.
    """
    with ExitStack() as held:
        with suppress(OSError):
            latency = held.enter_context(open(LATENCY, "wb", buffering=0))
            latency.write(struct.pack("=i", 0))
        yield


@contextmanager
def undisturbed() -> Iterator[bool]:
    """Sleeps of this thread end when they should, Python does not look through all of its memory meanwhile, and
    other programs do not come first, which needs CAP_SYS_NICE: whether that could be had.
    """
    prctl = ctypes.CDLL(None).prctl
    slack = prctl(GET_TIMER_SLACK)
    prctl(SET_TIMER_SLACK, ctypes.c_ulong(1))
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    realtime = True
    try:
        # Not for the process that makes the frames, which would otherwise inherit it.
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        realtime = False
    gc.freeze()
    try:
        with awake():
            yield realtime
    finally:
        gc.unfreeze()
        if realtime:
            os.sched_setscheduler(0, *before)
        prctl(SET_TIMER_SLACK, ctypes.c_ulong(slack))
