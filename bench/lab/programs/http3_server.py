"""A web server that speaks HTTP/3 alone: `http3_server.py SEED CERT KEY`, udp port 443."""

import asyncio
import random
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

seed, cert, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def body(path: str) -> bytes:
    """What is at `path`: always the same, of a size that the path decides."""
    rng = random.Random(f"{seed}{path}")
    return rng.randbytes(int(10 ** rng.uniform(1.5, 4.9)))


class Site(QuicConnectionProtocol):
    """Answers GET with the body of the path and POST with 204, once the request is whole."""

    http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if self.http is None:
            self.http = H3Connection(self._quic)
        for part in self.http.handle_event(event):
            if isinstance(part, HeadersReceived):
                headers = dict(part.headers)
                if headers[b":method"] == b"GET":
                    self.respond(part.stream_id, b"200", body(headers[b":path"].decode()))
            elif isinstance(part, DataReceived) and part.stream_ended:
                self.respond(part.stream_id, b"204", b"")
        self.transmit()

    def respond(self, stream: int, status: bytes, content: bytes) -> None:
        assert self.http is not None
        headers = [(b":status", status), (b"server", b"edgelab"), (b"content-length", str(len(content)).encode())]
        self.http.send_headers(stream, headers, end_stream=not content)
        if content:
            self.http.send_data(stream, content, end_stream=True)


async def main() -> None:
    rng = random.Random(seed)
    size = rng.choice((1200, 1252, 1350))
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN, max_datagram_size=size)
    configuration.load_cert_chain(cert, key)
    await serve("0.0.0.0", 443, configuration=configuration, create_protocol=Site, retry=rng.random() < 0.2)
    await asyncio.Event().wait()


asyncio.run(main())
