"""SSH shells: people who type, and scripts that run one command, from OpenSSH to OpenSSH."""

import random
from pathlib import Path

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario
from bench.lab.servers import ssh_options, sshd

TYPIST = Path(__file__).parents[1] / "programs" / "typist.py"
LINES = (
    "ls",
    "ls -la /etc",
    "df -h",
    "uptime",
    "ps aux | tail -15",
    "free -m",
    "uname -a",
    "cat /etc/services | head -40",
    "id",
    "date",
    "w",
    "echo hello from $HOSTNAME",
    "grep -c processor /proc/cpuinfo",
    "cat /proc/loadavg",
    "for i in 1 2 3; do echo $i; sleep 0.1; done",
    "head -c 3000 /dev/urandom | base64",
    "ip -br address",
)
BATCH = (
    *LINES,
    "cat /etc/services",
    "seq 1 5000",
    "sleep 0.3; date",
    "ls -lR /etc/apt",
    "true",
    "cat /proc/meminfo",
)


def _shell(rng: random.Random, options: list[str], address: str) -> Act:
    lines = [*rng.choices(LINES, k=rng.randint(1, 3)), "exit"]
    ssh = ["ssh", *options, "-tt", f"root@{address}"]
    return Act(["python", str(TYPIST), str(rng.randrange(2**31)), *lines, "--", *ssh])


def _batch(rng: random.Random, options: list[str], address: str) -> Act:
    if rng.random() < 0.3:
        script = "\n".join(rng.choices(BATCH, k=rng.randint(1, 5)))
        return Act(["ssh", *options, f"root@{address}", "bash"], script.encode())
    return Act(["ssh", *options, f"root@{address}", rng.choice(BATCH)])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    share = rng.uniform(0.5, 0.8)
    acts = []
    for _ in range(flows):
        kind = _shell if rng.random() < share else _batch
        acts.append(kind(rng, ssh_options(client, rng), address))
    play(client, acts, rng, lanes=rng.randint(4, 6))


SCENARIO = Scenario(
    label="ssh",
    packages=("openssh-server", "openssh-client"),
    pip=(),
    filter="tcp port 22",
    serve=sshd,
    visit=visit,
)
