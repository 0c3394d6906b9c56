"""A person is planted everywhere, erased, and then looked for: in SQL, Redis, files and logs."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis
from sqlalchemy import select
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import BreakoutRoom, Breakouts, Role
from kcs_signaling.pseudonyms import Pseudonyms
from kcs_signaling.records import Records, open_records
from kcs_signaling.records.accounts import Account
from kcs_signaling.records.stats import StatsSample
from kcs_signaling.records.tables import Base
from kcs_signaling.tokens import User

ZOE = UserId("zoe-91c4")
ME = ParticipantId(ZOE)
PERSON = User(user_id=ZOE, user_name="Zoe Quill", email="zoe@quill.example", campus_id="quilldom")
NEEDLES = ("zoe-91c4", "zoe", "quill", "sotto voce")
"""Her id, her names, her address, and what she said."""
MEASURED = {"rtt_ms": 1.0, "jitter_ms": 1.0, "loss_percent": 0.0, "bitrate_bps": 1.0}


@pytest.fixture
async def records(signaling: Signaling) -> AsyncIterator[Records]:
    """The service's own records."""
    async with open_records(f"sqlite+aiosqlite:///{signaling.home}/records.sqlite") as opened:
        yield opened


@pytest.fixture
async def look(redis_url: str) -> AsyncIterator[Redis]:
    """The service's Redis, as it is."""
    async with Redis.from_url(redis_url) as client:
        yield client


@asynccontextmanager
async def zoe_on_http(signaling: Signaling) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {signaling.tokens.access(PERSON)}"}
    async with aiohttp.ClientSession(f"{signaling.url}/", headers=headers) as http:
        yield http


async def post(http: aiohttp.ClientSession, path: str, body: Any) -> Any:
    async with http.post(f"/api/v1/{path}", json=body) as answer:
        assert answer.status == 201, await answer.text()
        return await answer.json()


async def sql(records: Records) -> str:
    async with records.database.begin() as connection:
        tables = Base.metadata.sorted_tables
        rows = {table.name: (await connection.execute(select(table))).all() for table in tables}
    return str(rows).lower()


async def everything_in(redis: Redis) -> str:
    """All keys with all that they hold."""
    found: list[object] = []
    async for key in redis.scan_iter(count=1000):
        match await redis.type(key):
            case b"string":
                held: object = await redis.get(key)
            case b"hash":
                held = await redis.hgetall(key)
            case b"set":
                held = await redis.smembers(key)
            case b"zset":
                held = await redis.zrange(key, 0, -1)
            case b"list":
                held = await redis.lrange(key, 0, -1)
            case b"none":
                continue  # its time was over just now
            case other:
                raise AssertionError(f"{key!r} is a {other!r}")
        found.append((key, held))
    return str(found).lower()


def files(signaling: Signaling) -> dict[str, bytes]:
    """All that the service has written, logs included, in lower case."""
    written = [path for path in signaling.home.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes().lower() for path in written}


def traces(text: str | bytes) -> list[str]:
    found = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [needle for needle in NEEDLES if needle in found]


async def plant_in_calls(
    signaling: Signaling, placement: Placement, clients: MakeClient, hosted: str
) -> list[str]:
    """She hosts, visits, waits, was removed, is expected; the meetings' ids."""
    ann = await clients(signaling, "/meeting", "ann")
    visited = await signaling.create_meeting("ann")
    await ann.get("room:join", {"meeting_id": visited})
    token = signaling.tokens.access(PERSON)
    host = await clients(signaling, "/meeting", ZOE, token=token)
    bob = await clients(signaling, "/meeting", "bob")
    await host.get("room:join", {"meeting_id": hosted})
    await bob.get("room:join", {"meeting_id": hosted})
    await host.get("chat:send", {"meeting_id": hosted, "message": "sotto voce, as host"})
    guest = await clients(signaling, "/meeting", ZOE, token=token)
    await guest.get("room:join", {"meeting_id": visited})
    said = {"meeting_id": visited, "message": "sotto voce"}
    await guest.get("chat:send", said)
    await guest.get("chat:send", said | {"recipient_type": "private", "recipient_id": "ann"})
    await ann.get(
        "chat:send",
        {
            "meeting_id": visited,
            "message": "to you alone",
            "recipient_type": "private",
            "recipient_id": ZOE,
        },
    )
    await guest.get("reaction:send", {"meeting_id": visited, "emoji": "👏"})
    room = MeetingId(visited)
    await placement.change_role(room, ME, Role.CO_HOST, ParticipantId("ann"))
    await placement.hand(room, ME, True)
    await placement.report_stats(room, ME, {"of": ZOE}, "good")
    await placement.change_live(room, "spotlight", ME)
    breakouts = Breakouts(
        rooms=(BreakoutRoom(id=MeetingId(f"{visited}:1"), name="Red"),),
        assignments={ME: MeetingId(f"{visited}:1"), ParticipantId("ann"): MeetingId("x:1")},
    )
    await placement.change_live(room, "breakouts", breakouts)

    asked = await signaling.create_meeting("ann", settings={"require_host_approval": True})
    waiting = await clients(signaling, "/", ZOE, token=token)
    await waiting.emit("join-meeting", {"meetingId": asked})
    expelled, expected = (
        await signaling.create_meeting("ann"),
        await signaling.create_meeting("ann"),
    )
    await placement.expel(MeetingId(expelled), ME, absent=True)
    await placement.welcome(MeetingId(expected), [ME])
    await waiting.settle()
    return [hosted, visited, asked, expelled, expected]


