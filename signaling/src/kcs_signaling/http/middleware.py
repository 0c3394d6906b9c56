"""What holds for every HTTP request: headers of every answer, bounded bodies, no bare 500.

Plain ASGI, so that nothing is buffered that need not be.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kcs_signaling.errors import InternalError, InvalidRequest, SignalingError
from kcs_signaling.http.problems import problem

MAX_BODY_BYTES = 64 * 1024
_BODY_TIMEOUT_S = 10.0
_DISCARDED_BYTES = 8 * 1024 * 1024
_DISCARD_TIMEOUT_S = 1.0

_log = structlog.get_logger()


def security_headers(public_url: str) -> dict[str, str]:
    """Headers of every answer; the policy allows what the web client needs, and no more."""
    parts = urlsplit(public_url)
    # Safari before 15.4 does not take 'self' for WebSockets.
    sockets = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    policy = {
        "default-src": "'self'",
        "connect-src": f"'self' {sockets}",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob: mediastream:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{k} {v}" for k, v in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    }


class AnswerHeaders:
    """Adds headers to every answer; one that says nothing of caches is not to be stored."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]):
        self._app, self._headers = app, dict(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _BodyRefused(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.error = status, InvalidRequest(message)


class _Gone(Exception):
    """The client closed the connection."""


class Guard:
    """Reads a body before anything parses it, and answers for what a route failed to catch."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        async def refuse(error: SignalingError, status: int) -> None:
            headers = {"Connection": "close"} if status in (408, 413) else None
            await problem(error, status=status, headers=headers)(scope, receive, send)

        try:
            await self._app(scope, await _buffered(scope, receive), watched_send)
        except _Gone:
            return
        except _BodyRefused as refused:
            await refuse(refused.error, refused.status)
        except Exception:
            _log.exception("http_request_failed", method=scope["method"])
            if started:
                raise
            await refuse(InternalError("this is a bug of ours; the log has it"), 500)


async def _buffered(scope: Scope, receive: Receive) -> Receive:
    """A `receive` that has the whole body; the first one when the request has none."""
    headers = Headers(scope=scope)
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers:
        return receive
    if length is not None and (not length.isascii() or not length.isdigit()):
        raise _BodyRefused(400, "Content-Length is not a number")
    too_long = length is not None and int(length) > MAX_BODY_BYTES
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while more and not too_long:
                piece, more = await _piece(receive)
                body += piece
                too_long = len(body) > MAX_BODY_BYTES
    except TimeoutError:
        raise _BodyRefused(408, "the body did not arrive in time") from None
    if too_long:
        await _discard(receive)
        raise _BodyRefused(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
    first: Message | None = {"type": "http.request", "body": bytes(body), "more_body": False}

    async def replay() -> Message:
        nonlocal first
        message, first = first, None
        return message if message is not None else await receive()

    return replay


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    return message.get("body", b""), message.get("more_body", False)


async def _discard(receive: Receive) -> None:
    """Takes the rest of a body, within bounds: what is left unread would reset the connection,
    and the client would never see why it was refused."""
    size, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_TIMEOUT_S):
            while more and size < _DISCARDED_BYTES:
                piece, more = await _piece(receive)
                size += len(piece)
