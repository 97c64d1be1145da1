"""The calling side of voice and video calls: `rtp_client.py ADDRESS SEED FLOWS`."""

import asyncio
import json
import random

from media import CODECS, sender
from visitors import attend


async def ask_back(address: str, wanted: dict[str, object]) -> int:
    """Have the called side send, until it has; returns its exit status."""
    reader, writer = await asyncio.open_connection(address, 7000)
    writer.write(json.dumps(wanted).encode() + b"\n")
    status = int(await reader.readline())
    writer.close()
    return status


async def send(command: list[str]) -> int:
    sending = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    return await sending.wait()


async def visit(address: str, rng: random.Random) -> None:
    """A call both ways with one codec, or an announcement, or a recording; RTCP has the next odd port."""
    codec, seconds = rng.choices(CODECS, weights=(4, 3, 2, 1, 1, 5, 1, 1))[0], rng.uniform(0.3, 2)
    here, there = rng.randrange(20000, 30000, 2), rng.randrange(30000, 40000, 2)
    seeds = [rng.randrange(2**31) for _ in range(2)]
    kind = rng.choices(("both", "announcement", "recording"), (6, 1, 1))[0]
    sides = []
    if kind != "announcement":
        sides.append(send(sender(codec, seconds, address, (here, there), seeds[0])))
    if kind != "recording":
        wanted = {"codec": codec, "seconds": seconds, "ports": (there, here), "seed": seeds[1]}
        sides.append(ask_back(address, wanted))
    if any(await asyncio.gather(*sides)):
        raise RuntimeError(f"ffmpeg could not send {codec}")


attend(visit)
