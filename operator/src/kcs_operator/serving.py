"""What every replica answers, whether it leads or not: metrics, health, the webhook."""

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kcs_operator.cluster import Cluster
from kcs_operator.handlers import evictions
from kcs_operator.settings import HttpGroup


@asynccontextmanager
async def serving(cluster: Cluster, http: HttpGroup) -> AsyncIterator[int]:
    """Listens until left; gives the port of metrics and health."""
    runners: list[web.AppRunner] = []
    try:
        runner = web.AppRunner(_health(), access_log=None)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, http.host, http.port)
        await site.start()
        port = int(runner.addresses[0][1])
        if http.webhook_certificate is not None:
            tls, path = _tls(http.webhook_certificate), _path(http.webhook_certificate)
            hook = web.AppRunner(evictions.application(cluster, path), access_log=None)
            runners.append(hook)
            await hook.setup()
            await web.TCPSite(hook, http.host, http.webhook_port, ssl_context=tls).start()
        yield port
    finally:
        for each in reversed(runners):
            await each.cleanup()


def _health() -> web.Application:
    app = web.Application(client_max_size=1024)

    async def ok(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", ok)
    app.router.add_get("/readyz", ok)
    app.router.add_get("/metrics", metrics)
    return app


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    except OSError as error:  # its text names no file
        raise OSError(f"no tls.crt and tls.key of the webhook in {folder}: {error}") from error
    return context


def _path(folder: Path) -> str:
    try:
        path = (folder / "path").read_text().strip()
    except OSError as error:
        raise OSError(f"no secret path of the webhook in {folder}: {error}") from error
    if not re.fullmatch(r"[a-z0-9]{16,63}", path):
        # as the API server takes them
        raise OSError(f"{folder}/path: the webhook's secret path has 16 to 63 of a-z and 0-9")
    return path
