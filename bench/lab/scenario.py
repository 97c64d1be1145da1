"""What a label of EdgeLab is: a real server, real clients, and the traffic between them that counts."""

import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Host(Protocol):
    """One network namespace, and the programs that run inside it.

    address: its IPv4 address on the link between client and server
    folder:  scratch folder of this host in this session, empty at the start, removed at the end, and open to
             every user, because some servers drop root
    `python` on the PATH of every command is the lab's own environment, with all scenarios' pip packages.
    Commands run with `folder` as their working directory and HOME.
    """

    address: str
    folder: Path

    def run(
        self,
        command: list[str],
        *,
        timeout: float = 60,
        check: bool = False,
        stdin: bytes | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run to the end; with `check`, an exit status other than 0 raises with what the program said."""
        ...

    def start(
        self, command: list[str], *, env: dict[str, str] | None = None, ready: tuple[str, int] | None = None
    ) -> subprocess.Popen[bytes]:
        """Run until the session ends; `ready=("tcp", 443)` returns when that port listens."""
        ...


@dataclass(frozen=True)
class Scenario:
    """How traffic of one label comes about.

    packages: Debian packages of its programs
    pip:      Python packages of its programs, pinned
    filter:   the tcpdump expression that keeps this traffic and nothing else
    serve:    starts the servers, with content varied by the generator given
    visit:    (client, server address, generator, flows) makes about `flows` biflows by real client programs
    """

    label: str
    packages: tuple[str, ...]
    pip: tuple[str, ...]
    filter: str
    serve: Callable[[Host, random.Random], None]
    visit: Callable[[Host, str, random.Random, int], None]