async def plant_on_record(signaling: Signaling, records: Records, http: Any, room: str) -> None:
    """Account, login, invitations from and to her, statistics, a breakout, the audit log."""
    await records.accounts.add(
        Account(
            user_id=ZOE,
            email=PERSON.email,
            user_name=PERSON.user_name,
            campus_id=PERSON.campus_id,
            password_hash="x",
            created_at=time.time(),
        )
    )
    _, login = signaling.tokens.refresh(PERSON)
    await records.refresh_tokens.begin(login, now=time.time())
    guest = {"email": "gil@example.org", "display_name": "Gil"}
    await post(http, f"meetings/{room}/invitations", guest)
    headers = {"Authorization": f"Bearer {signaling.access('ann')}"}
    async with aiohttp.ClientSession(f"{signaling.url}/", headers=headers) as ann:
        theirs = await post(ann, "meetings", {})
        her = {"email": "Zoe@Quill.example", "display_name": PERSON.user_name}
        await post(ann, f"meetings/{theirs['id']}/invitations", her)
    await records.audit.write(
        "meeting_token.issued",
        at=time.time(),
        actor=UserId("ann"),
        subject=ZOE,
        meeting_id=theirs["id"],
    )
    breakout = MeetingId(f"{theirs['id']}:1")
    await records.sessions.open(
        breakout, ZOE, user_name=PERSON.user_name, role=Role.GUEST, at=time.time()
    )
    sample = StatsSample(meeting_id=breakout, user_id=ZOE, at=time.time(), **MEASURED)
    await records.stats.add([sample])


async def test_of_an_erased_person_nothing_is_found_in_sql_redis_files_and_logs(
    signaling: Signaling,
    node: FakeNode,
    placement: Placement,
    records: Records,
    look: Redis,
    clients: MakeClient,
) -> None:
    async with zoe_on_http(signaling) as http:
        body = {"display_name": "Zoe's tea", "settings": {"guest_chat": True}}
        key = {"Idempotency-Key": "tea-of-zoe"}
        async with http.post("/api/v1/meetings", json=body, headers=key) as made:
            hosted = str((await made.json())["id"])
        meetings = await plant_in_calls(signaling, placement, clients, hosted)
        await plant_on_record(signaling, records, http, hosted)
        await records.journal.flush()

        planted = [await sql(records), await everything_in(look)]
        for text in planted:
            assert {"zoe-91c4", "zoe", "quill", "sotto voce"} == set(traces(text))
        for kind in ("people", "presence", "waiting", "live", "log", "stats", "limit"):
            assert f"kcs:{kind}" in planted[1]
        assert traces(files(signaling)["records.sqlite-wal"] + files(signaling)["records.sqlite"])

        async with http.delete("/api/v1/me") as answer:
            assert answer.status == 200, await answer.text()

    assert traces(await sql(records)) == []
    assert traces(await everything_in(look)) == []
    for name, content in files(signaling).items():
        assert traces(content) == [], name
    for meeting_id in meetings:
        assert not await placement.meetings_of(ME), meeting_id

    named = {line["user_id"] for line in signaling.lines if "user_id" in line}
    assert Pseudonyms(signaling.key).of(ZOE) in named
    assert all(each.startswith("u_") for each in named)
    # the others keep what is theirs
    (message, *_) = (
        await records.chat.history(MeetingId(meetings[1]), UserId("ann"), is_host=True)
    ).items
    assert (message.text, message.recipient_id) == ("to you alone", None)
    kept = await placement.breakouts(MeetingId(meetings[1]))
    assert kept is not None
    assert list(kept.assignments) == ["ann"]
    assert (await records.audit.verify()).broken is None
