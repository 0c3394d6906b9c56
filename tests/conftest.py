"""What every test may ask for: a real Redis on a free port, empty at the start of each test."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a redis-server process of this test session's own, that keeps nothing on disk."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("redis-server is not installed (Debian: apt-get install redis-server)")
    port = free_port()
    home = tmp_path_factory.mktemp("redis")
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(home)]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen([binary, "--port", str(port), *options], stdout=log, stderr=log)
    try:
        _wait_for_port(server, port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait_for_port(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"redis-server (pid {server.pid}) did not start on port {port}; {os.getpid()=}")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    """A client of that Redis, flushed before the test; the function library stays loaded."""
    client = Redis.from_url(redis_url)
    await client.flushall()
    yield client
    await client.aclose()
