"""The three servers, each a process, and how people get into a room of each."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kcs_dev.api import new_meeting
from kcs_dev.crowd import UNLIMITED, Crowd
from kcs_dev.measure import node_modules
from kcs_dev.raw_socket import RawSocket
from kcs_dev.stack import LocalStack

HERE = Path(__file__).parent
OURS, NODE, STOCK = "ours", "node", "stock"
GHOST = b'["consume",{"producer_id":"00000000-0000-4000-8000-000000000000"}]'
"""A request that each of them refuses after all checks, from what it has in memory."""


@dataclass
class Contender:
    """A running server."""

    name: str
    url: str
    pid: int
    crowd: Crowd | None = None
    """Who has tokens that ours takes; the others take any."""
    rooms: dict[str, str] = field(default_factory=dict)
    """The server's own id of each room of the benchmark."""

    async def room(self, name: str) -> str:
        """The id of the room of that name."""
        if name not in self.rooms:
            ours = self.name == OURS
            made = new_meeting(self.url, max_participants=250) if ours else None
            self.rooms[name] = await made if made else name
        return self.rooms[name]

    async def connect(self, user: str) -> RawSocket:
        """A socket of that user, in no room."""
        if self.crowd is not None:
            return await self.crowd.connect(self.url, user)
        return await RawSocket.connect(self.url, "/meeting", user, timeout_s=30)

    async def join(self, socket: RawSocket, room: str, user: str) -> None:
        """Into the room with it."""
        join = {"meeting_id": await self.room(room), "user_id": user, "display_name": user}
        await socket.request("room:join", join, timeout_s=30)

    async def enter(self, room: str, user: str) -> RawSocket:
        """A socket of that user, in that room."""
        socket = await self.connect(user)
        await self.join(socket, room, user)
        return socket

    async def leave(self, room: str, sockets: Sequence[RawSocket]) -> None:
        """All these leave the room and hang up."""
        for socket in sockets:
            if self.name == OURS:
                await socket.request("room:leave", {"meeting_id": self.rooms[room]})
            socket.close()


@asynccontextmanager
async def contenders(directory: Path, *others: str) -> AsyncIterator[list[Contender]]:
    """Ours as `make run` starts it, but without limits, and the others on the same Redis."""
    commands = {
        NODE: ["node", str(HERE / "node_server.js")],
        STOCK: [sys.executable, str(HERE / "stock_server.py")],
    }
    async with LocalStack(directory, env=UNLIMITED) as stack:
        crowd = Crowd(stack)
        await crowd.begin(stack.url)
        started = {name: await _start(commands[name], stack.redis_url) for name in others}
        ours = Contender(OURS, stack.url, stack.signaling[0].child.pid, crowd)
        try:
            yield [ours, *[await _contender(*each) for each in started.items()]]
        finally:
            for process in started.values():
                assert process.stdin
                process.stdin.close()
                await process.wait()


async def _start(argv: Sequence[str], redis_url: str) -> asyncio.subprocess.Process:
    env = {**os.environ, "NODE_PATH": str(node_modules(HERE))}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*argv, redis_url, stdin=pipe, stdout=pipe, env=env)


async def _contender(name: str, process: asyncio.subprocess.Process) -> Contender:
    assert process.stdout
    port = int(await asyncio.wait_for(process.stdout.readline(), 20))
    return Contender(name, f"http://127.0.0.1:{port}", process.pid)
