"""File copies over SSH, up and down, by scp (both protocols), sftp and a tar pipe."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario
from bench.lab.servers import ssh_options, sshd

FILES = 16


def _fill(host: Host, rng: random.Random) -> None:
    for number in range(FILES):
        size = int(10 ** rng.uniform(1.5, 5.8))
        block = rng.randbytes(min(size, rng.choice((200, 10**6))))
        (host.folder / f"file{number}").write_bytes((block * (size // len(block) + 1))[:size])


def serve(host: Host, rng: random.Random) -> None:
    _fill(host, rng)
    sshd(host, rng)


def _copy(client: Host, address: str, rng: random.Random) -> Act:
    options = ssh_options(client, rng)
    remote = f"root@{address}:{client.folder.parent}/server"
    names = [f"file{number}" for number in rng.sample(range(FILES), rng.choice((1, 1, 1, 2, 4)))]
    target = f"copy{rng.randrange(10**9)}"
    kind = rng.choices(("scp", "sftp", "tar"), (6, 3, 1))[0]
    if kind == "sftp":
        verbs = [f"put {name} {target}" if rng.random() < 0.5 else f"get {name} /dev/null" for name in names]
        extra = rng.choice((["ls -l"], ["pwd", "df -h"], []))
        script = "\n".join([f"cd {client.folder.parent}/server", *extra, *verbs])
        return Act(["sftp", *options, "-b", "-", f"root@{address}"], script.encode())
    if kind == "tar":
        return Act(
            [
                "ssh",
                *options,
                f"root@{address}",
                f"tar -C {client.folder.parent}/server -cz {' '.join(names)}",
            ]
        )
    options += rng.choice((["-O"], [])) + rng.choice((["-l", str(rng.randint(1000, 8000))], [], [], ["-p"]))
    if rng.random() < 0.5:
        return Act(["scp", "-q", *options, *names[:1], f"{remote}/{target}"])
    return Act(["scp", "-q", *options, f"{remote}/{names[0]}", target])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    _fill(client, rng)
    acts = [_copy(client, address, rng) for _ in range(flows)]
    play(client, acts, rng, lanes=rng.randint(3, 5))


SCENARIO = Scenario(
    label="scp",
    packages=("openssh-server", "openssh-client"),
    pip=(),
    filter="tcp port 22",
    serve=serve,
    visit=visit,
)
