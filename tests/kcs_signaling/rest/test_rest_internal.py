"""Declared meetings: the operator registers, changes, lists and ends them, and nobody else does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from kcs_contracts.ids import MeetingId
from kcs_contracts.internal_api import Registered, Registration
from kcs_contracts.placement import NodeLease
from kcs_contracts.rooms import Role
from kcs_signaling.settings import InternalSettings

KEY = "a-key-of-some-length"
START = "2030-01-15T09:00:00Z"
WANTED = {
    "namespace": "talks",
    "name": "lab",
    "display_name": "Lab meeting",
    "host_id": "ada",
    "starts_at": START,
    "duration_minutes": 60,
    "max_participants": 50,
    "expected_participants": 20,
    "region": "eu",
    "pool": "main",
    "settings": {"guest_chat": True, "idle_minutes": 5},
}
ID = MeetingId("abc-defg-hij")
PATH = f"/internal/v1/meetings/{ID}"


@pytest.fixture
async def rest(redis: Any, start_rest: Any) -> AsyncIterator[Any]:
    """A service that knows the operator's key."""
    async with start_rest(internal=InternalSettings(key=KEY)) as running:
        yield running


async def put(rest: Any, status: int = 200, path: str = PATH, **changes: Any) -> Any:
    answer = await rest.call("PUT", path, token=KEY, json=WANTED | changes)
    assert answer.status == status, answer.text
    return answer.json


async def end(rest: Any, namespace: str = "talks") -> None:
    answer = await rest.call("DELETE", PATH, token=KEY, params={"namespace": namespace})
    assert answer.status == 204, answer.text


async def listed(rest: Any, **query: Any) -> Any:
    params = {"namespace": "talks", **query}
    answer = await rest.call("GET", "/internal/v1/meetings", token=KEY, params=params)
    assert answer.status == 200, answer.text
    return answer.json


async def test_a_registered_meeting_is_one_like_all_others(rest: Any) -> None:
    made = Registered.model_validate(await put(rest, status=201))
    assert (made.id, made.created, made.ended_at) == (ID, True, None)
    view = await rest.call("GET", f"/api/v1/meetings/{ID}", token=rest.access(rest.ada))
    shown = view.json
    assert (shown["display_name"], shown["host_id"], shown["region"]) == (
        "Lab meeting",
        "ada",
        "eu",
    )
    assert (shown["starts_at"], shown["duration_minutes"]) == (START, 60)
    assert (shown["max_participants"], shown["expected_participants"]) == (50, 20)
    assert shown["settings"]["idle_minutes"] == 5
    assert made.join_url == shown["join_url"]
    record = await rest.services.records.meetings.read(ID)
    assert record.pool == "main"


async def test_the_hosts_token_lets_the_host_in_until_an_hour_after_the_end(rest: Any) -> None:
    made = Registered.model_validate(await put(rest, status=201))
    bearer = rest.services.tokens.verify(made.host_token.get_secret_value())
    assert (bearer.kind, bearer.meeting_id, bearer.role) == ("meeting", ID, Role.HOST)
    assert bearer.user_id == "ada"
    assert made.host_token_expires_at == datetime(2030, 1, 15, 11, tzinfo=UTC)
    assert made.host_url.get_secret_value().startswith(f"{made.join_url}#token=")


async def test_registering_again_makes_nothing_twice_and_changes_nothing(rest: Any) -> None:
    await put(rest, status=201)
    before = await rest.services.records.meetings.read(ID)
    again = await put(rest)
    assert again["created"] is False
    assert await rest.services.records.meetings.read(ID) == before
    (item,) = (await listed(rest))["items"]
    assert (item["id"], item["join_url"]) == (ID, again["join_url"])


async def test_operators_that_register_at_once_make_one_meeting(rest: Any) -> None:
    calls = [rest.call("PUT", PATH, token=KEY, json=WANTED) for _ in range(6)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]


async def test_a_change_of_the_declaration_reaches_the_record(rest: Any) -> None:
    await put(rest, status=201)
    await put(rest, display_name="Lab, moved", starts_at="2030-02-01T09:00:00Z", pool="")
    record = await rest.services.records.meetings.read(ID)
    assert (record.display_name, record.pool, record.version) == ("Lab, moved", "", 2)
    assert record.starts_at == datetime(2030, 2, 1, 9, tzinfo=UTC).timestamp()


async def test_what_hosts_changed_stays_until_the_declaration_says_otherwise(rest: Any) -> None:
    await put(rest, status=201)
    changed = await rest.call(
        "PATCH",
        f"/api/v1/meetings/{ID}",
        token=rest.access(rest.ada),
        json={"settings": {"guest_chat": False, "locked": True}},
        headers={"If-Match": "*"},
    )
    assert changed.status == 200
    await put(rest, display_name="Other")
    record = await rest.services.records.meetings.read(ID)
    assert record.settings == {"guest_chat": False, "locked": True, "idle_minutes": 5}
    await put(rest, settings={"guest_chat": True, "idle_minutes": 6})
    record = await rest.services.records.meetings.read(ID)
    assert record.settings == {"guest_chat": False, "locked": True, "idle_minutes": 6}
    await put(rest, settings={"guest_chat": False, "idle_minutes": 6})
    await put(rest, settings={"guest_chat": True, "idle_minutes": 6})
    record = await rest.services.records.meetings.read(ID)
    assert record.settings == {"guest_chat": True, "locked": True, "idle_minutes": 6}


