"""For processes that tests start."""

import signal

from edgegen.signals import ENDING


def heed() -> None:
    """In the background, or under nohup, the tests themselves ignore signals, and a child inherits that."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
