"""Redis: caches, counters, queues and subscriptions, by redis-cli, redis-benchmark and Python."""

import random
from pathlib import Path

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario

PROGRAM = Path(__file__).parents[1] / "programs" / "redis_client.py"
COMMANDS = (
    "PING",
    "INCR visits",
    "GET key:__rand_int__",
    "INFO",
    "INFO memory",
    "LRANGE log 0 20",
    "SCAN 0 COUNT 30",
    "HGETALL stats:3",
    "CONFIG GET save",
    "COMMAND COUNT",
)


def serve(host: Host, rng: random.Random) -> None:
    options = ["--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", str(host.folder)]
    host.start(["redis-server", *options], ready=("tcp", 6379))
    seeded = [f"SET key:{n} {rng.randbytes(int(10 ** rng.uniform(0.5, 3.3))).hex()}" for n in range(100)]
    seeded += [f"RPUSH log {rng.randbytes(rng.randint(10, 80)).hex()}" for _ in range(40)]
    seeded += [f"HSET stats:3 field{n} {rng.randrange(10**6)}" for n in range(rng.randint(2, 60))]
    host.run(["redis-cli"], stdin="\n".join(seeded).encode(), check=True)


def _shell(rng: random.Random, address: str) -> Act:
    base = ["redis-cli", "-h", address, *rng.choice((["-2"], ["-3"], []))]
    if rng.random() < 0.4:
        repeated = ["-r", str(rng.randint(2, 10)), "-i", f"{rng.uniform(0.02, 0.4):.2f}"]
        return Act([*base, *repeated, *rng.choice(COMMANDS).split()])
    if rng.random() < 0.3:
        return Act([*base, "--scan", "--pattern", f"key:{rng.randrange(10)}*"])
    lines = rng.choices(COMMANDS, k=rng.randint(1, 5))
    lines.append(f"SET key:{rng.randrange(100)} {rng.randbytes(rng.randint(4, 900)).hex()}")
    return Act(base, "\n".join(lines).replace("__rand_int__", str(rng.randrange(100))).encode())


def _benchmark(rng: random.Random, address: str) -> Act:
    tests = rng.choice(("set,get", "lpush,lrange_100", "hset", "incr", "mset", "get"))
    size = ["-n", str(rng.randint(4, 24)), "-c", "1", "-d", str(rng.choice((3, 32, 256, 2000)))]
    pipelining = ["-P", str(rng.choice((1, 1, 4, 16))), "-r", "1000"]
    return Act(["redis-benchmark", "-q", "-h", address, "-t", tests, *size, *pipelining])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    acts = []
    # redis-benchmark and subscribers open several connections.
    for _ in range(flows * 4 // 5):
        kind = rng.choices(("program", "shell", "benchmark"), (6, 4, 1))[0]
        if kind == "program":
            acts.append(Act(["python", str(PROGRAM), address, str(rng.randrange(2**31))]))
        else:
            acts.append((_shell if kind == "shell" else _benchmark)(rng, address))
    play(client, acts, rng, lanes=rng.randint(4, 6))


SCENARIO = Scenario(
    label="redis",
    packages=("redis-server", "redis-tools"),
    pip=("redis==5.2.1",),
    filter="tcp port 6379",
    serve=serve,
    visit=visit,
)