async def begin(rest: Any) -> None:
    """Somebody has made the meeting's room ready."""
    node = NodeLease(node="n1", boot="b1", control_url="http://127.0.0.1:1", consumer_capacity=500)
    await rest.services.placement.renew(node, [])
    await rest.services.placement.assign(ID, warmup_ms=0)


async def test_a_running_meeting_is_told_of_declared_settings(rest: Any) -> None:
    await put(rest, status=201)
    await begin(rest)
    await put(rest, settings={"guest_chat": True, "idle_minutes": 9})
    assert (await rest.services.placement.live(ID)).settings.idle_minutes == 9


async def test_ending_ends_the_call_and_the_record_and_leaves_the_list(rest: Any) -> None:
    await put(rest, status=201)
    await begin(rest)
    await end(rest)
    assert (await rest.services.placement.whereabouts([ID]))[ID].over
    assert (await rest.services.records.meetings.read(ID)).ended_at is not None
    assert (await listed(rest))["items"] == []
    await end(rest)  # again


async def test_one_that_its_host_ended_is_listed_as_over_and_stays_over(rest: Any) -> None:
    await put(rest, status=201)
    token = rest.access(rest.ada)
    await rest.call("POST", f"/api/v1/meetings/{ID}/end", token=token)
    (item,) = (await listed(rest))["items"]
    assert item["ended_at"] is not None
    assert (await put(rest, display_name="Again"))["ended_at"] == item["ended_at"]
    assert (await rest.services.records.meetings.read(ID)).display_name == "Lab meeting"


async def test_a_namespace_touches_its_own_meetings_alone(rest: Any) -> None:
    await put(rest, status=201)
    assert (await put(rest, 409, namespace="others"))["code"] == "DECLARED_ELSEWHERE"
    await end(rest, namespace="others")
    assert (await rest.services.records.meetings.read(ID)).ended_at is None
    assert (await listed(rest, namespace="others"))["items"] == []
    by_people = (await rest.meeting())["id"]
    await put(rest, 409, path=f"/internal/v1/meetings/{by_people}")
    await rest.call(
        "DELETE",
        f"/internal/v1/meetings/{by_people}",
        token=KEY,
        params={"namespace": "talks"},
    )
    assert (await rest.services.records.meetings.read(by_people)).ended_at is None


async def test_the_list_comes_in_pages(rest: Any) -> None:
    ids = [f"m-{n}" for n in range(5)]
    for each in ids:
        await put(rest, 201, path=f"/internal/v1/meetings/{each}", name=each)
    found: list[str] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = await listed(rest, limit=2, **more)
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == ids


async def test_a_deleted_record_is_declared_no_more(rest: Any) -> None:
    await put(rest, status=201)
    await rest.call("DELETE", f"/api/v1/meetings/{ID}", token=rest.access(rest.ada))
    assert (await listed(rest))["items"] == []


@pytest.mark.parametrize("token", [None, "another-key-of-length", "", f"{KEY}x", KEY[:-1]])
async def test_nobody_without_the_key_registers_lists_or_ends(rest: Any, token: str | None) -> None:
    query = {"namespace": "talks"}
    answers = [
        await rest.call("PUT", PATH, token=token, json=WANTED),
        await rest.call("DELETE", PATH, token=token, params=query),
        await rest.call("GET", "/internal/v1/meetings", token=token, params=query),
        await rest.call("PUT", PATH, token=rest.access(rest.ada), json=WANTED),
    ]
    assert {answer.status for answer in answers} == {401}
    assert await rest.services.records.meetings.read(ID) is None


async def test_a_service_without_a_key_says_so(redis: Any, start_rest: Any) -> None:
    async with start_rest() as rest:
        answer = await rest.call("PUT", PATH, token=KEY, json=WANTED)
    assert (answer.status, answer.json["code"]) == (404, "NOT_CONFIGURED")
    assert "KCS_INTERNAL__KEY" in answer.json["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"host_id": "no id"},
        {"display_name": ""},
        {"display_name": "two\nlines"},
        {"max_participants": 1},
        {"duration_minutes": 0},
        {"namespace": "Not-A-Label"},
        {"starts_at": "2030-01-15T09:00:00"},
        {"settings": {"idle_minutes": 0}},
        {"settings": {"unknown": True}},
        {"unknown": 1},
    ],
)
async def test_wrong_registrations_are_refused(rest: Any, changes: dict[str, Any]) -> None:
    await put(rest, 422, **changes)
    assert await rest.services.records.meetings.read(ID) is None


async def test_a_breakout_rooms_id_is_refused(rest: Any) -> None:
    await put(rest, 403, path="/internal/v1/meetings/abc:1")


async def test_the_public_api_does_not_tell_of_it(rest: Any) -> None:
    schema = (await rest.call("GET", "/api/openapi.json")).json
    assert not [path for path in schema["paths"] if path.startswith("/internal")]


def test_what_the_operator_sends_is_what_signaling_reads() -> None:
    assert Registration.model_validate(WANTED).settings.model_fields_set == {
        "guest_chat",
        "idle_minutes",
    }
