"""WebSocket: chat, price feeds and uploads, in the clear and over TLS, with and without compression."""

import random

from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import certificate, script, visitors


def serve(host: Host, rng: random.Random) -> None:
    server = script("websocket_server", rng.randrange(2**31), *certificate(host, rng))
    host.start(server, ready=("tcp", 8443))


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    client.run(visitors("websocket", address, rng, flows), timeout=180, check=True)


SCENARIO = Scenario(
    label="websocket",
    packages=("openssl",),
    pip=("websockets==17.4",),
    filter="tcp port 8080 or tcp port 8443",
    serve=serve,
    visit=visit,
)
