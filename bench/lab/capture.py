"""One session: two hosts, a link, a server, a client that visits it, and what tcpdump saw of it."""

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.lab import link
from bench.lab.host import Namespace, prefix
from bench.lab.scenario import Scenario
from edgegen.errors import EdgegenError

# Ethernet, IPv4 and TCP headers at their longest; the payload's length is in the headers.
SNAP_LENGTH = 14 + 60 + 60


@dataclass(frozen=True)
class Session:
    """The n-th capture of one label over one kind of link, and how many flows it should have."""

    scenario: Scenario
    profile: link.Profile
    number: int
    flows: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.scenario.label}-{self.profile.name}-{self.number}"


@contextmanager
def _tcpdump(host: Namespace, expression: str, target: Path) -> Iterator[None]:
    """Capture at `host` while the body runs."""
    command = ["tcpdump", "-i", link.DEVICE, "-n", "-U", "-Z", "root", "-B", "16384", "-s", str(SNAP_LENGTH)]
    command += ["-w", str(target), expression]
    process = subprocess.Popen(
        ["nice", "-n", "-5", "nsenter", f"--net=/run/netns/{host.name}", "--", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    while "listening on" not in said:
        line = process.stderr.readline()
        if not line:
            raise EdgegenError(f"tcpdump did not start: {said.strip()}")
        said += line
    try:
        yield
    finally:
        # The kernel hands its buffer over once a second, and what it still holds at the end is lost.
        time.sleep(1.2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def record(session: Session, target: Path, programs: Path) -> None:
    """Play `session` and write its capture to `target`, whole or not at all.

    programs: the folder of the lab's own `python`
    """
    rng = random.Random(f"{session.seed}/{session.name}")
    profile = link.varied(session.profile, rng)
    partial = target.with_suffix(".part")
    stem = prefix(os.getpid()) + session.name
    with tempfile.TemporaryDirectory(prefix="edgelab-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        # What a server runs to its end is preparation: keys, films, tables. It must not hold up live sessions.
        server = Namespace(f"{stem}-s", link.SERVER_ADDRESS, Path(folder, "server"), programs, niceness=15)
        client = Namespace(f"{stem}-c", link.CLIENT_ADDRESS, Path(folder, "client"), programs)
        try:
            with server, client, link.joined(client.name, server.name, profile, rng.randrange(2**31)):
                session.scenario.serve(server, rng)
                with _tcpdump(client, session.scenario.filter, partial):
                    session.scenario.visit(client, link.SERVER_ADDRESS, rng, session.flows)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
