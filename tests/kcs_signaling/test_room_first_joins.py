"""Many first joins of a meeting at once, over two real replicas."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_dev.raw_socket import RawSocket

SOCKETS = 200
AT_LEAST_ROUNDS, ENOUGH_S = 10, 25


@pytest.fixture
async def replicas(own_signaling: Callable[..., Awaitable[Signaling]]) -> list[Signaling]:
    """Two processes with one key, one database and one Redis. Nobody is limited: on a fast machine
    200 people of one address join more often than limits for an address allow."""
    return [await own_signaling(KCS_LIMITS__ENABLED="false") for _ in range(2)]


@pytest.fixture
async def nodes(
    replicas: list[Signaling], placement: Placement
) -> AsyncIterator[dict[str, FakeNode]]:
    """Two nodes with room for all."""
    keys = {replicas[0].tokens.signer_kid: replicas[0].key.public_key()}
    async with FakeNode(placement, keys, "one") as one, FakeNode(placement, keys, "two") as two:
        yield {"one": one, "two": two}


@pytest.fixture
async def sockets(replicas: list[Signaling]) -> AsyncIterator[list[RawSocket]]:
    """200 people, neighbours on different replicas."""
    async with AsyncExitStack() as stack:
        made = []
        for number in range(SOCKETS):
            replica = replicas[number % 2]
            token = replica.access(f"p{number}")
            made.append(await RawSocket.connect(replica.url, "/meeting", token))
            stack.callback(made[-1].close)
        yield made


async def all_at_once(sockets: list[RawSocket], meeting: str, event: str) -> list[Any]:
    """Every socket's frame is written before anything is read; their acknowledgements."""
    body = orjson.dumps([event, {"meeting_id": meeting}])
    answers: list[asyncio.Future[bytes]] = []
    for socket in sockets:
        answers.append(asyncio.get_running_loop().create_future())
        socket.fire(body, answers[-1].set_result)
    async with asyncio.timeout(20):
        packets = await asyncio.gather(*answers)
    return [orjson.loads(packet[packet.index(b"[") :])[0] for packet in packets]


async def test_200_first_joins_over_two_replicas_give_one_node_and_epoch_in_every_round(
    replicas: list[Signaling],
    nodes: dict[str, FakeNode],
    sockets: list[RawSocket],
    placement: Placement,
) -> None:
    everybody = {ParticipantId(f"p{number}") for number in range(SOCKETS)}
    began, rounds = time.monotonic(), 0
    while rounds < AT_LEAST_ROUNDS or time.monotonic() - began < ENOUGH_S:
        meeting = MeetingId(await replicas[0].create_meeting("host"))

        joined = await all_at_once(sockets, meeting, "room:join")

        assert [each for each in joined if not each["ok"]] == []
        told = {each["data"]["media"]["epoch"] for each in joined}
        snapshot = await placement.snapshot(meeting)
        assert snapshot.assignment is not None
        home = snapshot.assignment
        assert told == {home.epoch}
        asked = {name: each.epochs[meeting] for name, each in nodes.items() if each.epochs[meeting]}
        assert asked == {home.node: {home.epoch}}
        assert {each.id for each in snapshot.participants} == everybody
        left = await all_at_once(sockets, meeting, "room:leave")
        assert [each for each in left if not each["ok"]] == []
        rounds += 1
    print(f"{rounds} rounds of {SOCKETS} joins in {time.monotonic() - began:.0f} s")
