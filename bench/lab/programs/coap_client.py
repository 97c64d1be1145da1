"""Gateways that read, write and observe CoAP resources with aiocoap: `coap_client.py ADDRESS SEED FLOWS PATH...`."""

import asyncio
import random
import sys

from aiocoap import DELETE, GET, PUT, Context, Message
from aiocoap.numbers import ContentFormat
from aiocoap.numbers.types import Type
from visitors import attend

paths = sys.argv[4:]


async def visit(address: str, rng: random.Random) -> None:
    """Each has a context, so a source port, of its own."""
    context = await Context.create_client_context()
    kind = rng.choices(("read", "write", "observe", "discover"), (6, 4, 2, 1))[0]
    confirmable = Type.CON if rng.random() < 0.8 else Type.NON
    try:
        if kind == "observe":
            request = Message(code=GET, uri=f"coap://{address}/time", observe=0)
            asked = context.request(request)
            await asked.response
            await asyncio.sleep(rng.uniform(0.2, 3.5))
            asked.observation.cancel()
            return
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            path = f".well-known/core?rt=r{rng.randrange(9)}" if kind == "discover" else rng.choice(paths)
            request = Message(code=GET, mtype=confirmable, uri=f"coap://{address}/{path}")
            if kind == "write":
                payload = rng.randbytes(int(10 ** rng.uniform(0.3, 3.2)))
                format = rng.choice((ContentFormat.TEXT, ContentFormat.CBOR, ContentFormat.JSON))
                path = f"{path}/{rng.randrange(10 ** rng.randint(1, 6))}"
                request = Message(
                    code=PUT, mtype=Type.CON, uri=f"coap://{address}/{path}", payload=payload, content_format=format
                )
            await context.request(request).response
            if kind == "write" and rng.random() < 0.3:
                await context.request(Message(code=DELETE, uri=f"coap://{address}/{path}")).response
            await asyncio.sleep(rng.choice((0, rng.uniform(0, 0.3))))
    finally:
        await context.shutdown()


attend(visit)
