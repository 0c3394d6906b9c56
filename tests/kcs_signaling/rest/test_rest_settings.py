"""A meeting's settings over REST: said in part, answered whole, and told to the running meeting."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import NodeLease

DEFAULTS = {"default_role": "presenter", **RoomSettings().model_dump()}


async def change(rest: Any, meeting: Any, settings: Any, status: int = 200) -> Any:
    answer = await rest.call(
        "PATCH",
        f"/api/v1/meetings/{meeting['id']}",
        token=rest.access(rest.ada),
        json={"settings": settings},
        headers={"If-Match": "*"},
    )
    assert answer.status == status, answer.text
    return answer.json


async def begin(rest: Any, meeting: Any) -> None:
    """Somebody has made the meeting's room ready."""
    node = NodeLease(node="n1", boot="b1", control_url="http://127.0.0.1:1", consumer_capacity=500)
    await rest.services.placement.renew(node, [])
    await rest.services.placement.assign(MeetingId(meeting["id"]), warmup_ms=0)


async def test_what_nobody_says_has_the_defaults_of_the_contract(rest: Any) -> None:
    assert (await rest.meeting())["settings"] == DEFAULTS
    said = {"guest_chat": True, "idle_minutes": 5, "default_role": "guest"}
    assert (await rest.meeting(settings=said))["settings"] == DEFAULTS | said


async def test_a_change_leaves_the_settings_that_it_does_not_name(rest: Any) -> None:
    meeting = await rest.meeting(settings={"guest_chat": True, "open_minutes_before": 0})
    changed = await change(rest, meeting, {"require_host_approval": True})
    changed = await change(rest, meeting, {"default_role": "attendee", "guest_chat": False})
    assert changed["settings"] == DEFAULTS | {
        "default_role": "attendee",
        "guest_chat": False,
        "open_minutes_before": 0,
        "require_host_approval": True,
    }
    record = await rest.services.records.meetings.read(meeting["id"])
    assert record.settings == {
        "guest_chat": False,
        "open_minutes_before": 0,
        "require_host_approval": True,
    }
    assert record.room_settings.idle_minutes == 30


@pytest.mark.parametrize(
    "settings",
    [
        {"lockd": True},
        {"locked": None},
        {"locked": "perhaps"},
        {"idle_minutes": 0},
        {"idle_minutes": 1441},
        {"open_minutes_before": -1},
        {"default_role": "host"},
        [],
        None,
    ],
)
async def test_unknown_names_and_values_out_of_bounds_are_refused(
    rest: Any, settings: object
) -> None:
    meeting = await rest.meeting()
    await change(rest, meeting, settings, status=422)
    token = rest.access(rest.ada)
    answer = await rest.call("POST", "/api/v1/meetings", token=token, json={"settings": settings})
    assert answer.status == 422


async def test_a_record_of_another_version_is_read_as_far_as_it_is_understood(
    rest: Any, tmp_path: Path
) -> None:
    meeting = await rest.meeting()
    said = {"guest_chat": True, "idle_minutes": 0, "locked": "perhaps", "of_old": {"x": 1}}
    with sqlite3.connect(tmp_path / "records.sqlite") as writer:
        change = "UPDATE meetings SET settings = ? WHERE id = ?"
        writer.execute(change, [json.dumps(said), meeting["id"]])
    path = f"/api/v1/meetings/{meeting['id']}"
    shown = (await rest.call("GET", path, token=rest.access(rest.ada))).json
    assert shown["settings"] == DEFAULTS | {"guest_chat": True}


async def test_a_running_meeting_is_told_of_new_settings(rest: Any) -> None:
    meeting, placement = await rest.meeting(settings={"guest_chat": True}), rest.services.placement
    await change(rest, meeting, {"locked": True})
    # nobody has begun it: who does reads the record, and it must not count as idle since now
    assert not await rest.services.redis.exists(f"kcs:live:{meeting['id']}", "kcs:idle")
    await begin(rest, meeting)
    await change(rest, meeting, {"idle_minutes": 7})
    assert (await placement.live(meeting["id"])).settings == RoomSettings(
        guest_chat=True, locked=True, idle_minutes=7
    )
    version = (await placement.snapshot(meeting["id"])).version
    await rest.call(
        "PATCH",
        f"/api/v1/meetings/{meeting['id']}",
        token=rest.access(rest.ada),
        json={"display_name": "Other"},
        headers={"If-Match": "*"},
    )
    assert (await placement.snapshot(meeting["id"])).version == version


async def test_a_change_that_the_meeting_missed_is_made_up_by_asking_again(
    start_rest: Any, redis: Redis
) -> None:
    async with start_rest() as rest:
        meeting = await rest.meeting(settings={"guest_chat": True})
        await begin(rest, meeting)
    path, headers = f"/api/v1/meetings/{meeting['id']}", {"If-Match": '"1"'}

    async def asked(rest: Any, body: Any) -> Any:
        token = rest.access(rest.ada)
        return await rest.call("PATCH", path, token=token, json=body, headers=headers)

    lock = {"settings": {"locked": True}, "display_name": "Exam"}
    async with start_rest(redis="redis://127.0.0.1:1/0") as rest:
        assert (await asked(rest, lock)).status == 503
    async with start_rest() as rest:
        for other in ({"settings": {"locked": False}}, lock | {"display_name": "Test"}, {}):
            assert (await asked(rest, other)).status == 412
        assert not (await rest.services.placement.live(meeting["id"])).settings.locked
        again = await asked(rest, lock)
        assert (again.status, again.headers["ETag"]) == (200, '"2"')
        assert again.json["settings"]["locked"]
        assert (await rest.services.placement.live(meeting["id"])).settings.locked
        log = (await rest.services.records.audit.of_meeting(meeting["id"])).items
        assert [each.action for each in log] == ["meeting.changed", "meeting.created"]


async def test_settings_that_many_change_at_once_are_all_kept(rest: Any) -> None:
    meeting = await rest.meeting()
    names = ["guest_chat", "locked", "require_host_approval"]
    records = rest.services.records
    await asyncio.gather(*(records.changed_settings(meeting["id"], {n: True}) for n in names))
    record = await records.meetings.read(meeting["id"])
    assert record.settings == dict.fromkeys(names, True)
    assert await records.changed_settings(MeetingId("none"), {}) is None
