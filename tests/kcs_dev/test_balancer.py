"""HAProxy before two replicas, as docs/load-balancing.md sets it up, with sockets that go by it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from kcs_dev.balancer import start_balancer
from kcs_dev.crowd import Crowd
from kcs_dev.processes import free_port
from kcs_dev.stack import LocalStack

_SOCKETS = re.compile(r'^kcs_signaling_sockets\{.*namespace="/meeting".*\} (\S+)$', re.MULTILINE)


class Balanced:
    """Two replicas and HAProxy."""

    def __init__(self, stack: LocalStack, url: str):
        self.stack, self.url, self.crowd = stack, url, Crowd(stack)

    async def sockets(self) -> list[int]:
        """How many there are on each replica."""
        counts = []
        async with aiohttp.ClientSession(raise_for_status=True) as http:
            for replica in self.stack.signaling:
                async with http.get(f"{replica.url}/metrics") as answer:
                    found = _SOCKETS.search(await answer.text())
                    counts.append(int(float(found[1])) if found else 0)
        return counts


@pytest.fixture
async def balanced(tmp_path: Path) -> AsyncIterator[Balanced]:
    stack = LocalStack(tmp_path, nodes_wanted=0)
    async with stack:
        await stack.start_signaling(free_port())
        child, url = await start_balancer(tmp_path, [each.url for each in stack.signaling])
        try:
            yield Balanced(stack, url)
        finally:
            await child.stop()


async def test_sockets_that_name_a_meeting_are_gathered_and_meetings_are_spread(
    balanced: Balanced,
) -> None:
    used = set()
    for number in range(8):
        before = await balanced.sockets()
        for person in range(3):
            url = f"{balanced.url}?meeting=meeting-{number}"
            await balanced.crowd.connect(url, f"m{number}p{person}")
        after = await balanced.sockets()
        grown = [now - then for now, then in zip(after, before, strict=True)]
        assert sorted(grown) == [0, 3]
        used.add(grown.index(3))
    assert used == {0, 1}


async def test_a_polling_client_that_names_no_meeting_stays_with_its_replica(
    balanced: Balanced,
) -> None:
    polling = f"{balanced.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        for _ in range(4):
            async with http.get(polling) as answer:
                found = re.search(r'"sid":"([^"]+)"', await answer.text())
            assert found is not None
            for _ in range(3):  # 400 where the other replica is asked
                async with http.post(f"{polling}&sid={found[1]}", data="3") as answer:
                    assert await answer.text() == "OK"
