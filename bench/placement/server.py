"""A Redis of the benchmark's own: its nodes, what it holds afterwards, and C's calls of it."""

import asyncio
import csv
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import ConnectionError as NoRedis

from kcs_contracts.ids import BootId, NodeName
from kcs_contracts.placement import NodeLease, Placement, connect
from kcs_contracts.placement.functions import SOURCE
from kcs_dev.measure import cpu_s
from kcs_dev.processes import free_port

_LEASE_MS = 3_600_000
_MANY = 2_000_000_000
"""Random names out of so many: hardly one comes twice in a round, and that is checked."""


class Server:
    """Redis without persistence. `with` it."""

    def __init__(self, directory: Path):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        argv += ["--appendonly", "no", "--dir", str(directory)]
        with (directory / "redis.log").open("wb") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        self._redis = Redis.from_url(self.url, decode_responses=True)

    def __enter__(self) -> Self:
        while True:
            try:
                self._redis.ping()
            except NoRedis:
                if self._process.poll() is not None:
                    raise SystemExit("redis-server ended at its start") from None
                time.sleep(0.05)
            else:
                self._redis.function_load(SOURCE, replace=True)
                return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._redis.close()
        self._process.terminate()
        self._process.wait(timeout=10)

    def cpu_s(self) -> float:
        """CPU time that it has used."""
        return cpu_s(self._process.pid)

    def begin(self, nodes: int, workers: int) -> None:
        """Empties it, but for that many nodes' leases."""
        self._redis.flushall()
        asyncio.run(_renew(self.url, nodes, workers))

    def count_homes(self) -> int:
        """Meetings that have one."""
        return sum(1 for _ in self._redis.scan_iter("kcs:home:*", count=1000))

    def reservations(self) -> dict[str, list[str]]:
        """The meetings that each living node keeps room for."""
        now = time.time() * 1000
        found: dict[str, list[str]] = {}
        for name in map(str, self._redis.smembers("kcs:nodes")):
            until = float(self._redis.hget(f"kcs:node:{name}", "lease_until") or 0)
            if until > now:
                found[name] = list(map(str, self._redis.hkeys(f"kcs:reserved:{name}")))
        return found

    @contextmanager
    def ending_leases(self, count: int, within_s: float) -> Iterator[None]:
        """The first nodes' leases end one after the other, from now on."""

        def end() -> None:
            for number in range(count):
                time.sleep(within_s / count)
                name = f"n{number:03}"
                self._redis.fcall("kcs_release", 0, name, f"b-{name}")

        thread = threading.Thread(target=end)
        thread.start()
        try:
            yield
        finally:
            thread.join()


async def _renew(url: str, nodes: int, workers: int) -> None:
    redis = connect(url)
    placement = Placement(redis)
    for number in range(nodes):
        name = f"n{number:03}"
        lease = NodeLease(
            node=NodeName(name),
            boot=BootId(f"b-{name}"),
            control_url="http://127.0.0.1:1",
            consumer_capacity=workers * 500,
            lease_ms=_LEASE_MS,
        )
        await placement.renew(lease, [])
    await redis.aclose()


def raw_calls(
    port: int, calls: int, connections: int, pipelined: int, *, again: bool = False
) -> float:
    """Calls of kcs_assign that redis-benchmark makes in a second.

    Each is for another meeting that has no home; `again`: all for one that has.
    """
    meeting = "m000000000000" if again else "m__rand_int__"
    argv = ["redis-benchmark", "-p", str(port), "-c", str(connections), "-n", str(calls)]
    argv += ["-P", str(pipelined), "-r", str(_MANY), "--csv"]
    # as Homes.assign says it: meeting, region, expected, strategy, ring, warm-up, pool
    argv += ["FCALL", "kcs_assign", "0", meeting, "", "0", "", "1", "0", ""]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    (row,) = csv.DictReader(done.stdout.splitlines())
    return float(row["rps"])
