"""A real signaling process over a real Redis, with a FakeNode where media does not matter."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts.placement import Placement, connect

MakeClient = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session")
def shared_signaling(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Signaling]:
    """The process that tests share which do not stop, restart or configure it."""
    process = Signaling(tmp_path_factory.mktemp("signaling"), redis_url)
    with asyncio.Runner() as runner:
        runner.run(process.start())
        yield process
        runner.run(process.stop())


@pytest.fixture
async def placement(redis_url: str) -> AsyncIterator[Placement]:
    """A placement client of the test's own."""
    redis = connect(redis_url)
    placement = Placement(redis)
    await placement.load()
    yield placement
    await placement.settle()
    await redis.aclose()


@pytest.fixture
async def signaling(shared_signaling: Signaling) -> Signaling:
    """The shared process."""
    return shared_signaling


@pytest.fixture
async def node(signaling: Signaling, placement: Placement) -> AsyncIterator[FakeNode]:
    """The only node with a lease."""
    keys = {signaling.tokens.signer_kid: signaling.key.public_key()}
    async with FakeNode(placement, keys, f"node-{uuid.uuid4().hex[:8]}") as fake:
        yield fake


@pytest.fixture
async def own_signaling(
    redis_url: str, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Signaling]]]:
    """Starts processes of the test's own; settings as `KCS_GROUP__FIELD="value"`."""
    started: list[Signaling] = []

    async def start(url: str = redis_url, **settings: str | None) -> Signaling:
        process = Signaling(tmp_path, url, **settings)
        started.append(process)
        return await process.start()

    yield start
    for process in started:
        await process.stop()


@pytest.fixture
async def clients() -> AsyncIterator[MakeClient]:
    """Connects clients that are closed at the end: `await clients(signaling, namespace, user)`."""
    async with AsyncExitStack() as stack:

        async def make(
            server: Signaling,
            namespace: str,
            user: str,
            *,
            token: str | None = None,
            transports: tuple[str, ...] = ("websocket",),
        ) -> Client:
            client = Client(namespace)
            stack.push_async_callback(client.close)
            return await client.connect(server.url, token or server.access(user), transports)

        yield make
