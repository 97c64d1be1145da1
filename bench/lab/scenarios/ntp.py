"""NTP: single queries and short synchronisations, by ntpdate and chrony, of chrony. No clock is set."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario

KEYS = (
    "1 MD5 HEX:4C6F6E646F6E",
    "2 SHA1 HEX:536F6D65736F6D65736F6D65",
    "3 SHA256 HEX:0102030405060708090A0B0C0D0E0F10",
)


def serve(host: Host, rng: random.Random) -> None:
    (host.folder / "keys").write_text("\n".join(KEYS) + "\n")
    (host.folder / "keys").chmod(0o600)
    lines = [
        "local stratum " + str(rng.randint(1, 10)),
        "allow all",
        "port 123",
        "cmdport 0",
        "bindcmdaddress /",
    ]
    lines += [f"keyfile {host.folder}/keys", f"pidfile {host.folder}/chronyd.pid"]
    (host.folder / "chrony.conf").write_text("\n".join(lines) + "\n")
    config = str(host.folder / "chrony.conf")
    # -x: the server answers with the machine's clock and never touches it.
    host.start(["chronyd", "-d", "-x", "-u", "root", "-f", config], ready=("udp", 123))


def _synchronisation(rng: random.Random, client: Host, address: str) -> Act:
    """A chrony client in a folder of its own: a burst or polls, from one port or from a new one each time."""
    folder = client.folder / f"chrony{rng.randrange(10**9)}"
    folder.mkdir()
    (folder / "keys").write_text("\n".join(KEYS) + "\n")
    options = [rng.choice(("iburst", "minpoll -4 maxpoll -2", "minpoll -2 maxpoll 0", "iburst xleave"))]
    if rng.random() < 0.4:
        options.append(f"key {rng.randint(1, len(KEYS))}")
    lines = [f"server {address} {' '.join(options)}", f"keyfile {folder}/keys", f"pidfile {folder}/pid"]
    lines += ["cmdport 0", "bindcmdaddress /", "port 0"]
    if rng.random() < 0.6:
        lines.append(f"acquisitionport {rng.randint(20000, 60000)}")
    (folder / "chrony.conf").write_text("\n".join(lines) + "\n")
    # -Q: the offset is printed, not corrected. A client that is stopped before its answer has done its part.
    chrony = f"timeout {rng.uniform(1.5, 5):.1f} chronyd -d -Q -u root -f {folder}/chrony.conf"
    return Act(["sh", "-c", f"{chrony}; test $? -le 124"])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    acts: list[Act] = []
    for _ in range(flows):
        if rng.random() < 0.5:
            acts.append(_synchronisation(rng, client, address))
        else:
            acts.append(Act(["ntpdate", "-q", "-p", str(rng.randint(1, 4)), "-t", "3", address]))
    play(client, acts, rng, lanes=rng.randint(4, 6))


SCENARIO = Scenario(
    label="ntp",
    packages=("chrony", "ntpsec-ntpdate"),
    pip=(),
    filter="udp port 123",
    serve=serve,
    visit=visit,
)
