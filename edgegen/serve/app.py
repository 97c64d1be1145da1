"""The server's answers: flows as they are made, what can be asked for, and how the server is."""

import asyncio
import contextlib
import hmac
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgegen.bundle import Bundle
from edgegen.errors import EdgegenError, UsageError
from edgegen.runtime.engine import Engine
from edgegen.serve.asked import Asked, parse
from edgegen.serve.body import FORMATS, parts
from edgegen.serve.metrics import Metrics
from edgegen.serve.openapi import document
from edgegen.serve.settings import Settings

# What anyone may ask: the page, which then asks for the token, and how the server is.
OPEN = ("/", "/healthz", "/readyz")
RETRY_SECONDS = "1"


class Service:
    """One bundle, its engine, the threads that generate, and what is counted."""

    def __init__(self, bundle: Bundle, engine: Engine, settings: Settings) -> None:
        self.bundle, self.engine, self.settings = bundle, engine, settings
        self.metrics = Metrics()
        self.pool = ThreadPoolExecutor(settings.workers, "generate")
        self.under_way = 0
        self.draining = False

    def app(self) -> ASGIApp:
        routes = [
            Route("/", self.page),
            Route("/v1/flows", self.flows, methods=["POST"]),
            Route("/v1/models", self.models),
            Route("/openapi.json", self.openapi),
            Route("/healthz", self.health),
            Route("/readyz", self.ready),
            Route("/metrics", self.measured),
        ]
        return _Guard(Starlette(routes=routes), self)

    async def flows(self, request: HttpRequest) -> Response:
        settings = self.settings
        # Before the body is read: a full server reads nothing.
        if self.under_way >= settings.queue:
            return self.refuse(429, "as many requests as this server takes are under way", RETRY_SECONDS)
        self.under_way += 1
        self.metrics.queue.set(self.under_way)
        try:
            asked = parse(await _body(request, settings), self.bundle.codec, settings.most_flows)
        except _Refused as error:
            self.leave()
            return self.refuse(error.status, str(error))
        except UsageError as error:
            self.leave()
            return self.refuse(422, str(error))
        except BaseException:
            self.leave()
            raise
        return _Flows(self, asked)

    def leave(self) -> None:
        self.under_way -= 1
        self.metrics.queue.set(self.under_way)

    def refuse(self, status: int, reason: str, retry: str | None = None) -> Response:
        self.metrics.rejected.labels(str(status)).inc()
        headers = {"retry-after": retry} if retry else {}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse({"error": reason}, status, headers)

    async def models(self, request: HttpRequest) -> Response:
        manifest, codec = self.bundle.manifest, self.bundle.codec
        labels = [{"name": label.name, "proto": label.proto} for label in codec.labels]
        model = {
            "name": self.bundle.name,
            "kind": manifest.kind,
            "model": manifest.model,
            "labels": labels,
            "max_packets": codec.max_packets,
            "formats": list(FORMATS),
            "most_flows": self.settings.most_flows,
            "engine": self.engine.name,
        }
        return JSONResponse({"models": [model]})

    async def page(self, request: HttpRequest) -> Response:
        return HTMLResponse(files("edgegen.serve").joinpath("page.html").read_text())

    async def openapi(self, request: HttpRequest) -> Response:
        return JSONResponse(document(self.bundle.codec, self.settings))

    async def health(self, request: HttpRequest) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: HttpRequest) -> Response:
        if self.draining:
            return JSONResponse({"status": "draining"}, 503)
        return JSONResponse({"status": "ready"})

    async def measured(self, request: HttpRequest) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    def close(self) -> None:
        self.pool.shutdown()
        self.engine.close()


class _Guard:
    """Asks for the token before anything else."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN and not self.allowed(scope):
            await self.service.refuse(401, "this server wants a bearer token")(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def allowed(self, scope: Scope) -> bool:
        token = self.service.settings.token
        if not token:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, b"Bearer " + os.fsencode(token))


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def _body(request: HttpRequest, settings: Settings) -> bytes:
    """The body, no longer than it may be and no later."""
    body = bytearray()
    try:
        async with asyncio.timeout(settings.patience):
            async for part in request.stream():
                body += part
                if len(body) > settings.most_body:
                    raise _Refused(413, f"the body is longer than {settings.most_body:,} bytes")
    except TimeoutError as error:
        raise _Refused(408, f"the body did not come within {settings.patience:g} seconds") from error
    return bytes(body)


class _Flows(Response):
    """Sends flows part by part. A worker is held while a part is made, and none while one is being sent."""

    def __init__(self, service: Service, asked: Asked) -> None:
        self.service, self.asked = service, asked
        self.begun = False
        self.background = None
        headers = {"content-type": FORMATS[asked.format], "x-edgegen-seed": str(asked.request.seed)}
        self.raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, started, end = self.service, time.monotonic(), "broken"
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            async with asyncio.timeout(service.settings.seconds):
                end = await self.stream(scope, receive, send, gone)
        except TimeoutError:
            end = "late"
            # Inside a body the server resets the connection, so that nobody takes it for whole.
            if not self.begun:
                late = f"no flow was made within {service.settings.seconds:g} seconds"
                await service.refuse(503, late, RETRY_SECONDS)(scope, receive, send)
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone
            service.leave()
            service.metrics.requests.labels(end).inc()
            service.metrics.seconds.observe(time.monotonic() - started)

    async def stream(self, scope: Scope, receive: Receive, send: Send, gone: "asyncio.Future[None]") -> str:
        """How it ended: "whole", "left" where the client has gone, "failed" where there was nothing to send."""
        service, asked = self.service, self.asked
        made = parts(service.engine, service.bundle.codec, asked.request, asked.format, service.metrics.made)
        loop = asyncio.get_running_loop()
        # The first part before the status: what cannot be generated is an error, not half an answer.
        try:
            part = await loop.run_in_executor(service.pool, _next, made)
        except EdgegenError as error:
            await service.refuse(500, str(error))(scope, receive, send)
            return "failed"
        self.begun = True
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while part is not None and not gone.done():
            await send({"type": "http.response.body", "body": part, "more_body": True})
            part = await loop.run_in_executor(service.pool, _next, made)
        if part is not None:
            return "left"
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return "whole"


def _next(made: Iterator[bytes]) -> bytes | None:
    return next(made, None)


async def _disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return
