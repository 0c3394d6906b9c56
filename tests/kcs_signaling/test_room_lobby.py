"""Peers that wait in a replica's lobby, as the bus tells of them; on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis
from tests.support.rooms import Deaf, peer, person

from kcs_contracts.ids import MeetingId, ParticipantId, SessionId, new_meeting_id
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import Placement, Presence, Waits, connect
from kcs_signaling.rooms.peer import Peer
from kcs_signaling.service.registry import RoomRegistry

ANN = ParticipantId("ann")


class Listener(Deaf):
    """An audience that remembers."""

    def __init__(self) -> None:
        self.parted: list[SessionId] = []
        self.outcomes: list[bool] = []

    def part(self, peer: Peer, meeting_id: MeetingId) -> None:
        self.parted.append(peer.session)

    def decided(self, peer: Peer, meeting_id: MeetingId, admitted: bool, note: str) -> None:
        self.outcomes.append(admitted)


class Lobby:
    """Ann waits in a meeting where hosts let people in."""

    def __init__(self, placement: Placement, registry: RoomRegistry):
        self.placement, self.registry = placement, registry
        self.meeting, self.heard = new_meeting_id(), Listener()

    async def waits(self, session: str) -> Peer:
        await self.placement.update_settings(self.meeting, RoomSettings(require_host_approval=True))
        waits = await self.placement.join(self.meeting, person(ANN, session), limit=9)
        assert isinstance(waits, Waits)
        ann = peer(ANN, session, self.heard)
        await self.registry.wait(ann, self.meeting, waits.version)
        return ann

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                await asyncio.sleep(0.005)


@pytest.fixture
async def lobby(redis_url: str) -> AsyncIterator[Lobby]:
    """On the Redis that other tests' processes use too: nothing is flushed."""
    redis: Redis = connect(redis_url)
    placement = Placement(redis)
    await placement.load()
    async with RoomRegistry(placement, redis, grace_s=1) as registry:
        yield Lobby(placement, registry)
    await placement.settle()
    await redis.aclose()


async def test_whoever_redis_took_for_gone_stays_in_the_lobby_to_ask_again(lobby: Lobby) -> None:
    peer = await lobby.waits("s1")
    room = peer.waits_for
    assert room is not None
    await lobby.placement.leave(lobby.meeting, ANN, peer.session)  # as a sweep of it would
    await lobby.until(lambda: ANN not in room.state.waiting)
    assert (peer.waits_for, lobby.heard.outcomes) == (room, [])
    presence = Presence(lobby.meeting, ANN, peer.session)
    assert await lobby.placement.touch([presence]) == [presence]


async def test_whoever_comes_in_from_another_session_waits_no_more(lobby: Lobby) -> None:
    peer = await lobby.waits("s1")
    await lobby.placement.update_settings(lobby.meeting, RoomSettings())
    await lobby.placement.join(lobby.meeting, person(ANN, "s2"), limit=9)
    await lobby.until(lambda: peer.waits_for is None)
    assert (lobby.heard.parted, lobby.heard.outcomes) == (["s1"], [])
    await lobby.placement.leave(lobby.meeting, ANN, SessionId("s2"))


@pytest.mark.parametrize("admitted", [True, False])
async def test_whoever_is_decided_about_hears_it(lobby: Lobby, admitted: bool) -> None:
    peer = await lobby.waits("s1")
    if admitted:
        await lobby.placement.admit(lobby.meeting, [ANN])
    else:
        await lobby.placement.deny(lobby.meeting, ANN)
    await lobby.until(lambda: peer.waits_for is None)
    assert lobby.heard.outcomes == [admitted]
