"""A real signaling process over a real Redis, with a FakeNode where media does not matter."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.call import Call, MakeClient
from tests.support.fake_node import FakeNode
from tests.support.own_redis import OwnRedis
from tests.support.signaling import Client, Signaling

from kcs_contracts.placement import Placement, connect
from kcs_signaling.keys import create_key


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installation's key: all processes on one Redis tidy up for each other, and nodes must
    believe whoever does."""
    path = tmp_path_factory.mktemp("key") / "key.pem"
    create_key(path)
    return path


@pytest.fixture(scope="session")
def shared_signaling(
    redis_url: str, key_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Signaling]:
    """The process that tests share which do not stop, restart or configure it."""
    home = tmp_path_factory.mktemp("signaling")
    shutil.copy(key_file, home / "key.pem")
    process = Signaling(home, redis_url)
    with asyncio.Runner() as runner:
        runner.run(process.start())
        yield process
        runner.run(process.stop())


@pytest.fixture(scope="session")
def replicas(shared_signaling: Signaling) -> Iterator[tuple[Signaling, Signaling]]:
    """Two more of the shared process's installation, which set people no limits and give up lost
    sockets after 2 s."""
    settings = {"KCS_LIMITS__ENABLED": "false", "KCS_MEETING__PRESENCE_SECONDS": "2"}
    home, redis_url = shared_signaling.home, shared_signaling.redis_url
    both = Signaling(home, redis_url, **settings), Signaling(home, redis_url, **settings)
    with asyncio.Runner() as runner:
        for each in both:
            runner.run(each.start())
        yield both
        for each in both:
            runner.run(each.stop())


@pytest.fixture(scope="session")
def other_replica(shared_signaling: Signaling) -> Iterator[Signaling]:
    """A second process over the same key, database and Redis."""
    process = Signaling(shared_signaling.home, shared_signaling.redis_url)
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
async def call(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> Call:
    """A meeting of ann's."""
    return Call(clients, placement, await signaling.create_meeting("ann"))


@pytest.fixture
async def own_signaling(
    redis_url: str, key_file: Path, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Signaling]]]:
    """Starts processes of the test's own; settings as `KCS_GROUP__FIELD="value"`."""
    started: list[Signaling] = []
    shutil.copy(key_file, tmp_path / "key.pem")

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


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own_placement(own_redis: OwnRedis) -> AsyncIterator[Placement]:
    redis = connect(own_redis.url)
    placement = Placement(redis)
    await placement.load()
    yield placement
    await placement.settle()
    await redis.aclose()
