"""The contract test in every `Client`: what is not as it is declared fails the test."""

from typing import Any

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.contract import declared
from tests.support.signaling import Client, Signaling

PERSON = {
    "userId": "ann",
    "userName": "Ann",
    "role": "host",
    "audioEnabled": False,
    "videoEnabled": False,
    "screenSharing": False,
    "handRaisedAt": None,
    "audioMutedByHost": False,
    "videoMutedByHost": False,
    "quality": None,
    "joinedAt": "2026-01-01T00:00:00.000Z",
}
UPDATED = {"meetingId": "m", "userId": "ann", "updates": PERSON}


def faults(event: str, payload: object, namespace: str = "/") -> list[str]:
    return list(declared(namespace).heard(event, payload))


def test_what_is_declared_is_no_fault_in_the_spelling_of_its_namespace() -> None:
    assert faults("participant:updated", UPDATED) == []
    assert faults("room:locked", {"meeting_id": "m", "locked": True}, "/meeting") == []
    assert faults("room:locked", {"meeting_id": "m", "locked": True}) != []


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [UPDATED],
        {},
        {**UPDATED, "extra": 1},
        {**UPDATED, "userId": 7},
        {**UPDATED, "updates": {**PERSON, "extra": 1}},
        {**UPDATED, "updates": {**PERSON, "role": "owner"}},
        {**UPDATED, "updates": {k: v for k, v in PERSON.items() if k != "quality"}},
    ],
)
def test_anything_else_is_a_fault_however_deep_it_stands(wrong: Any) -> None:
    assert faults("participant:updated", wrong) != []


def test_an_event_that_is_not_declared_is_a_fault() -> None:
    assert faults("participant:renamed", UPDATED) != []
    assert faults("chat:message", {}) != []  # it is of /meeting alone


def test_an_answer_has_the_declared_data_or_one_of_the_declared_codes() -> None:
    check = declared("/meeting").answered
    locked = {"meeting_id": "m", "locked": True}
    for event, answer, right in [
        ("room:lock", {"ok": True, "data": locked}, True),
        ("room:lock", {"ok": True, "data": {**locked, "extra": 1}}, False),
        ("room:join", {"ok": True, "data": {"meeting_id": "m", "waiting": True}}, True),
        ("room:join", {"ok": True, "data": locked}, False),
        ("room:lock", {"ok": False, "error": {"code": "NOT_JOINED", "message": "x"}}, True),
        ("room:lock", {"ok": False, "error": {"code": "MEETING_FULL", "message": "x"}}, False),
        ("made-up", {"ok": False, "error": {"code": "UNKNOWN_EVENT", "message": "x"}}, True),
    ]:
        assert (list(check(event, answer)) == []) is right, (event, answer)


async def test_a_client_that_heard_something_undeclared_fails_its_test(
    signaling: Signaling, clients: MakeClient
) -> None:
    async def hearing() -> Client:
        client = await clients(signaling, "/meeting", "ann")
        await client._hear("made-up", {"a": 1})
        return client

    first = await hearing()
    with pytest.raises(AssertionError, match="made-up is not declared"):
        await first.hears("room:joined")
    second = await hearing()
    with pytest.raises(AssertionError, match="made-up is not declared"):
        await second.settle()
    third = await hearing()
    with pytest.raises(AssertionError, match="made-up is not declared"):
        await third.close()
