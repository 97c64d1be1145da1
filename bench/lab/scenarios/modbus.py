"""Modbus: masters that poll, write and scan controllers over TCP and TLS, with pymodbus at both ends."""

import random

from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import certificate, script, visitors


def serve(host: Host, rng: random.Random) -> None:
    server = script("modbus_server", rng.randrange(2**31), *certificate(host, rng))
    host.start(server, ready=("tcp", 802))


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    client.run(visitors("modbus", address, rng, flows), timeout=180, check=True)


SCENARIO = Scenario(
    label="modbus",
    packages=("openssl",),
    pip=("pymodbus==3.16.1",),
    filter="tcp port 502 or tcp port 802",
    serve=serve,
    visit=visit,
)
