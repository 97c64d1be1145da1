"""CoAP: sensors' resources read, written and observed, over UDP and DTLS, from libcoap by libcoap and aiocoap."""

import json
import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import visitors

PATHS = ("t", "sensors/temp", "sensors/humidity", "building-4/floor-2/valve", "cfg", "firmware/manifest", "log")
SECRET = "a-shared-secret"


def _content(rng: random.Random) -> bytes:
    kind = rng.choice(("number", "json", "json", "log"))
    if kind == "number":
        return f"{rng.gauss(20, 8):.{rng.randint(0, 3)}f}".encode()
    if kind == "json":
        fields = {f"s{number}": round(rng.gauss(20, 8), 2) for number in range(rng.randint(1, 40))}
        return json.dumps(fields).encode()
    return rng.randbytes(rng.randint(50, 1500)).hex().encode()


def serve(host: Host, rng: random.Random) -> None:
    server = ["coap-server-openssl", "-A", host.address, "-d", "400", "-k", SECRET, "-h", "gateway"]
    host.start([*server, "-l", "0%"], ready=("udp", 5684))
    for path in PATHS:
        put = ["coap-client-openssl", "-m", "put", "-b", "1024", "-B", "5", "-f", "-", f"coap://{host.address}/{path}"]
        host.run(put, stdin=_content(rng), check=True)


def _client(rng: random.Random, address: str) -> Act:
    scheme, extra = "coap", []
    if rng.random() < 0.4:
        scheme, extra = "coaps", ["-u", rng.choice(("sensor", "node-17.example")), "-k", SECRET]
    block = ["-b", str(rng.choice((64, 256, 512, 1024)))]
    kind = rng.choices(("get", "put", "observe", "discover"), (5, 4, 2, 1))[0]
    base = ["coap-client-openssl", "-B", "10", *extra, *block, *(["-N"] if rng.random() < 0.15 else [])]
    if kind == "put":
        path = f"{rng.choice(PATHS)}/{rng.randrange(10 ** rng.randint(1, 6))}"
        content_format = rng.choice(("text/plain", "application/json"))
        command = [*base, "-m", "put", "-t", content_format, "-f", "-", f"{scheme}://{address}/{path}"]
        return Act(command, _content(rng))
    if kind == "observe":
        return Act([*base, "-s", str(rng.randint(1, 3)), f"{scheme}://{address}/time"])
    path = ".well-known/core" if kind == "discover" else rng.choice((*PATHS, "time", ""))
    return Act([*base, "-m", "get", f"{scheme}://{address}/{path}"])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    by_library = round(flows * rng.uniform(0.3, 0.6))
    crowd = [_client(rng, address) for _ in range(flows - by_library)]
    library = Act([*visitors("coap", address, rng, by_library), *PATHS])
    play(client, [library, *crowd], rng, lanes=rng.randint(3, 5))


SCENARIO = Scenario(
    label="coap",
    packages=("libcoap3-bin",),
    pip=("aiocoap==0.4.17",),
    filter="udp port 5683 or udp port 5684",
    serve=serve,
    visit=visit,
)
