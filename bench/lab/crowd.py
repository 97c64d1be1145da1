"""Clients that come and go: commands played on a host, several at once, with pauses for thought."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from subprocess import TimeoutExpired

from bench.lab.scenario import Host
from edgegen.errors import EdgegenError


@dataclass(frozen=True)
class Act:
    """One command of one client, with what it reads from standard input."""

    command: list[str]
    stdin: bytes = b""


def play(
    client: Host,
    acts: Sequence[Act],
    rng: random.Random,
    *,
    lanes: int = 4,
    think: tuple[float, float] = (0.02, 0.4),
    timeout: float = 60,
) -> None:
    """Run `acts` in `lanes` at once, each after a pause of `think` seconds.

    Raises EdgegenError where more than a quarter of them fail, with what the last of those said.
    """
    pauses = [rng.uniform(*think) for _ in acts]

    def perform(act: Act, pause: float) -> str:
        time.sleep(pause)
        try:
            done = client.run(act.command, stdin=act.stdin, timeout=timeout)
        except TimeoutExpired:
            return f"{act.command[0]} was not done after {timeout:.0f} s"
        if done.returncode == 0:
            return ""
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-300:]
        return f"{act.command[0]} ended with status {done.returncode}: {said}"

    with ThreadPoolExecutor(lanes) as pool:
        failures = [failure for failure in pool.map(perform, acts, pauses) if failure]
    if len(failures) * 4 > len(acts):
        raise EdgegenError(f"{len(failures)} of {len(acts)} clients failed, the last: {failures[-1]}")
