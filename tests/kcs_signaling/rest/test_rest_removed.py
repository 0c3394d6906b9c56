"""Whoever a host removed or demoted, over REST: while the meeting runs, and once it is over."""

import time
from typing import Any

import pytest
from tests.kcs_signaling.rest.test_rest_chat import CY, NOW, chat, delete, is_in, say, seen, was_in

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.rooms import Role
from kcs_signaling.tokens import User

PATHS = ("", "/chat", "/chat/export", "/participants", "/breakouts")


def link(rest: Any, meeting: Any, role: Role, user: User = CY) -> str:
    """A meeting token."""
    expires_at = time.time() + 60
    token: str = rest.services.tokens.meeting(meeting["id"], user, role, expires_at=expires_at)
    return token


async def remove(rest: Any, meeting: Any, who: str) -> None:
    there = await rest.services.placement.expel(MeetingId(meeting["id"]), ParticipantId(who))
    assert there


async def statuses(rest: Any, meeting: Any, token: str) -> list[int]:
    path = f"/api/v1/meetings/{meeting['id']}"
    return [(await rest.call("GET", f"{path}{what}", token=token)).status for what in PATHS]


@pytest.mark.parametrize("role", [Role.HOST, Role.CO_HOST, Role.PRESENTER, Role.ATTENDEE])
async def test_while_it_runs_a_removed_person_sees_and_deletes_nothing_until_they_are_added(
    rest: Any, role: Role
) -> None:
    meeting = await rest.meeting()
    for name, who in (("all", "ada"), ("own", "cy")):
        await say(rest, meeting, name, who)
    await is_in(rest, meeting, "cy", role)
    await was_in(rest, meeting, "cy", NOW - 9)
    tokens = (link(rest, meeting, role), rest.access(CY))

    await remove(rest, meeting, "cy")

    for token in tokens:
        assert await statuses(rest, meeting, token) == [403] * len(PATHS)
        for message in ("all", "own"):
            answer = await delete(rest, meeting, message, None, token)
            assert (answer.status, answer.json["code"]) == (403, "ACCESS_DENIED")
    assert await seen(rest, meeting) == ["own", "all"]
    assert all(each["text"] for each in (await chat(rest, meeting)).json["items"])
    await rest.services.placement.welcome(meeting["id"], [ParticipantId("cy")])
    assert (await chat(rest, meeting, token=tokens[0])).status == 200


async def test_the_host_of_record_is_shut_out_by_no_mark(rest: Any) -> None:
    meeting = await rest.meeting()
    await is_in(rest, meeting, "ada", Role.HOST)
    other_device = link(rest, meeting, Role.ATTENDEE, rest.ada)
    assert (await chat(rest, meeting, token=other_device)).status == 200
    await remove(rest, meeting, "ada")
    for token in (rest.access(rest.ada), meeting["meeting_token"]):
        assert await statuses(rest, meeting, token) == [200] * len(PATHS)
    assert (await statuses(rest, meeting, other_device))[0] == 200


@pytest.mark.parametrize("fate", ["removed", "demoted", "stayed"])
@pytest.mark.parametrize("role", [Role.HOST, Role.CO_HOST])
async def test_once_it_is_over_nobody_moderates_by_what_their_token_says(
    rest: Any, role: Role, fate: str
) -> None:
    meeting = await rest.meeting()
    await say(rest, meeting, "all", "bob", NOW - 5)
    await say(rest, meeting, "to-hosts", "bob", NOW - 4, to="host")
    await say(rest, meeting, "own", "cy", NOW - 3)
    await is_in(rest, meeting, "cy", role)
    await was_in(rest, meeting, "cy", NOW - 9)
    token = link(rest, meeting, role)
    if fate == "removed":
        await remove(rest, meeting, "cy")
    if fate == "demoted":
        by = ParticipantId("ada")
        await rest.services.placement.change_role(meeting["id"], "cy", Role.ATTENDEE, by)
        assert (await delete(rest, meeting, "all", None, token)).status == 403
    path = f"/api/v1/meetings/{meeting['id']}/end"
    assert (await rest.call("POST", path, token=rest.access(rest.ada))).status == 200

    assert (await delete(rest, meeting, "all", None, token)).json["code"] == "ACCESS_DENIED"
    assert (await delete(rest, meeting, "to-hosts", None, token)).status == 404
    shown = (await chat(rest, meeting, token=token)).json["items"]
    assert [each["id"] for each in shown] == ["own", "all"]
    assert await statuses(rest, meeting, token) == [200, 200, 200, 403, 403]
    assert (await rest.call("DELETE", path.removesuffix("/end"), token=token)).status == 403
    assert (await delete(rest, meeting, "own", None, token)).status == 204
    assert (await delete(rest, meeting, "all", rest.ada)).status == 204
