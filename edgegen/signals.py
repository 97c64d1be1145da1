"""Signals that ask a process to end, for what must not be broken off in the middle."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# timeout(1) sends its signal twice; who asks again later means it.
PATIENCE = 1.0  # seconds
ENDING: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_signals() -> Iterator[list[int]]:
    """Signals that would end the process are only listed inside the block, and raised again after it.

    One more of a kind is not held once PATIENCE is over, should a reader that does not read hold up the first.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return

    came: dict[int, float] = {}

    def hold(number: int, frame: object) -> None:
        now = time.monotonic()
        if number not in came:
            came[number] = now
            held.append(number)
        elif now - came[number] > PATIENCE:
            signal.signal(number, before[number])
            signal.raise_signal(number)

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
