"""Signals that ask a process to end, for what must not be broken off in the middle."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_signals() -> Iterator[list[int]]:
    """Signals that would end the process are only listed inside the block, and raised again after it.

    A second one of a kind is not held, should a reader that does not read hold up the first.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return

    def hold(number: int, frame: object) -> None:
        held.append(number)
        signal.signal(number, before[number])

    before = {number: signal.getsignal(number) for number in ENDING}
    # What whoever started us wants ignored (nohup) stays so.
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, hold)
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in held:
        signal.raise_signal(number)
