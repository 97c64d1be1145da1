"""Browsers that speak HTTP/3: pages with assets, single requests, uploads: `http3_client.py ADDRESS SEED FLOWS`."""

import asyncio
import random
import ssl

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.asyncio.protocol import QuicStreamHandler
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, QuicEvent
from aioquic.tls import CipherSuite
from visitors import attend

NAMES = ("a.example", "www.example.org", "static.assets.cdn-edge-7.example.net")
PATHS = [f"/{'deep/' * (number % 4)}asset{number}" for number in range(40)]


class Browser(QuicConnectionProtocol):
    """Sends requests and says when each is answered."""

    def __init__(self, quic: QuicConnection, stream_handler: QuicStreamHandler | None = None) -> None:
        super().__init__(quic, stream_handler)
        # Before the first event: the server's own streams start within the handshake.
        self.http = H3Connection(quic)
        self.waiting: dict[int, asyncio.Future[None]] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            for answered in self.waiting.values():
                answered.cancel()
        for part in self.http.handle_event(event):
            if isinstance(part, HeadersReceived | DataReceived) and part.stream_ended:
                self.waiting.pop(part.stream_id).set_result(None)

    def ask(self, name: str, path: str, rng: random.Random, content: bytes = b"") -> asyncio.Future[None]:
        stream = self._quic.get_next_available_stream_id()
        method = b"POST" if content else b"GET"
        headers = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", name.encode()),
            (b":path", path.encode()),
        ]
        if rng.random() < 0.6:
            headers.append((b"cookie", rng.randbytes(rng.randint(8, 200)).hex().encode()))
        self.http.send_headers(stream, headers, end_stream=not content)
        if content:
            self.http.send_data(stream, content, end_stream=True)
        self.waiting[stream] = asyncio.get_running_loop().create_future()
        self.transmit()
        return self.waiting[stream]


async def visit(address: str, rng: random.Random) -> None:
    name = rng.choice(NAMES)
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN,
        server_name=name,
        verify_mode=ssl.CERT_NONE,
        max_datagram_size=rng.choice((1200, 1250, 1350)),
        cipher_suites=[rng.choice((CipherSuite.AES_128_GCM_SHA256, CipherSuite.CHACHA20_POLY1305_SHA256))],
    )
    kind = rng.choices(("page", "single", "slow", "post"), (5, 3, 3, 2))[0]
    async with connect(address, 443, configuration=configuration, create_protocol=Browser) as browser:
        assert isinstance(browser, Browser)
        content = rng.randbytes(int(10 ** rng.uniform(1, 4.5))) if kind == "post" else b""
        await browser.ask(name, rng.choice(PATHS), rng, content)
        if kind == "page":
            await asyncio.gather(*(browser.ask(name, path, rng) for path in rng.sample(PATHS, rng.randint(1, 10))))
        elif kind == "slow":
            for path in rng.sample(PATHS, rng.randint(1, 6)):
                await asyncio.sleep(rng.uniform(0.02, 0.4))
                await browser.ask(name, path, rng)


attend(visit)
