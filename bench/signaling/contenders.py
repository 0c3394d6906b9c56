"""The three servers, each a process, and how people get into a room of each."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kcs_dev.api import access_token, new_meeting
from kcs_dev.measure import node_modules
from kcs_dev.raw_socket import RawSocket
from kcs_dev.stack import LocalStack

HERE = Path(__file__).parent
OURS, NODE, STOCK = "ours", "node", "stock"


@dataclass
class Contender:
    """A running server."""

    name: str
    url: str
    pid: int
    rooms: dict[str, str] = field(default_factory=dict)
    """The server's own id of each room of the benchmark."""
    tokens: dict[str, str] = field(default_factory=dict)

    async def room(self, name: str) -> str:
        """The id of the room of that name."""
        if name not in self.rooms:
            ours = self.name == OURS
            made = new_meeting(self.url, max_participants=250) if ours else None
            self.rooms[name] = await made if made else name
        return self.rooms[name]

    async def enter(self, room: str, user: str) -> RawSocket:
        """A socket of that user, in that room."""
        if user not in self.tokens:
            ours = self.name == OURS
            self.tokens[user] = await access_token(self.url, user, user) if ours else user
        socket = await RawSocket.connect(self.url, "/meeting", self.tokens[user])
        join = {"meeting_id": await self.room(room), "user_id": user, "display_name": user}
        await socket.request("room:join", join)
        return socket

    async def leave(self, room: str, sockets: Sequence[RawSocket]) -> None:
        """All these leave the room and hang up."""
        for socket in sockets:
            if self.name == OURS:
                await socket.request("room:leave", {"meeting_id": self.rooms[room]})
            socket.close()


@asynccontextmanager
async def all_contenders(directory: Path) -> AsyncIterator[list[Contender]]:
    """Ours as `make run` starts it, and the two others beside it on the same Redis."""
    modules = node_modules(HERE)
    async with LocalStack(directory) as stack:
        node = await _start(["node", str(HERE / "node_server.js")], stack.redis_url, modules)
        stock = await _start([sys.executable, str(HERE / "stock_server.py")], stack.redis_url)
        ours = Contender(OURS, stack.url, stack.signaling[0].child.pid)
        try:
            yield [ours, await _contender(NODE, node), await _contender(STOCK, stock)]
        finally:
            for process in (node, stock):
                assert process.stdin
                process.stdin.close()
                await process.wait()


async def _start(
    argv: Sequence[str], redis_url: str, modules: Path | None = None
) -> asyncio.subprocess.Process:
    env = {**os.environ, **({"NODE_PATH": str(modules)} if modules else {})}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*argv, redis_url, stdin=pipe, stdout=pipe, env=env)


async def _contender(name: str, process: asyncio.subprocess.Process) -> Contender:
    assert process.stdout
    port = int(await asyncio.wait_for(process.stdout.readline(), 20))
    return Contender(name, f"http://127.0.0.1:{port}", process.pid)
