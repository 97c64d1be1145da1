"""HTTP/3: pages, single requests and uploads over QUIC, with aioquic at both ends."""

import random

from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import certificate, script, visitors


def serve(host: Host, rng: random.Random) -> None:
    server = script("http3_server", rng.randrange(2**31), *certificate(host, rng))
    host.start(server, ready=("udp", 443))


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    client.run(visitors("http3", address, rng, flows), timeout=180, check=True)


SCENARIO = Scenario(
    label="http3",
    packages=("openssl",),
    pip=("aioquic==1.7.2",),
    filter="udp port 443",
    serve=serve,
    visit=visit,
)
