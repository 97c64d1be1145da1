"""People who chat, panels that read a feed, browsers that upload: `websocket_client.py ADDRESS SEED FLOWS`."""

import asyncio
import json
import random
import ssl

from visitors import attend
from websockets.asyncio.client import ClientConnection, connect

WORDS = ("yes", "no", "maybe", "ok then", "the meeting is at ten", "can you send it", "thanks", "see you tomorrow", "I")
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "okhttp/4.12.0", None)


async def chat(connection: ClientConnection, rng: random.Random) -> None:
    """Say a few things, and read until the own last one has come back."""
    name = f"user{rng.randrange(10**5)}"
    for _ in range(rng.randint(1, 8)):
        said = json.dumps({"from": name, "text": " ".join(rng.choices(WORDS, k=rng.randint(1, 30)))})
        await connection.send(said)
        while await connection.recv() != said:
            continue
        await asyncio.sleep(rng.uniform(0.01, 0.4))


async def feed(connection: ClientConnection, rng: random.Random) -> None:
    symbols = [f"SYM{rng.randrange(1000)}" for _ in range(rng.randint(1, 30))]
    updates = rng.randint(2, 30)
    await connection.send(json.dumps({"symbols": symbols, "updates": updates, "every": rng.uniform(0.01, 0.12)}))
    for _ in range(updates):
        await connection.recv()
        if rng.random() < 0.05:
            await (await connection.ping())


async def upload(connection: ClientConnection, rng: random.Random) -> None:
    chunk = rng.choice((512, 1024, 4096, 16384))
    for _ in range(rng.randint(1, 8)):
        await connection.send(rng.randbytes(rng.randint(1, chunk)))
        await connection.recv()


async def visit(address: str, rng: random.Random) -> None:
    kind, path = rng.choices(
        ((chat, f"/chat/{rng.randrange(4)}"), (feed, "/feed"), (upload, "/drop")), weights=(5, 3, 2)
    )[0]
    tls = ssl._create_unverified_context() if rng.random() < 0.5 else None
    cookie = {"Cookie": f"session={rng.randbytes(rng.randint(8, 250)).hex()}"} if rng.random() < 0.6 else None
    async with connect(
        f"wss://{address}:8443{path}" if tls else f"ws://{address}:8080{path}",
        ssl=tls,
        compression=rng.choice(("deflate", None)),
        additional_headers=cookie,
        user_agent_header=rng.choice(AGENTS),
        ping_interval=rng.choice((None, 0.5)),
    ) as connection:
        await kind(connection, rng)


attend(visit)
