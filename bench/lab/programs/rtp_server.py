"""The called side: told over TCP port 7000 what to send where, it sends it, and answers: `rtp_server.py`."""

import asyncio
import json

from media import sender


async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One line of JSON, the arguments of `sender` without the peer, starts one stream back to the caller."""
    wanted = json.loads(await reader.readline())
    command = sender(**wanted, peer=writer.get_extra_info("peername")[0])
    sending = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    writer.write(f"{await sending.wait()}\n".encode())
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(called, "0.0.0.0", 7000)
    await server.serve_forever()


asyncio.run(main())
