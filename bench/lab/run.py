"""All sessions of the lab, several at once, and the data set made of their captures."""

import importlib
import os
import pkgutil
import random
import subprocess
import venv
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from threading import Event

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.lab import host, scenarios
from bench.lab.capture import Session, record
from bench.lab.link import PROFILES, has_netem
from bench.lab.scenario import Scenario
from edgegen.errors import EdgegenError, UsageError
from edgegen.flow import Flow
from edgegen.readers import open_flows
from edgegen.readers.options import Options

MAX_PACKETS = 32
TRIES = 3
TOOLS = ("tcpdump", "iproute2", "ethtool", "gcc", "libc6-dev")


def load(labels: Sequence[str] = ()) -> list[Scenario]:
    """The scenarios of `labels`, or all of them, by name."""
    known = sorted(module.name for module in pkgutil.iter_modules(scenarios.__path__))
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise UsageError(f"no scenario named {', '.join(unknown)}; there are {', '.join(known)}")
    names = sorted(labels) or known
    return [importlib.import_module(f"bench.lab.scenarios.{name}").SCENARIO for name in names]


def install(chosen: Iterable[Scenario], folder: Path) -> None:
    """Install the Debian packages of the scenarios, and their Python packages into a venv in `folder`."""
    chosen = list(chosen)
    packages = sorted({*TOOLS, *(name for scenario in chosen for name in scenario.packages)})
    subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], check=True)
    environment = folder / "venv"
    if not (environment / "bin" / "python").exists():
        venv.create(environment, with_pip=True)
    pip = sorted({name for scenario in chosen for name in scenario.pip})
    if pip:
        subprocess.run([environment / "bin" / "pip", "install", "--quiet", *pip], check=True)


def plan(chosen: Iterable[Scenario], rounds: int, flows: int, seed: int) -> list[Session]:
    """`rounds` sessions of each scenario over each profile, in a mixed order that spreads the load."""
    sessions = [
        Session(scenario, profile, number, flows, seed)
        for scenario in chosen
        for profile in PROFILES
        for number in range(rounds)
    ]
    random.Random(seed).shuffle(sessions)
    return sessions


def _attempt(session: Session, work: Path, stop: Event) -> None:
    """Record `session`, again where it fails: a real program that misses its moment is no reason to end."""
    target = work / "captures" / f"{session.name}.pcap"
    for left in reversed(range(TRIES)):
        try:
            record(session, target, work / "venv" / "bin")
            return
        except (EdgegenError, OSError, subprocess.SubprocessError) as error:
            if left == 0 or stop.is_set():
                raise EdgegenError(f"session {session.name} failed {TRIES - left} times: {error}") from error


def capture(sessions: Sequence[Session], work: Path, jobs: int) -> list[str]:
    """Record the sessions that `work` has no capture of yet; returns what failed, one sentence each."""
    captures = work / "captures"
    captures.mkdir(parents=True, exist_ok=True)
    missing = [session for session in sessions if not (captures / f"{session.name}.pcap").exists()]
    failures: list[str] = []
    stop = Event()
    host.sweep()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        bar = progress.add_task("sessions", total=len(missing))
        running: list[Future[None]] = [pool.submit(_attempt, session, work, stop) for session in missing]
        try:
            for done in as_completed(running):
                progress.advance(bar)
                error = done.exception()
                if isinstance(error, EdgegenError):
                    failures.append(str(error))
                    console.print(f"edgelab: {error}", highlight=False)
                elif error is not None:
                    raise error
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # Without their programs the sessions that still run fail at once, and clean up.
            for name in host.namespaces():
                if name.startswith(host.prefix(os.getpid())):
                    host.end_processes(name)
            raise
    return failures


def provenance(chosen: Iterable[Scenario], work: Path, seed: int) -> dict[str, str]:
    """What made the data, for its metadata: the programs and their versions, the links, the seed."""
    chosen = list(chosen)
    debian = sorted({*TOOLS, *(name for scenario in chosen for name in scenario.packages)})
    listing = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *debian]
    shown = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    return {
        "source": "EdgeLab, recorded by bench/lab",
        "links": "netem" if has_netem() else "relay",
        "seed": str(seed),
        "programs": "; ".join(shown.splitlines()),
        "python_packages": "; ".join(sorted({name for scenario in chosen for name in scenario.pip})),
    }


def flows_of(session: Session, work: Path) -> list[Flow]:
    """The flows of one capture: first packets with payload, times in whole microseconds."""
    path = work / "captures" / f"{session.name}.pcap"
    options = Options(label=session.scenario.label, max_packets=MAX_PACKETS)
    return [
        replace(flow, iat=[round(seconds, 6) for seconds in flow.iat], session=session.name)
        for flow in open_flows(path, options)
    ]


def assemble(sessions: Sequence[Session], work: Path, flows: int) -> Iterator[Flow]:
    """The flows of all captures, at most `flows` of a session (drawn by its seed), by name and time."""
    for session in sorted(sessions, key=lambda session: session.name):
        if not (work / "captures" / f"{session.name}.pcap").exists():
            continue
        found = flows_of(session, work)
        if len(found) > flows:
            keep = sorted(random.Random(f"{session.seed}/{session.name}").sample(range(len(found)), flows))
            found = [found[index] for index in keep]
        yield from found
