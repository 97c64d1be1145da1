"""The server under load: clients that ask all the time, then a few requests a second, and the memory of the process.

    python bench/serving.py BUNDLE --seconds 300 -o bench/results/serving.json

First `--clients` clients ask for `--flows` flows each as fast as they are answered; everything but 200 and 429 is a
failure, and so is an answer that is not whole. Then one asks `--rate` times a second: the latency of a machine that has
time. At the end SIGTERM comes while all clients wait for long answers: each must still get all of it. And some times
a server is killed, and another started on its port: how long until that answers. Prints a table, then one line of JSON.
"""

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.table import Table

import machine
from publish import publish

RESTARTS = 5
LONG = 200  # flows of an answer that SIGTERM comes into: all of them together take less than --drain


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--flows", type=int, default=10)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--queue", type=int, default=64)
    parser.add_argument("-o", dest="out", type=Path)
    options = parser.parse_args()
    server, url = started(options, 0)
    try:
        result = asyncio.run(measure(url, server, options))
    finally:
        server.kill()
    result["restart_seconds"] = [restart(options) for _ in range(RESTARTS)]
    result |= {"bundle": options.bundle.name, "machine": machine.facts("starlette", "uvicorn", "numpy")}
    publish(result, options.out, table_of(result))


def started(options: argparse.Namespace, port: int) -> tuple["subprocess.Popen[str]", str]:
    """A server that listens, and its address."""
    command = [sys.executable, "-P", "-m", "edgegen.cli", "serve", str(options.bundle), "--port", str(port)]
    server = subprocess.Popen([*command, "--queue", str(options.queue)], stderr=subprocess.PIPE, text=True)
    assert server.stderr
    found = re.search(r"http://\S+:\d+", server.stderr.readline())
    if not found:
        raise SystemExit("the server did not start")
    return server, found[0]


def restart(options: argparse.Namespace) -> float:
    """Seconds from the start of a server, on the port of one that has just been killed, to its first whole answer."""
    server, url = started(options, 0)
    server.kill()
    server.wait()
    before = time.monotonic()
    server, url = started(options, int(url.rpartition(":")[2]))
    try:
        answer = httpx.post(f"{url}/v1/flows", json={"n": options.flows, "seed": 7}, timeout=10)
        seconds = time.monotonic() - before
    finally:
        server.kill()
        server.wait()
    if answer.status_code != 200 or answer.content.count(b"\n") != options.flows:
        raise SystemExit("after a restart an answer was not whole")
    return seconds


async def measure(url: str, server: "subprocess.Popen[str]", options: argparse.Namespace) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=options.clients + 1)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await ask(client, options.flows, 0)
        memory = [resident(server.pid)]
        statuses: Counter[int] = Counter()
        busy: list[float] = []
        end = time.monotonic() + options.seconds

        async def keep_asking(number: int) -> None:
            while time.monotonic() < end:
                status, seconds = await ask(client, options.flows, number)
                statuses[status] += 1
                if status == 200:
                    busy.append(seconds)
                else:
                    await asyncio.sleep(0.05)

        async def watch() -> None:
            while time.monotonic() < end:
                await asyncio.sleep(options.seconds / 20)
                memory.append(resident(server.pid))

        await asyncio.gather(watch(), *(keep_asking(i) for i in range(options.clients)))
        calm = []
        for i in range(int(options.rate * min(options.seconds, 60))):
            started = time.monotonic()
            status, seconds = await ask(client, options.flows, i)
            statuses[status] += 1
            calm.append(seconds)
            await asyncio.sleep(max(0.0, 1 / options.rate - (time.monotonic() - started)))
        if set(statuses) - {200, 429}:
            raise SystemExit(f"answers that must not be: {dict(statuses)}")
        last = [asyncio.ensure_future(ask(client, LONG, i)) for i in range(options.clients)]
        await asyncio.sleep(0.5)
        server.terminate()
        finished = await asyncio.gather(*last)
    lost = sum(status != 200 for status, _ in finished)
    if lost or server.wait(60):
        raise SystemExit(f"after SIGTERM {lost} requests were lost, exit status {server.returncode}")
    return {
        "clients": options.clients,
        "flows_a_request": options.flows,
        "statuses": {str(status): count for status, count in statuses.items()},
        "busy": quantiles(busy) | {"requests_per_second": len(busy) / options.seconds},
        "calm": quantiles(calm) | {"requests_per_second": options.rate},
        "resident_mb": [round(value / 1e6, 1) for value in memory],
        "lost_after_sigterm": lost,
    }


async def ask(client: httpx.AsyncClient, flows: int, seed: int) -> tuple[int, float]:
    """Status and seconds; an answer that is not whole ends the run."""
    started = time.monotonic()
    answer = await client.post("/v1/flows", json={"n": flows, "seed": seed})
    if answer.status_code == 200 and answer.content.count(b"\n") != flows:
        raise SystemExit("an answer was not whole")
    return answer.status_code, time.monotonic() - started


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024


def quantiles(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.quantile(seconds, (0.5, 0.99))
    return {"p50_ms": 1e3 * float(p50), "p99_ms": 1e3 * float(p99), "mean_ms": 1e3 * statistics.mean(seconds)}


def table_of(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['bundle']} served: {result['flows_a_request']} flows a request")
    for name in ("load", "requests a second", "p50, ms", "p99, ms"):
        table.add_column(name, justify="left" if name == "load" else "right")
    for name, load in (("busy", f"{result['clients']} clients"), ("calm", "one client")):
        row = result[name]
        table.add_row(load, f"{row['requests_per_second']:.0f}", f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}")
    table.caption = f"resident, MB: {result['resident_mb'][0]} to {result['resident_mb'][-1]}; {result['statuses']}"
    table.caption += f"; killed and started again, it answers after {max(result['restart_seconds']):.2f} s at most"
    return table


if __name__ == "__main__":
    main()
