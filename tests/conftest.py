"""What every test may ask for: a real Redis, PostgreSQL and Kubernetes, each on a free port.

Redis is empty at the start of each test; PostgreSQL gives each test databases of its own,
Kubernetes a namespace of its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.support.kubernetes import Kubernetes, Namespace

from kcs_dev.processes import free_port


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
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"{server.args!r} (pid {server.pid}) did not start on port {port}; {os.getpid()=}")


class Postgres:
    """A PostgreSQL cluster in a directory of its own; PostgreSQL never runs as root."""

    def __init__(self, home: Path, programs: Path):
        self.port = free_port()
        self._home, self._programs = home, programs
        self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if os.geteuid() != 0:
            self._as_user = []
        else:
            shutil.chown(home, "postgres", "postgres")
        self._made = 0
        self._server: subprocess.Popen[bytes] | None = None
        self.run("initdb", "--auth=trust", "--username=kcs", "--no-sync", "-D", str(home / "data"))

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs to its end."""
        argv = [*self._as_user, str(self._programs / program), *arguments]
        done = subprocess.run(argv, cwd=self._home, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Starts the server, without the safety of writing to the disk, which costs time."""
        settings = ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        options = [option for setting in settings for option in ("-c", setting)]
        argv = [*self._as_user, str(self._programs / "postgres"), "-D", str(self._home / "data")]
        argv += ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._home), *options]
        with (self._home / "log").open("ab") as log:
            self._server = subprocess.Popen(argv, cwd=self._home, stdout=log, stderr=log)
        _wait_for_port(self._server, self.port)
        deadline = time.monotonic() + 20
        while not self._answers():  # it listens before it lets anybody in
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _answers(self) -> bool:
        argv = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(argv).returncode == 0

    def stop(self) -> None:
        """Ends the server and its connections (SIGINT: PostgreSQL's fast shutdown)."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(timeout=20)
            self._server = None

    def new_database(self) -> str:
        """SQLAlchemy URL of a new, empty database."""
        self._made += 1
        name = f"test_{self._made}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "kcs", name)
        return f"postgresql+asyncpg://kcs@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test session's own."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.fail("PostgreSQL is not installed (Debian: apt-get install postgresql-15)")
    # not below pytest's directory, which only root may enter
    with tempfile.TemporaryDirectory(prefix="kcs-postgres-") as home:
        server = Postgres(Path(home), programs[-1])
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    """A client of that Redis, flushed before the test; the function library stays loaded."""
    client = Redis.from_url(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """A Kubernetes API server of this test session's own; nothing acts on its objects."""
    yield from _kubernetes(Kubernetes(tmp_path_factory.mktemp("kubernetes") / "api-server"))


@pytest.fixture
def cluster(api_server: Kubernetes) -> Namespace:
    """This test's own namespace on that API server."""
    return api_server.new_namespace()


@pytest.fixture(scope="session")
def kwok(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """A Kubernetes of this session's own with controllers and nodes that seem to run pods."""
    home = tmp_path_factory.mktemp("kubernetes") / "kwok"
    yield from _kubernetes(Kubernetes(home, kwok=True))


def _kubernetes(cluster: Kubernetes) -> Iterator[Kubernetes]:
    cluster.start()
    yield cluster
    cluster.stop()
