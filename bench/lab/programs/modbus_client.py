"""Masters that poll, write and scan controllers over Modbus: `modbus_client.py ADDRESS SEED FLOWS`."""

import asyncio
import random
import ssl

from pymodbus.client import AsyncModbusTcpClient, AsyncModbusTlsClient
from visitors import attend

REGISTERS = 140


async def read(client: AsyncModbusTcpClient, rng: random.Random, device: int) -> None:
    """One of a few blocks, over and over, as a supervisory system polls."""
    blocks = [(rng.randrange(REGISTERS - 100), rng.randint(1, 100)) for _ in range(rng.randint(1, 4))]
    kinds = [rng.choice((client.read_holding_registers, client.read_input_registers)) for _ in blocks]
    every = rng.choice((0, 0.05, 0.1, 0.2)) * rng.uniform(0.8, 1.2)
    for _ in range(rng.randint(1, 8)):
        for ask, (start, count) in zip(kinds, blocks, strict=True):
            await ask(start, count=count, device_id=device)
        await asyncio.sleep(every)


async def bits(client: AsyncModbusTcpClient, rng: random.Random, device: int) -> None:
    for _ in range(rng.randint(1, 6)):
        await client.read_coils(16 * rng.randrange(8), count=rng.randint(1, 500), device_id=device)
        if rng.random() < 0.5:
            await client.write_coil(16 * rng.randrange(8), rng.random() < 0.5, device_id=device)


async def write(client: AsyncModbusTcpClient, rng: random.Random, device: int) -> None:
    """Set points: one register, several, or written and read in one request."""
    for _ in range(rng.randint(1, 6)):
        values = [rng.randrange(2**16) for _ in range(rng.randint(2, 60))]
        start = rng.randrange(REGISTERS - 60)
        kind = rng.choice(("one", "many", "both"))
        if kind == "one":
            await client.write_register(start, values[0], device_id=device)
        elif kind == "many":
            await client.write_registers(start, values, device_id=device)
        else:
            await client.readwrite_registers(
                read_address=start, read_count=rng.randint(1, 50), write_address=start, values=values, device_id=device
            )
        await asyncio.sleep(rng.choice((0, rng.uniform(0, 0.2))))


async def scan(client: AsyncModbusTcpClient, rng: random.Random, device: int) -> None:
    """Who is there, and how far its registers go."""
    await client.read_device_information(device_id=device)
    for start in range(0, 1000, rng.choice((50, 100, 125))):
        if (await client.read_holding_registers(start, count=rng.randint(1, 50), device_id=device)).isError():
            return


async def visit(address: str, rng: random.Random) -> None:
    tls = ssl._create_unverified_context()
    client = (
        AsyncModbusTlsClient(address, port=802, sslctx=tls, retries=0, timeout=10)
        if rng.random() < 0.25
        else AsyncModbusTcpClient(address, port=502, retries=0, timeout=10)
    )
    if not await client.connect():
        raise ConnectionError("no connection")
    try:
        for _ in range(rng.choice((1, 1, 2, 3))):
            kind = rng.choices((read, bits, write, scan), weights=(5, 2, 3, 1))[0]
            await kind(client, rng, rng.randint(1, 4))
    finally:
        client.close()


attend(visit)
