"""Meetings over REST after they were made: listed, changed, deleted; made once by a key."""

import asyncio
import base64
import json
from typing import Any

import pytest

from kcs_contracts.placement import MeetingIsOver, NodeLease
from kcs_contracts.rooms import Role

MEETINGS = "/api/v1/meetings"


async def change(rest: Any, meeting: Any, body: Any, etag: str | None, **more: Any) -> Any:
    headers = {} if etag is None else {"If-Match": etag}
    token = more.get("token") or rest.access(rest.ada)
    path = f"{MEETINGS}/{meeting['id']}"
    return await rest.call("PATCH", path, token=token, json=body, headers=headers)


async def read(rest: Any, meeting: Any) -> Any:
    return await rest.call("GET", f"{MEETINGS}/{meeting['id']}", token=rest.access(rest.ada))


async def create(rest: Any, body: Any, key: str, token: str | None = None) -> Any:
    token, headers = token or rest.access(rest.ada), {"Idempotency-Key": key}
    return await rest.call("POST", MEETINGS, token=token, json=body, headers=headers)


async def test_a_person_lists_the_meetings_that_they_host_newest_first_in_pages(rest: Any) -> None:
    made = [(await rest.meeting(display_name=f"No. {n}"))["id"] for n in range(5)]
    await rest.meeting(host=rest.bob)
    seen, cursor = [], ""
    while cursor is not None:
        path = f"{MEETINGS}?limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = (await rest.call("GET", path, token=rest.access(rest.ada))).json
        assert len(page["items"]) <= 2
        seen += [meeting["id"] for meeting in page["items"]]
        cursor = page["next"]
    assert seen == made[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=%00", "cursor=WzFd"])
async def test_a_wrong_page_is_a_problem(rest: Any, query: str) -> None:
    answer = await rest.call("GET", f"{MEETINGS}?{query}", token=rest.access(rest.ada))
    assert (answer.status, answer.headers["Content-Type"]) == (422, "application/problem+json")


async def test_a_meeting_is_changed_in_what_is_said_and_nothing_else(rest: Any) -> None:
    meeting = await rest.meeting(starts_at="2035-01-15T09:00:00Z", duration_minutes=60)
    etag = (await read(rest, meeting)).headers["ETag"]
    said = {"display_name": "Later", "starts_at": None, "settings": {"default_role": "guest"}}
    changed = await change(rest, meeting, said, etag)
    assert changed.status == 200
    assert changed.headers["ETag"] != etag
    said["settings"] = meeting["settings"] | said["settings"]
    expected = {k: v for k, v in meeting.items() if k != "meeting_token"} | said
    assert changed.json == expected
    again = await read(rest, meeting)
    assert (again.json, again.headers["ETag"]) == (expected, changed.headers["ETag"])
    record = await rest.services.records.meetings.read(meeting["id"])
    assert record.default_role is Role.GUEST


async def test_of_two_changes_to_the_same_state_one_is_refused(rest: Any) -> None:
    meeting = await rest.meeting()
    etag = (await read(rest, meeting)).headers["ETag"]
    bodies = [{"display_name": f"No. {n}"} for n in range(6)]
    answers = await asyncio.gather(*(change(rest, meeting, body, etag) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200, *[412] * 5]
    (won,) = [answer for answer in answers if answer.status == 200]
    assert (await read(rest, meeting)).json == won.json
    lost = next(answer for answer in answers if answer.status == 412)
    assert lost.json["code"] == "PRECONDITION_FAILED"


@pytest.mark.parametrize(
    ("etag", "status"),
    [
        (None, 428),
        ('"99"', 412),
        ('W/"1"', 412),
        ("1", 412),
        ("", 412),
        ("*", 200),
        ('"99", "1"', 200),
    ],
)
async def test_a_change_must_say_which_state_it_changes(
    rest: Any, etag: str | None, status: int
) -> None:
    meeting = await rest.meeting()
    answer = await change(rest, meeting, {"display_name": "New"}, etag)
    assert answer.status == status
    name = "New" if status == 200 else "Meeting"
    assert (await read(rest, meeting)).json["display_name"] == name


@pytest.mark.parametrize(
    "body",
    [
        {"host_id": "bob"},
        {"id": "x"},
        {"version": 9},
        {"max_participants": 1},
        {"max_participants": None},
        {"display_name": None},
        {"settings": {"default_role": "host"}},
        {"starts_at": "9999-12-31T23:59:59Z"},
        {"starts_at": "0001-01-01T00:00:00+14:00"},
        [],
    ],
)
async def test_a_wrong_change_changes_nothing(rest: Any, body: Any) -> None:
    meeting = await rest.meeting()
    before = await read(rest, meeting)
    assert (await change(rest, meeting, body, "*")).status == 422
    assert (await read(rest, meeting)).json == before.json


async def test_nobody_but_the_host_changes_or_deletes_a_meeting(rest: Any) -> None:
    meeting, other = await rest.meeting(), await rest.meeting()
    path = f"{MEETINGS}/{meeting['id']}"
    for token, status in ((rest.access(rest.bob), 403), (other["meeting_token"], 404)):
        denied = await change(rest, meeting, {"display_name": "Mine"}, "*", token=token)
        assert denied.status == status
        assert (await rest.call("DELETE", path, token=token)).status == status
    assert (await read(rest, meeting)).json["display_name"] == "Meeting"


async def test_a_meeting_that_is_over_is_not_changed(rest: Any) -> None:
    meeting = await rest.meeting()
    path = f"{MEETINGS}/{meeting['id']}/end"
    assert (await rest.call("POST", path, token=rest.access(rest.ada))).status == 200
    answer = await change(rest, meeting, {"display_name": "New"}, "*")
    assert (answer.status, answer.json["code"]) == (410, "MEETING_ENDED")


async def test_a_deleted_meeting_is_gone_from_records_and_over_in_placement(rest: Any) -> None:
    meeting = await rest.meeting()
    placement = rest.services.placement
    node = NodeLease(node="n1", boot="b1", control_url="http://n1", consumer_capacity=500)
    await placement.renew(node, [])
    await placement.assign(meeting["id"], warmup_ms=0)
    path, token = f"{MEETINGS}/{meeting['id']}", rest.access(rest.ada)
    assert (await rest.call("DELETE", path, token=token)).status == 204
    assert (await rest.call("GET", path, token=token)).status == 404
    assert (await rest.call("DELETE", path, token=token)).status == 404
    assert (await rest.call("GET", MEETINGS, token=token)).json["items"] == []
    with pytest.raises(MeetingIsOver):
        await placement.assign(meeting["id"], warmup_ms=0)


async def test_the_same_request_with_the_same_key_makes_one_meeting(rest: Any) -> None:
    body = {"display_name": "Once"}
    answers = await asyncio.gather(*(create(rest, body, "key-1") for _ in range(5)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1
    for answer in answers:
        host = rest.services.tokens.verify(answer.json["meeting_token"])
        assert (host.meeting_id, host.role) == (answer.json["id"], Role.HOST)
    mine = await rest.call("GET", MEETINGS, token=rest.access(rest.ada))
    assert len(mine.json["items"]) == 1


async def test_a_key_is_one_persons_and_good_for_one_request(rest: Any) -> None:
    first = await create(rest, {"display_name": "Once"}, "key-1")
    reused = await create(rest, {"display_name": "Other"}, "key-1")
    assert (reused.status, reused.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    bobs = await create(rest, {"display_name": "Once"}, "key-1", rest.access(rest.bob))
    assert (bobs.status, bobs.json["host_id"]) == (201, "bob")
    assert bobs.json["id"] != first.json["id"]
    for key in ("k" * 256, "", "a b"):
        assert (await create(rest, {}, key)).status == 422


async def test_rest_is_the_same_over_postgresql(start_rest: Any, redis: Any, postgres: Any) -> None:
    async with start_rest(sql=postgres.new_database()) as rest:
        made = [await create(rest, {"display_name": "Übung"}, f"key-{n}") for n in (1, 1, 2)]
        assert [answer.status for answer in made] == [201] * 3
        assert made[0].json["id"] == made[1].json["id"]
        assert (await change(rest, made[0].json, {"region": "eu"}, '"1"')).status == 200
        assert (await change(rest, made[0].json, {"region": "us"}, '"1"')).status == 412
        ada = rest.access(rest.ada)
        page = (await rest.call("GET", f"{MEETINGS}?limit=1", token=ada)).json
        assert page["items"][0]["id"] == made[2].json["id"]
        path = f"{MEETINGS}?cursor={page['next']}"
        rest_of_it = (await rest.call("GET", path, token=ada)).json
        assert [each["region"] for each in rest_of_it["items"]] == ["eu"]
        for hostile in ("\0", "\ud800"):  # PostgreSQL takes neither in a text
            text = json.dumps([1.0, hostile]).encode()
            cursor = base64.urlsafe_b64encode(text).decode().rstrip("=")
            answer = await rest.call("GET", f"{MEETINGS}?cursor={cursor}", token=ada)
            assert (answer.status, answer.json["code"]) == (422, "INVALID_CURSOR")
        for odd in ("%00", "a%00b", "%ED%A0%80"):
            assert (await rest.call("GET", f"{MEETINGS}/{odd}", token=ada)).status == 404
        assert (await rest.call("GET", "/api/v1/me/export", token=ada)).status == 200
        assert (await rest.call("DELETE", "/api/v1/me", token=ada)).status == 200
