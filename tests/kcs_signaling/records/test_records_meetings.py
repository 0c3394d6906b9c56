"""Meetings on record: nothing is lost at a restart, changed twice, or made twice by one key."""

import asyncio
from collections.abc import Callable

import pytest

from kcs_contracts.ids import UserId
from kcs_contracts.rooms import Role
from kcs_signaling.ports import Meeting
from kcs_signaling.records import Records, open_records
from kcs_signaling.records.chat import ChatMessage
from kcs_signaling.records.meetings import KEY_S, KeyReused, Once
from kcs_signaling.records.paging import BadCursor
from kcs_signaling.records.stats import StatsSample

MakeMeeting = Callable[..., Meeting]
ADA = UserId("ada")


def once(key: str = "k", fingerprint: str = "f" * 64, user: str = "ada") -> Once:
    return Once(UserId(user), key, fingerprint)


async def test_a_meeting_is_the_same_after_a_restart(sql_url: str, meeting: MakeMeeting) -> None:
    settings = {"guest_chat": True, "ünï": [1, None, {"deep": "ü"}]}
    plain = meeting("m-2", starts_at=None, duration_minutes=None)
    rich = meeting(settings=settings)
    async with open_records(sql_url) as first:
        await first.meetings.create(rich)
        await first.meetings.create(plain)
    async with open_records(sql_url) as second:
        assert await second.meeting("m-1") == rich
        assert await second.meeting("m-2") == plain
        assert await second.meeting("m-3") is None


