"""A listening server, from its first sentence to its last request."""

import asyncio
import math
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError
from edgegen.runtime.engine import How, open_engine
from edgegen.serve.app import Service
from edgegen.serve.settings import Settings
from edgegen.trust import Trust


def serve(path: Path, settings: Settings, engine: str = "auto", trust: Trust | None = None) -> None:
    """Serve the bundle at `path` until SIGTERM or SIGINT, then let what is under way finish.

    trust: whose signature the bundle must bear
    Raises UsageError for settings that make no sense, EdgegenError where the bundle is not sound or nothing can listen.
    """
    settings.check()
    bundle = Bundle.open(path, trust)
    service = Service(bundle, open_engine(bundle, How(engine)), settings)
    try:
        listening = _listen(settings)
        server = _Server(_config(service), service)
        host, port = listening.getsockname()[:2]
        print(f"edgegen: {bundle.name} on http://{f'[{host}]' if ':' in host else host}:{port}/", file=sys.stderr)
        sys.stderr.flush()
        server.run(sockets=[listening])
    finally:
        service.close()


def _listen(settings: Settings) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=256)
    # The second is Python's for names that no host can have.
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        where = f"{settings.host} port {settings.port}"
        raise EdgegenError(f"cannot listen on {where}: {reason}; choose another --host or --port") from error


def _config(service: Service) -> uvicorn.Config:
    settings = service.settings

    class Patient(_Patient):
        patience = settings.patience
        seconds = settings.seconds

    return uvicorn.Config(
        service.app(),
        http=Patient,
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.drain),
    )


class _Server(uvicorn.Server):
    """Stops at the first signal when all requests are done, at the second at once; then the process ends well."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = self.service.draining = True


class _Ending:
    """A transport that ends when it is closed, and that ends inside an answer as no whole answer does.

    To a client that speaks HTTP/1.0 the end of the connection is the end of the body, so one that is not whole is
    reset. After a whole one the client has `seconds` more for what it has not read yet; then that, too.
    """

    def __init__(self, transport: asyncio.Transport, protocol: "_Patient") -> None:
        self._transport, self._protocol = transport, protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        cycle = self._protocol.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.reset()
        elif not self._transport.is_closing():
            self._transport.close()
            # Empty, it is gone by now.
            if self._transport.get_write_buffer_size():
                self._protocol.read_by(self)

    def reset(self) -> None:
        if (connection := self._transport.get_extra_info("socket")) is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class _Patient(H11Protocol):
    """Closes a connection on which a request has begun and its head does not end: a slow client holds no socket."""

    patience: float
    seconds: float
    _late: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._forget()
        elif self._late is None and (before is None or before.response_complete):
            self._late = self.loop.call_later(self.patience, self._close)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Ending(transport, self))  # type: ignore[arg-type]
        self._late = self.loop.call_later(self.patience, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def read_by(self, ending: _Ending) -> None:
        """Reset a connection that is not read to its end in time."""
        self._forget()
        self._late = self.loop.call_later(self.seconds, ending.reset)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self.transport.close()
