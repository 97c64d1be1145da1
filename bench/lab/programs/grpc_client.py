"""Clients of the gRPC service, each on a channel of its own: `grpc_client.py ADDRESS SEED FLOWS CERT`."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from google.protobuf.struct_pb2 import Struct
from visitors import attend

coded = {"request_serializer": Struct.SerializeToString, "response_deserializer": Struct.FromString}
certificate = Path(sys.argv[4]).read_bytes()


def question(rng: random.Random) -> Struct:
    asked = Struct()
    asked.update({"want": rng.randint(0, 60), "times": rng.randint(2, 15)})
    asked.update({f"key_{number}": "v" * rng.randint(1, 80) for number in range(rng.choice((0, 1, 3, 10, 30)))})
    return asked


async def questions(rng: random.Random) -> AsyncIterator[Struct]:
    for _ in range(rng.randint(1, 12)):
        yield question(rng)
        await asyncio.sleep(rng.choice((0, rng.uniform(0, 0.15))))


async def call(channel: grpc.aio.Channel, rng: random.Random) -> None:
    kind = rng.choices(("Get", "Watch", "Put", "Talk"), (5, 2, 2, 2))[0]
    path = f"/edgelab.Plant/{kind}"
    metadata = [("authorization", f"Bearer {rng.randbytes(rng.randint(16, 300)).hex()}")] if rng.random() < 0.6 else []
    options = {"metadata": metadata, "timeout": 25}
    if kind == "Get":
        await channel.unary_unary(path, **coded)(question(rng), **options)
    elif kind == "Put":
        await channel.stream_unary(path, **coded)(questions(rng), **options)
    else:
        many = (
            channel.unary_stream(path, **coded)(question(rng), **options)
            if kind == "Watch"
            else channel.stream_stream(path, **coded)(questions(rng), **options)
        )
        async for _ in many:
            pass


async def visit(address: str, rng: random.Random) -> None:
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.primary_user_agent", rng.choice(("plant-ui/2.1", "collector", ""))),
    ]
    compression = rng.choice((grpc.Compression.NoCompression, grpc.Compression.Gzip))
    if rng.random() < 0.5:
        credentials = grpc.ssl_channel_credentials(certificate)
        channel = grpc.aio.secure_channel(f"{address}:50052", credentials, options, compression)
    else:
        channel = grpc.aio.insecure_channel(f"{address}:50051", options, compression)
    async with channel:
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            await call(channel, rng)
            await asyncio.sleep(rng.uniform(0, 0.2))


attend(visit)