async def test_a_meeting_ends_once_and_stays_on_record(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    await records.meetings.create(meeting())
    ended = await records.meetings.end("m-1", now=now + 5)
    assert ended == meeting(ended_at=now + 5, version=2)
    assert await records.meetings.end("m-1", now=now + 9) == ended
    assert await records.meeting("m-1") == ended
    assert await records.meetings.end("m-2", now=now) is None


async def test_what_another_replica_ended_is_known_within_two_seconds(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    clock = [100.0]
    here, elsewhere = Records(records.database, lambda: clock[0]), Records(records.database)
    assert await here.meeting("m-1") is None
    await elsewhere.meetings.create(meeting())
    assert await here.meeting("m-1") == meeting()  # that there was none is not kept
    await elsewhere.meetings.end("m-1", now=now)
    assert await here.meeting("m-1") == meeting()
    clock[0] += 2
    assert await here.meeting("m-1") == meeting(ended_at=now, version=2)


async def test_of_many_changes_of_one_version_at_once_one_is_made(
    records: Records, meeting: MakeMeeting
) -> None:
    await records.meetings.create(meeting())
    made = await asyncio.gather(
        *(records.meetings.change("m-1", 1, display_name=f"n{n}") for n in range(8))
    )
    (won,) = [each for each in made if each is not None]
    assert won.version == 2
    assert await records.meetings.read("m-1") == won
    changed = await records.meetings.change(
        "m-1", 2, settings={"a": 1}, default_role=Role.GUEST, starts_at=None
    )
    assert changed == won.model_copy(
        update={"settings": {"a": 1}, "default_role": Role.GUEST, "starts_at": None, "version": 3}
    )
    assert await records.meetings.change("m-9", 1, display_name="x") is None


async def test_a_meetings_host_is_not_changed(records: Records, meeting: MakeMeeting) -> None:
    await records.meetings.create(meeting())
    with pytest.raises(ValueError, match="host_id"):
        await records.meetings.change("m-1", 1, host_id="eve")


async def test_requests_with_one_key_at_once_make_one_meeting(
    records: Records, meeting: MakeMeeting
) -> None:
    made = await asyncio.gather(
        *(records.meetings.create(meeting(f"m-{n}"), once=once()) for n in range(8))
    )
    assert len({each.id for each in made}) == 1
    assert (await records.meetings.of_host(ADA)).items == (made[0],)


async def test_a_key_holds_for_its_request_its_person_and_a_day(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    first = await records.meetings.create(meeting("m-1"), once=once())
    with pytest.raises(KeyReused):
        await records.meetings.create(meeting("m-2"), once=once(fingerprint="0" * 64))
    assert await records.meetings.read("m-2") is None
    others = await records.meetings.create(meeting("m-3", host_id="bob"), once=once(user="bob"))
    assert others.id == "m-3"
    later = meeting("m-4", created_at=now + KEY_S - 1)
    assert (await records.meetings.create(later, once=once())).id == first.id
    tomorrow = meeting("m-5", created_at=now + KEY_S)
    assert (await records.meetings.create(tomorrow, once=once())).id == "m-5"


async def test_a_hosts_meetings_come_in_pages_newest_first(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    for n in range(5):  # two of them made in the same moment
        await records.meetings.create(meeting(f"m-{n}", created_at=now + n // 2))
    await records.meetings.create(meeting("other", host_id="bob"))
    seen, after = [], None
    while True:
        page = await records.meetings.of_host(ADA, after=after, limit=2)
        seen += [each.id for each in page.items]
        assert len(page.items) <= 2
        if page.next is None:
            break
        after = page.next
        await records.meetings.create(
            meeting(f"new-{len(seen)}", created_at=now + 99)
        )  # shifts nothing
    assert seen == ["m-4", "m-3", "m-2", "m-1", "m-0"]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "?",
        "W10",
        "bnVsbA",
        "WzEsMl0",
        "WyJhIiwiYiJd",
        "W05hTiwiYSJd",
        "W3RydWUsImEiXQ",
        "A" * 600,
        "Wy" * 200,
        "ü",
        "WzEuMCxbXV0",
    ],
)
async def test_a_cursor_that_is_none_is_refused(records: Records, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await records.meetings.of_host(ADA, after=cursor)


async def test_a_deleted_meeting_leaves_nothing_of_itself(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    for meeting_id in ("m-1", "m-2"):
        await records.meetings.create(meeting(meeting_id), once=once(meeting_id))
        message = {"id": f"c-{meeting_id}", "meeting_id": meeting_id, "sender_id": "ada"}
        await records.chat.add(
            ChatMessage.model_validate(message | {"sender_name": "Ada", "text": "hi", "at": now})
        )
        await records.sessions.open(meeting_id, ADA, user_name="Ada", role=Role.HOST, at=now)
    assert await records.meetings.delete("m-1")
    assert not await records.meetings.delete("m-1")
    left = await records.persons.export(ADA)
    assert {
        table: {row.get("meeting_id", row.get("id")) for row in rows}
        for table, rows in left["tables"].items()
    } == {name: {"m-2"} for name in ("meetings", "chat_messages", "sessions", "idempotency_keys")}


async def test_a_deleted_meeting_takes_its_breakout_rooms_along_and_no_others(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    for meeting_id in ("m-1", "m-11"):
        await records.meetings.create(meeting(meeting_id))
    rooms = ["m-1", "m-1:1", "m-1:50", "m-11", "m-11:1", "m-10:1"]
    measured = {"rtt_ms": 1.0, "jitter_ms": 1.0, "loss_percent": 0.0, "bitrate_bps": 1.0}
    for room in rooms:
        message = {"id": f"c-{room}", "meeting_id": room, "sender_id": "ada", "sender_name": "Ada"}
        await records.chat.add(ChatMessage.model_validate(message | {"text": "hi", "at": now}))
        await records.sessions.open(room, ADA, user_name="Ada", role=Role.HOST, at=now)
        sample = {"meeting_id": room, "user_id": "ada", "at": now} | measured
        await records.stats.add([StatsSample.model_validate(sample)])
    assert await records.meetings.delete("m-1")
    tables = (await records.persons.export(ADA))["tables"]
    for table in ("chat_messages", "sessions", "stats"):
        assert sorted(row["meeting_id"] for row in tables[table]) == ["m-10:1", "m-11", "m-11:1"]
    await records.persons.erase(ADA, now=now)
    left = (await records.persons.export(ADA))["tables"]
    assert left == {}


async def test_ids_that_no_database_can_hold_find_nothing(records: Records) -> None:
    for strange in ("a\0b", "\ud800", "'; DROP TABLE meetings; --", "x" * 10_000):
        assert await records.meeting(strange) is None
        assert await records.accounts.find(strange) is None
