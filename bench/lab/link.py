"""The links between client and server: five kinds of access network, by netem or by the relay in relay.c."""

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from edgegen.errors import EdgegenError

DEVICE = "eth0"
CLIENT_ADDRESS, SERVER_ADDRESS = "10.77.0.2", "10.77.0.1"
# Packets as they are on a wire: at most one MTU each, with checksums.
OFFLOADS = ("tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off")


@dataclass(frozen=True)
class Profile:
    """One access network, seen from the client; times are one way, in milliseconds, and rates in Mbit/s.

    jitter: mean of the exponential delay that comes on top
    loss:   share of packets lost by chance, beside those that a full queue drops
    queue:  what the bottleneck can hold, in milliseconds at its rate
    slot:   packets arrive together at multiples of this time, as radio schedulers and satellites deliver them
    """

    name: str
    delay: float
    jitter: float
    up: float
    down: float
    loss: float
    queue: float
    slot: float = 0.0


PROFILES = (
    Profile("lan", delay=0.3, jitter=0.1, up=100, down=100, loss=0.0, queue=20),
    Profile("wifi", delay=7, jitter=2.5, up=30, down=50, loss=0.001, queue=100),
    Profile("dsl", delay=15, jitter=1, up=2, down=16, loss=0.0003, queue=150),
    Profile("lte", delay=24, jitter=6, up=10, down=30, loss=0.001, queue=250, slot=1),
    Profile("satellite", delay=280, jitter=5, up=3, down=20, loss=0.003, queue=200, slot=2),
)


def varied(profile: Profile, rng: random.Random) -> Profile:
    """A line of its own: another distance, another contract, another day."""
    return replace(
        profile,
        delay=profile.delay * rng.uniform(0.6, 1.5),
        jitter=profile.jitter * rng.uniform(0.3, 2.0),
        up=profile.up * rng.uniform(0.5, 1.5),
        down=profile.down * rng.uniform(0.5, 1.5),
        loss=profile.loss * rng.uniform(0.0, 2.0),
    )


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _inside(namespace: str, *command: str) -> None:
    _ip("netns", "exec", namespace, *command)


@cache
def has_netem() -> bool:
    """Whether this kernel shapes links itself."""
    name = f"lab-probe-{random.SystemRandom().randrange(10**6)}"
    _ip("netns", "add", name)
    command = [
        "ip",
        "netns",
        "exec",
        name,
        "tc",
        "qdisc",
        "add",
        "dev",
        "lo",
        "root",
        "netem",
        "delay",
        "1ms",
    ]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    finally:
        _ip("netns", "delete", name)


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Where the relay is compiled, gone when the run ends."""
    return tempfile.TemporaryDirectory(prefix="edgelab-relay-")


@cache
def relay_program() -> Path:
    """The relay, compiled once a run."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise EdgegenError("no C compiler for bench/lab/relay.c: install gcc")
    program = Path(_scratch().name) / "relay"
    source = Path(__file__).with_name("relay.c")
    subprocess.run([compiler, "-O2", "-Wall", "-o", str(program), str(source), "-lm"], check=True)
    return program


def _relay_direction(profile: Profile, mbit: float) -> str:
    rate = mbit * 1e6 / 8
    queue = max(rate * profile.queue / 1e3, 6_000)
    times = (profile.delay * 1e3, profile.jitter * 1e3, rate, profile.loss * 1e6, queue, profile.slot * 1e3)
    return ",".join(f"{value:.0f}" for value in times)


def _netem(profile: Profile, mbit: float) -> list[str]:
    packets = max(int(mbit * 1e6 / 8 * profile.queue / 1e3 / 1500), 8)
    arguments = ["netem", "delay", f"{profile.delay:.3f}ms", f"{profile.jitter:.3f}ms"]
    arguments += ["rate", f"{mbit:.3f}mbit", "loss", f"{profile.loss:.4%}", "limit", str(packets)]
    return arguments + (["slot", f"{profile.slot:.0f}ms"] if profile.slot else [])


@contextmanager
def _relay_link(client: str, server: str, profile: Profile, seed: int) -> Iterator[None]:
    up, down = _relay_direction(profile, profile.up), _relay_direction(profile, profile.down)
    # A relay that waits for the processor would add delays of its own.
    command = ["chrt", "--fifo", "10", str(relay_program()), client, server, DEVICE, str(seed), up, down]
    relay = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert relay.stdout is not None
    assert relay.stderr is not None
    try:
        if relay.stdout.readline() != "ready\n":
            raise EdgegenError(f"the link's relay did not start: {relay.stderr.read().strip()}")
        yield
    finally:
        relay.kill()
        relay.communicate()


@contextmanager
def _netem_link(client: str, server: str, profile: Profile) -> Iterator[None]:
    """Two veths, and between them a bridge with the delays: tcpdump sees packets leave before those."""
    middle = f"{client}-link"
    _ip("netns", "add", middle)
    try:
        _ip("-n", middle, "link", "add", "bridge0", "type", "bridge")
        for host, port, mbit in ((client, "client", profile.down), (server, "server", profile.up)):
            _ip("-n", middle, "link", "add", port, "type", "veth", "peer", "name", DEVICE, "netns", host)
            _ip("-n", middle, "link", "set", port, "master", "bridge0", "up")
            for namespace, device in ((middle, port), (host, DEVICE)):
                _inside(namespace, "ethtool", "-K", device, *OFFLOADS)
            _inside(middle, "tc", "qdisc", "add", "dev", port, "root", *_netem(profile, mbit))
        _ip("-n", middle, "link", "set", "bridge0", "up")
        yield
    finally:
        _ip("netns", "delete", middle)


@contextmanager
def joined(client: str, server: str, profile: Profile, seed: int) -> Iterator[None]:
    """Two namespaces connected by `profile` and addressed, while the body runs."""
    link = _netem_link(client, server, profile) if has_netem() else _relay_link(client, server, profile, seed)
    with link:
        for name, address in ((client, CLIENT_ADDRESS), (server, SERVER_ADDRESS)):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", DEVICE)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", DEVICE, "up")
        yield
