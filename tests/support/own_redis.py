"""A Redis of one test's own, to be stopped and frozen."""

import asyncio
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from redis.exceptions import RedisError

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import RoomSnapshot
from kcs_dev.processes import free_port


class OwnRedis:
    """A Redis that the test may stop, freeze and start again, empty each time."""

    def __init__(self, home: Path):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._home = home
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._server = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--dir", str(self._home), *options],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
            except OSError:
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGCONT)
            self._server.kill()
            self._server.wait()
            self._server = None

    def freeze(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)


async def come_back(
    placement: Placement, meeting: str, people: set[str], waiting: frozenset[str] = frozenset()
) -> RoomSnapshot:
    """The meeting once these people are in it, and these wait, in a Redis that was empty."""
    found: object = None
    try:
        async with asyncio.timeout(30):
            while found != (people, waiting):
                await asyncio.sleep(0.1)
                with suppress(RedisError):  # the connections to the one before break
                    state = await placement.snapshot(MeetingId(meeting))
                    there, queue = state.participants, state.waiting
                    found = {each.id for each in there}, {each.id for each in queue}
    except TimeoutError:
        raise AssertionError(f"in it, and waiting, are {found}") from None
    await asyncio.sleep(2)  # what must not follow would follow now
    return await placement.snapshot(MeetingId(meeting))
