"""A mail server that takes and forgets everything: `smtp_server.py NAME CERT KEY`, ports 25 and 587."""

import asyncio
import ssl
import sys

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

name, cert, key = sys.argv[1:]


async def main() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)

    def session() -> SMTP:
        return SMTP(Sink(), hostname=name, tls_context=tls, enable_SMTPUTF8=True)

    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(session, "0.0.0.0", port) for port in (25, 587)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
