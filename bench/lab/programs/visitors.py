"""Many visits from one process, each after a pause: `<label>_client.py ADDRESS SEED FLOWS`."""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable

Visit = Callable[[str, random.Random], Awaitable[None]]
PATIENCE = 30.0


def attend(visit: Visit) -> None:
    """Pay the visits; each has a generator of its own, so that their order in time changes nothing.

    The process ends with status 1 where more than a quarter of the visits fail.
    """
    address, seed, flows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    waiting = iter(range(flows))
    failures: list[str] = []

    async def lane() -> None:
        for number in waiting:
            rng = random.Random(f"{seed}/{number}")
            await asyncio.sleep(rng.uniform(0.02, 0.4))
            try:
                await asyncio.wait_for(visit(address, rng), PATIENCE)
            except Exception as error:  # the programs' libraries each have their own
                failures.append(f"{type(error).__name__}: {error}")

    async def lanes() -> None:
        await asyncio.gather(*(lane() for _ in range(random.Random(seed).randint(3, 5))))

    asyncio.run(lanes())
    if len(failures) * 4 > flows:
        sys.exit(f"{len(failures)} of {flows} visits failed, the last: {failures[-1]}")
