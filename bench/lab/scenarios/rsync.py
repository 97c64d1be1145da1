"""rsync: lists, downloads, updates and uploads between rsync and its daemon."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario

FOLDERS = 6
CONFIG = """
use chroot = no
uid = root
gid = root
max connections = 60
lock file = {folder}/rsyncd.lock
motd file = {folder}/motd
[files]
path = {folder}/files
comment = {comment}
[inbox]
path = {folder}/inbox
read only = no
"""


def _fill(host: Host, name: str, rng: random.Random, files: int, largest: float) -> None:
    folder = host.folder / name
    folder.mkdir(parents=True)
    for number in range(files):
        size = int(10 ** rng.uniform(1, largest))
        content = rng.randbytes(size) if rng.random() < 0.5 else (f"{number} line of a log\n" * size).encode()[:size]
        (folder / f"{rng.randbytes(rng.randint(2, 12)).hex()}.{rng.choice(('log', 'bin', 'csv'))}").write_bytes(content)


def serve(host: Host, rng: random.Random) -> None:
    for number in range(FOLDERS):
        _fill(host, f"files/set{number}", rng, rng.randint(1, 40), rng.uniform(2.5, 5))
    (host.folder / "inbox").mkdir()
    (host.folder / "motd").write_text("welcome\n" * rng.randint(0, 20))
    config = CONFIG.format(folder=host.folder, comment="x" * rng.randint(3, 60))
    (host.folder / "rsyncd.conf").write_text(config)
    host.start(
        ["rsync", "--daemon", "--no-detach", f"--config={host.folder}/rsyncd.conf"],
        ready=("tcp", 873),
    )


def _transfer(rng: random.Random, address: str, number: int) -> Act:
    options = [rng.choice(("-a", "-r", "-rt", "-az", "-ac"))]
    options += rng.choice(
        ([], [], ["--bwlimit=200"], ["--checksum"], ["--whole-file"], ["--inplace", "--no-whole-file"])
    )
    kind = rng.choices(("list", "get", "again", "put", "dry"), (2, 4, 2, 3, 1))[0]
    remote = f"rsync://{address}/files/set{rng.randrange(FOLDERS)}/"
    if kind == "list":
        return Act(["rsync", *rng.choice(([], ["-r"])), rng.choice((f"rsync://{address}/", remote))])
    if kind == "put":
        return Act(["rsync", *options, f"out{rng.randrange(FOLDERS)}/", f"rsync://{address}/inbox/{number}/"])
    if kind == "dry":
        return Act(["rsync", *options, "-n", "-i", remote, "nowhere/"])
    # "again" updates what an earlier client of this folder already holds in part.
    return Act(["rsync", *options, remote, f"got{number if kind == 'get' else rng.randrange(3)}/"])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    for number in range(FOLDERS):
        _fill(client, f"out{number}", rng, rng.randint(1, 12), rng.uniform(2.5, 4.7))
    play(client, [_transfer(rng, address, number) for number in range(flows)], rng, lanes=rng.randint(3, 5))


SCENARIO = Scenario(
    label="rsync",
    packages=("rsync",),
    pip=(),
    filter="tcp port 873",
    serve=serve,
    visit=visit,
)
