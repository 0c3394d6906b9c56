"""A proxy before the Kubernetes API server that makes its bad days: cuts, 429, 410, silence.

The client speaks plain HTTP to it; it speaks to the API server with an administrator's
certificate. What it does not spoil is the API server's own.
"""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web


class ApiProxy:
    """`async with` it; `kubeconfig` is for the client."""

    def __init__(self, upstream: Path, home: Path):
        self._config = yaml.safe_load(upstream.read_text())
        self.kubeconfig = home / "proxied.kubeconfig"
        self._watches: set[asyncio.Task[Any]] = set()
        self.busy: Callable[[web.Request], bool] = lambda request: False
        """Requests that are answered 429, with `retry_after`."""
        self.retry_after = "1"
        self.gone: Callable[[web.Request], bool] = lambda request: False
        """Watches that are told `code` and ended."""
        self.code = 410
        self.mute = False
        """Watches say nothing any more."""
        self.refused = 0
        self.watches = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        cluster = self._config["clusters"][0]["cluster"]
        self._upstream = cluster["server"]
        connector = aiohttp.TCPConnector(ssl=self._tls(cluster), limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        )
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        user = {"name": "u", "user": {}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        server = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [server],
            "users": [user],
            "contexts": [context],
            "current-context": "c",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        assert self._runner is not None
        assert self._session is not None
        await self._session.close()
        await self._runner.cleanup()

    def _tls(self, cluster: dict[str, str]) -> ssl.SSLContext:
        user = self._config["users"][0]["user"]
        context = ssl.create_default_context(
            cafile=cluster.get("certificate-authority"), cadata=_decoded(cluster)
        )
        if "client-certificate" in user:
            context.load_cert_chain(user["client-certificate"], user["client-key"])
        else:
            with tempfile.NamedTemporaryFile("w") as both:
                for key in ("client-certificate-data", "client-key-data"):
                    both.write(base64.b64decode(user[key]).decode())
                both.flush()
                context.load_cert_chain(both.name)
        return context

    async def cut(self) -> None:
        """Breaks every watch in the middle."""
        for task in list(self._watches):
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if self.busy(request):
            self.refused += 1
            status = {"kind": "Status", "code": 429, "message": "too many requests"}
            return web.json_response(status, status=429, headers={"Retry-After": self.retry_after})
        body = await request.read()
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() in _PASSED}
        url = f"{self._upstream}{request.rel_url}"
        async with self._session.request(
            request.method, url, data=body or None, headers=headers
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() in _PASSED}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if "watch" in request.query:
                await self._watch(request, answer, response)
            else:
                await response.write(await answer.read())
            return response

    async def _watch(
        self,
        request: web.Request,
        answer: aiohttp.ClientResponse,
        response: web.StreamResponse,
    ) -> None:
        self.watches += 1
        if self.gone(request):
            status = {"kind": "Status", "code": self.code, "reason": "Bad", "message": "no"}
            line = json.dumps({"type": "ERROR", "object": status})
            await response.write(line.encode() + b"\n")
            return
        task = asyncio.create_task(self._stream(answer, response))
        self._watches.add(task)
        try:
            await asyncio.wait((task,))
            if task.cancelled() and request.transport is not None:
                request.transport.abort()
        finally:
            task.cancel()
            self._watches.discard(task)

    async def _stream(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        async for chunk in answer.content.iter_any():
            if not self.mute:
                await response.write(chunk)


_PASSED = {"accept", "content-type", "content-encoding", "user-agent"}


def _decoded(cluster: dict[str, str]) -> str | None:
    data = cluster.get("certificate-authority-data")
    return base64.b64decode(data).decode() if data else None
