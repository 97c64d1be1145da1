"""SNMP: managers that get, walk and table-read an agent, versions 1, 2c and 3."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario

USER, SECRET = "watcher", "long-enough-secret"
# Scalars and subtrees that snmpd itself has on any machine.
SCALARS = (
    *(f".1.3.6.1.2.1.1.{number}.0" for number in range(1, 8)),
    ".1.3.6.1.2.1.2.1.0",
    *(f".1.3.6.1.2.1.11.{number}.0" for number in (1, 2, 3, 30)),
    ".1.3.6.1.2.1.25.1.1.0",
    ".1.3.6.1.4.1.2021.4.5.0",
    ".1.3.6.1.4.1.2021.4.6.0",
    ".1.3.6.1.4.1.2021.11.9.0",
)
SUBTREES = (
    ".1.3.6.1.2.1.1",
    ".1.3.6.1.2.1.2.2",
    ".1.3.6.1.2.1.4",
    ".1.3.6.1.4.1.2021.10",
    ".1.3.6.1.4.1.2021.4",
)


def serve(host: Host, rng: random.Random) -> None:
    config = f"""
agentAddress udp:161
rocommunity public
sysName gw{rng.randrange(10**6)}.example
sysLocation {"rack " * rng.randint(1, 20)}
sysContact {"n" * rng.randint(4, 40)}@example.org
createUser {USER} SHA {SECRET} AES {SECRET}
rouser {USER} auth
"""
    (host.folder / "snmpd.conf").write_text(config)
    state = {"SNMP_PERSISTENT_DIR": str(host.folder / "state")}
    host.start(
        [
            "snmpd",
            "-f",
            "-Lo",
            "-C",
            "-c",
            str(host.folder / "snmpd.conf"),
            "-p",
            str(host.folder / "snmpd.pid"),
        ],
        env=state,
        ready=("udp", 161),
    )


def _who(rng: random.Random) -> list[str]:
    version = rng.choices(("1", "2c", "3"), (1, 4, 3))[0]
    if version != "3":
        return ["-v", version, "-c", "public"]
    if rng.random() < 0.4:
        return ["-v", "3", "-u", USER, "-l", "authNoPriv", "-a", "SHA", "-A", SECRET]
    return ["-v", "3", "-u", USER, "-l", "authPriv", "-a", "SHA", "-A", SECRET, "-x", "AES", "-X", SECRET]


def _question(rng: random.Random, address: str) -> Act:
    who = [*_who(rng), "-t", "3", "-r", "2", "-On", address]
    kind = rng.choices(("snmpget", "snmpgetnext", "snmpbulkget", "snmpwalk", "snmpbulkwalk"), (5, 2, 2, 2, 3))[0]
    if kind.startswith("snmpbulk") and who[1] == "1":
        kind = "snmpget"
    if kind == "snmpbulkget":
        return Act([kind, f"-Cr{rng.randint(2, 25)}", *who, rng.choice(SUBTREES)])
    if kind == "snmpbulkwalk":
        return Act([kind, f"-Cr{rng.randint(2, 30)}", *who, rng.choice(SUBTREES)])
    if kind == "snmpwalk":
        # A walk asks once a value: short subtrees only.
        return Act([kind, *who, rng.choice((".1.3.6.1.4.1.2021.10.1.3", ".1.3.6.1.2.1.1", ".1.3.6.1.2.1.2.2.1.2"))])
    return Act([kind, *who, *rng.sample(SCALARS, rng.choice((1, 1, 2, 3, 5, 8)))])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    play(client, [_question(rng, address) for _ in range(flows)], rng, lanes=rng.randint(2, 5))


SCENARIO = Scenario(
    label="snmp",
    packages=("snmp", "snmpd"),
    pip=(),
    filter="udp port 161",
    serve=serve,
    visit=visit,
)
