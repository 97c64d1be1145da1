"""gRPC: the four call kinds between Python's own server and clients, in the clear and over TLS."""

import random

from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import certificate, script, visitors


def serve(host: Host, rng: random.Random) -> None:
    server = script("grpc_server", rng.randrange(2**31), *certificate(host, rng))
    host.start(server, ready=("tcp", 50052))


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    authority = str(client.folder.parent / "server" / "cert.pem")
    client.run([*visitors("grpc", address, rng, flows), authority], timeout=180, check=True)


SCENARIO = Scenario(
    label="grpc",
    packages=("openssl",),
    pip=("grpcio==1.85.1", "protobuf==7.36.2"),
    filter="tcp port 50051 or tcp port 50052",
    serve=serve,
    visit=visit,
)
