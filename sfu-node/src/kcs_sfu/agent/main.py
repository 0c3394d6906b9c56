"""The process of an SFU node: starts its parts, waits for its end, stops them in order.

SIGTERM drains: no new rooms, and the end comes when the rooms are empty or the deadline is over.
A second SIGTERM, or SIGINT, ends it at once. Order of the end: lease released (signaling moves
the meetings), HTTP, rooms, workers. `kcs-sfu-node` exits with 0; 1 when it could not start, was
replaced by another process of its name, or failed.
"""

import asyncio
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
import uvicorn
import uvloop
from pydantic import ValidationError

from kcs_contracts.ids import BootId
from kcs_contracts.logs import log_loop_error
from kcs_contracts.placement import Placement, connect
from kcs_sfu.agent import logs
from kcs_sfu.agent.http import ControlApi
from kcs_sfu.agent.keys import KeyRing
from kcs_sfu.agent.lease import Superseded
from kcs_sfu.agent.metrics import Metrics
from kcs_sfu.agent.node import Node
from kcs_sfu.agent.settings import Settings
from kcs_sfu.mediasoup.errors import MediasoupError

_log = structlog.get_logger(__name__)
_HTTP_CLOSE_S = 1
_SETTLE_S = 1.0


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the end of the node is decided here."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> None:
    """Entry point of `kcs-sfu-node`."""
    logs.configure()
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = "KCS_" + "__".join(str(part) for part in problem["loc"]).upper()
            _log.error("bad_setting", setting=name, error=problem["msg"])
        sys.exit(2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(log_loop_error)
        sys.exit(runner.run(serve(settings)))


async def serve(settings: Settings) -> int:
    """Runs one node until a signal ends it; answers the exit status."""
    redis = connect(settings.redis.url.get_secret_value())
    placement = Placement(redis)
    node = Node(settings, placement, BootId(uuid.uuid4().hex))
    try:
        await node.pool.start()
        return await _run(node)
    except (MediasoupError, OSError) as error:
        _log.error("node_not_started", error=str(error))
        return 1
    finally:
        await node.close()
        with suppress(TimeoutError):  # Redis may be away
            await asyncio.wait_for(placement.settle(), _SETTLE_S)
        await redis.aclose()


async def _run(node: Node) -> int:
    drain, stop = asyncio.Event(), asyncio.Event()
    _handle_signals(drain, stop)
    keys = KeyRing(node.settings.tickets.jwks)
    status = 0
    async with _listening(node, keys):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(work)
                    for work in (
                        keys.run(),
                        node.lease.run(),
                        node.reporter.run(),
                        node.tend(),
                        node.sweep.run(),
                    )
                ]
                await _until_end(node, drain, stop)
                for task in tasks:
                    task.cancel()
        except* Superseded:
            _log.error("superseded", error=f"another process has the name {node.name} now")
            status = 1
        except* Exception as errors:
            _log.error("node_failed", exc_info=errors)
            status = 1
        await node.lease.release()
    return status


async def _until_end(node: Node, drain: asyncio.Event, stop: asyncio.Event) -> None:
    await _first(node.lease.acquired, drain, stop)
    if node.lease.acquired.is_set():
        _log.info("node_ready", node=node.name, boot=node.boot, control_url=node.control_url)
    await _first(drain, stop)
    if stop.is_set():
        return
    deadline = node.settings.drain.deadline_seconds
    _log.info("draining", rooms=len(node.rooms), deadline_s=deadline)
    node.leaving = True
    await node.lease.drain()
    with suppress(TimeoutError):
        await asyncio.wait_for(_first(node.empty, stop), deadline)
    _log.info("drained", rooms=len(node.rooms))


async def _first(*events: asyncio.Event) -> None:
    """Returns when one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _handle_signals(drain: asyncio.Event, stop: asyncio.Event) -> None:
    def on_sigterm() -> None:
        (stop if drain.is_set() else drain).set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, on_sigterm)
    loop.add_signal_handler(signal.SIGINT, stop.set)


@asynccontextmanager
async def _listening(node: Node, keys: KeyRing) -> AsyncIterator[None]:
    """The control API on its port; closes it at the end, requests that run get a second."""
    control = node.settings.control
    listener = socket.create_server((control.host, control.port), backlog=512)
    port = listener.getsockname()[1]
    node.control_url = control.advertised_url or f"http://{control.host}:{port}"
    config = uvicorn.Config(
        ControlApi(node, keys, Metrics(node)).app,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_HTTP_CLOSE_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listener.close()
