import signal

import pytest

from edgegen import signals
from edgegen.signals import ENDING, held_signals


def test_a_signal_waits_until_the_block_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in ENDING}
    try:
        with held_signals() as held:
            for number in ENDING:
                signal.raise_signal(number)
            assert (held, came) == (list(ENDING), [])
            signal.raise_signal(signal.SIGINT)
            assert (held, came) == (list(ENDING), [])
            monkeypatch.setattr(signals, "PATIENCE", 0.0)
            signal.raise_signal(signal.SIGINT)
            assert came == [signal.SIGINT]
        assert came == [signal.SIGINT, *ENDING]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_is_ignored_stays_ignored() -> None:
    """As nohup has it: what goes on after the terminal has gone is not broken off."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with held_signals() as held:
            signal.raise_signal(signal.SIGHUP)
            assert held == []
    finally:
        signal.signal(signal.SIGHUP, before)
