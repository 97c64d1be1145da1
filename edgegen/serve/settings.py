"""What an operator decides: where to listen, who may ask, and how much at a time."""

import ipaddress
import math
import os
from dataclasses import dataclass
from pathlib import Path

from edgegen.errors import EdgegenError, UsageError
from edgegen.runtime.request import MOST_FLOWS


@dataclass(frozen=True)
class Settings:
    """host, port:  where to listen; port 0 is any free one
    token:       what a request must bear; None where only this machine can ask
    workers:     threads that generate, each for one request at a time
    queue:       requests that may be under way together, those being generated and those waiting
    most_flows:  of one request
    most_body:   bytes of one request
    seconds:     a request may take, a slow reader's included; as long again for what is then still to be read
    patience:    seconds in which a client must have said what it wants
    drain:       seconds that requests under way are given when the server is told to stop
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    workers: int = 1
    queue: int = 64
    most_flows: int = 1_000_000
    most_body: int = 65_536
    seconds: float = 300.0
    patience: float = 10.0
    drain: float = 30.0

    def check(self) -> None:
        """Raises UsageError for settings that make no sense, or that would serve whoever asks from anywhere."""
        if not self.token and not is_loopback(self.host):
            raise UsageError(
                f"{self.host} can be reached from other machines: give a token with --token-file or EDGEGEN_TOKEN, "
                "or listen on 127.0.0.1"
            )
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"port {self.port} is outside 0..65535")
        check_most_flows(self.most_flows)
        for name in ("workers", "queue", "most_body", "seconds", "patience", "drain"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name.replace('_', ' ')} {getattr(self, name)} is no positive number")


def check_most_flows(number: int) -> None:
    """UsageError unless a request for so many flows can be answered."""
    if not 1 <= number <= MOST_FLOWS:
        raise UsageError(f"--most-flows {number} is not a whole number in 1..{MOST_FLOWS}")


def read_token(path: Path | None) -> str | None:
    """The token in the file at `path`, else in EDGEGEN_TOKEN, else none."""
    if path is None:
        return os.environ.get("EDGEGEN_TOKEN") or None
    try:
        token = path.read_text().strip()
    except OSError as error:
        reason = error.strerror or str(error)
        raise EdgegenError(f"cannot read the token in {path} ({reason}): check its path and permissions") from error
    except UnicodeDecodeError as error:
        raise EdgegenError(f"{path} is no text, and so holds no token: write one into it") from error
    if not token:
        raise UsageError(f"{path} holds no token: write one into it")
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
