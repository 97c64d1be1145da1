"""Chat rooms, a price feed and a file drop over WebSocket: `websocket_server.py SEED CERT KEY`, ports 8080 and 8443."""

import asyncio
import json
import random
import ssl
import sys
from itertools import count

from websockets.asyncio.server import ServerConnection, broadcast, serve

seed, cert, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
rooms: dict[str, set[ServerConnection]] = {}
arrivals = count()


async def chat(connection: ServerConnection, path: str) -> None:
    """Everyone in the room, the sender included, gets each message."""
    room = rooms.setdefault(path, set())
    room.add(connection)
    try:
        async for message in connection:
            # Unlike `send`, it passes over those who are just leaving.
            broadcast(room, message)
    finally:
        room.discard(connection)


async def feed(connection: ServerConnection, rng: random.Random) -> None:
    """Prices at the pace and for the symbols that the client asked for."""
    wanted = json.loads(await connection.recv())
    for _ in range(wanted["updates"]):
        prices = {symbol: round(rng.lognormvariate(3, 1), 2) for symbol in wanted["symbols"]}
        await connection.send(json.dumps({"type": "tick", "prices": prices}))
        await asyncio.sleep(wanted["every"] * rng.uniform(0.5, 1.5))


async def drop(connection: ServerConnection) -> None:
    """Acknowledges each chunk."""
    async for chunk in connection:
        await connection.send(f"ok {len(chunk)}")


async def greet(connection: ServerConnection) -> None:
    assert connection.request is not None  # it has been answered
    path = connection.request.path
    if path.startswith("/chat"):
        await chat(connection, path)
    elif path == "/feed":
        await feed(connection, random.Random(f"{seed}/{next(arrivals)}"))
    else:
        await drop(connection)


async def main() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    async with serve(greet, "0.0.0.0", 8080), serve(greet, "0.0.0.0", 8443, ssl=tls) as server:
        await server.serve_forever()


asyncio.run(main())
