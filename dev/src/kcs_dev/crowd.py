"""Crowds: many people in meetings, over raw sockets, as load generators need them.

Their tokens are signed here, with the stack's own key: thousands of logins would be a load of
their own.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from kcs_contracts.ids import UserId
from kcs_dev.api import new_meeting
from kcs_dev.processes import free_port
from kcs_dev.raw_socket import RawSocket, Refused
from kcs_dev.stack import LocalStack
from kcs_signaling.keys import load_key
from kcs_signaling.tokens import Tokens, User

T = TypeVar("T")
UNLIMITED: Mapping[str, str] = {
    "KCS_LIMITS__ENABLED": "false",
    "KCS_NODE__CONSUMERS_PER_WORKER": "100000",
}
"""Settings of a stack that a crowd comes to: no limits, and a node that is never full."""


class Crowd:
    """People by user id, whoever is needed."""

    def __init__(self, stack: LocalStack):
        key = load_key(stack.directory / "signing-key.pem")
        self._tokens = Tokens(key, issuer="kcs-meetings", access_minutes=60, refresh_days=1)

    async def connect(self, url: str, user_id: str) -> RawSocket:
        """A socket of that user in `/meeting`, on the replica at `url`."""
        token = self._tokens.access(User(user_id=UserId(user_id), user_name=user_id))
        return await RawSocket.connect(url, "/meeting", token, timeout_s=30)

    async def begin(self, url: str) -> None:
        """Waits until somebody can join: a Redis that was empty gives no homes at first."""
        meeting = await new_meeting(url)
        first = await self.connect(url, "first")
        async with asyncio.timeout(30):
            while True:
                with suppress(Refused):
                    await first.request("room:join", {"meeting_id": meeting})
                    break
                await asyncio.sleep(0.5)
        await first.request("room:leave", {"meeting_id": meeting})
        first.close()


async def grow(stack: LocalStack, replicas: int) -> None:
    """Starts signaling replicas until there are so many: one by one, for they share few cores."""
    while len(stack.signaling) < replicas:
        await stack.start_signaling(free_port())


async def at_rate(per_second: float, works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Begins so many a second, whatever became of those before; their results in order."""
    began, tasks = time.perf_counter(), []
    async with asyncio.TaskGroup() as group:
        for number, work in enumerate(works):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(group.create_task(work))
    return [task.result() for task in tasks]


async def some_at_once(count: int, works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Does them with so many under way at a time; their results in order."""
    free = asyncio.Semaphore(count)

    async def do(work: Coroutine[Any, Any, T]) -> T:
        async with free:
            return await work

    return await asyncio.gather(*map(do, works))
