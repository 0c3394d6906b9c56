"""Erasing a person: out of the meetings that they are in, out of Redis, out of the records.

The order: their own meetings end, they are put out of others', what replicas have still to write
of that is written; then Redis forgets them, and the records last, since they alone say where the
person was. Each step may be made again, so whoever meets an error asks again.

Log lines hold pseudonyms (`pseudonyms`), and stay. Nothing else keeps people: files are recordings,
and there are none yet.
"""

import asyncio
import secrets
import time
from hashlib import sha256

from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId, ParticipantId, SessionId, UserId
from kcs_contracts.placement import Placement, PlacementError
from kcs_signaling.http.needs import RestServices
from kcs_signaling.identity import Identity
from kcs_signaling.records.persons import Erased
from kcs_signaling.service.nodes import RoomNodes

_SETTLE_S = 1.0
"""Within it the journals of all replicas have written what was said of the person before."""


async def erase(services: RestServices, nodes: RoomNodes, person: Identity) -> Erased:
    """Erases somebody everywhere.

    Raises:
        Unavailable, RedisError: a part does not answer; ask again.
    """
    who = ParticipantId(person.user_id)
    await _end_hosted(services, person.user_id)
    inside = await services.placement.meetings_of(who)
    for meeting_id in inside:
        await _put_out(services.placement, nodes, meeting_id, who)
    await asyncio.sleep(_SETTLE_S)
    known = await services.records.sessions.meetings_of(person.user_id)
    marked = await _marked_in(services.redis, who)
    for meeting_id in dict.fromkeys([*inside, *known, *marked]):
        await services.placement.forget_person(meeting_id, who)
    await _forget_limits(services.redis, person)
    return await services.records.persons.erase(person.user_id, email=person.email, now=time.time())


async def _end_hosted(services: RestServices, host: UserId) -> None:
    """Ends them where people are; that they are over is put on record by the erasure."""
    cursor = None
    while True:
        page = await services.records.meetings.of_host(host, after=cursor, limit=200)
        for meeting in page.items:
            if meeting.ended_at is None:
                await services.endings.end_live(meeting.id, "deleted")
                services.records.journal.ended(meeting.id, time.time())
        cursor = page.next
        if cursor is None:
            return


async def _put_out(
    placement: Placement, nodes: RoomNodes, meeting_id: MeetingId, who: ParticipantId
) -> None:
    people = (await placement.snapshot(meeting_id)).participants
    found = next((person for person in people if person.id == who), None)
    if found is None:
        return  # they wait to be let in: to be forgotten is enough
    # A session that replaces theirs makes their replica part with the socket for good: it would
    # take a mere absence for a loss of Redis, and put them back.
    session = SessionId(f"erased-{secrets.token_hex(8)}")
    replacing = found.model_copy(update={"session": session})
    try:
        await placement.join(meeting_id, replacing, limit=len(people))
    except PlacementError:
        return  # it was ended meanwhile, or they are out already
    await placement.leave(meeting_id, who, session, "removed")
    await nodes.dismiss(meeting_id, who)


async def _marked_in(redis: Redis, who: ParticipantId) -> list[MeetingId]:
    """Running meetings that expect them or keep them out, whether they were ever in or not."""
    kinds = ("removed", "admitted", "role", "muted_audio", "muted_video")
    marks = [f"{mark}:{who}" for mark in kinds]
    rooms = [key async for key in redis.scan_iter("kcs:live:*", count=1000)]
    found = [key.decode() for key in rooms if any(await redis.hmget(key, marks))]
    return [MeetingId(key.removeprefix("kcs:live:")) for key in found]


async def _forget_limits(redis: Redis, person: Identity) -> None:
    """Takes away how often they did things (`service.limits`), in steps that hold nobody up."""
    names = [person.user_id, _digest(person.user_id), _digest(person.email)]
    async for key in redis.scan_iter("kcs:limit:*/by/*", count=1000):
        who = key.decode().partition("/by/")[2]
        if any(who == n or who.endswith(f"/{n}") or who.startswith(f"{n}@") for n in names):
            await redis.delete(key)


def _digest(name: str) -> str:
    """As `auth` and `links` count by addresses and names that are too long for a key."""
    return sha256(name.lower().encode()).hexdigest()[:32]
