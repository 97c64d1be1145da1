"""A gRPC service of all four call kinds: `grpc_server.py SEED CERT KEY`, ports 50051 (clear) and 50052 (TLS)."""

import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import grpc
from google.protobuf.struct_pb2 import Struct

seed, cert, key = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
calls = count()


def answer(request: Struct, rng: random.Random) -> Struct:
    """As many fields as the request wants, at most 200."""
    reply = Struct()
    wanted = min(int(request["want"]), 200) if "want" in request else 1
    reply.update({f"field_{number}": rng.gauss(0, 100) for number in range(wanted)})
    if rng.random() < 0.3:
        reply["note"] = "n" * int(10 ** rng.uniform(0, 3.7))
    return reply


def generator() -> random.Random:
    return random.Random(f"{seed}/{next(calls)}")


def get(request: Struct, context: grpc.ServicerContext) -> Struct:
    return answer(request, generator())


def watch(request: Struct, context: grpc.ServicerContext) -> Iterator[Struct]:
    rng = generator()
    for _ in range(int(request["times"])):
        yield answer(request, rng)
        time.sleep(rng.expovariate(1 / 0.04))


def put(requests: Iterator[Struct], context: grpc.ServicerContext) -> Struct:
    return answer(list(requests)[-1], generator())


def talk(requests: Iterator[Struct], context: grpc.ServicerContext) -> Iterator[Struct]:
    rng = generator()
    for request in requests:
        yield answer(request, rng)


coded = {"request_deserializer": Struct.FromString, "response_serializer": Struct.SerializeToString}
handlers = {
    "Get": grpc.unary_unary_rpc_method_handler(get, **coded),
    "Watch": grpc.unary_stream_rpc_method_handler(watch, **coded),
    "Put": grpc.stream_unary_rpc_method_handler(put, **coded),
    "Talk": grpc.stream_stream_rpc_method_handler(talk, **coded),
}
server = grpc.server(ThreadPoolExecutor(12))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("edgelab.Plant", handlers),))
server.add_insecure_port("0.0.0.0:50051")
server.add_secure_port("0.0.0.0:50052", grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
server.start()
server.wait_for_termination()
