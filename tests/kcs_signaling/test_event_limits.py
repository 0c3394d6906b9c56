"""The guides' limits, as declared, whichever socket, replica or dialect somebody uses."""

import asyncio
import time
from typing import Any

import pytest
from tests.support.call import Call
from tests.support.signaling import Client, Signaling

from kcs_signaling.dialects.table import REFUSED

Payload = dict[str, object]


def events(meeting: str) -> dict[str, tuple[str, Payload, str, Payload]]:
    """The same in `/meeting` and in `/`: event and payload of each."""
    stats = {"rtt": 10, "jitter": 1, "packetLoss": 0, "bitrate": 1e6}
    snake, camel = {"meeting_id": meeting}, {"meetingId": meeting}
    return {
        "chat": (
            "chat:send",
            {**snake, "message": "hi"},
            "send-message",
            {**camel, "message": "hi"},
        ),
        "typing": (
            "chat:typing",
            {**snake, "is_typing": True},
            "typing",
            {**camel, "typing": True},
        ),
        "reactions": (
            "reaction:send",
            {**snake, "emoji": "👍"},
            "reaction:send",
            {**camel, "emoji": "👍"},
        ),
        "stats": (
            "stats:report",
            {**snake, "stats": stats},
            "stats:report",
            {**camel, "stats": stats},
        ),
    }


LIMITS = [("chat", 10, 60.0), ("typing", 1, 1.0), ("reactions", 3, 1.0), ("stats", 1, 5.0)]


async def until_refused(client: Client, event: str, payload: Payload) -> tuple[int, Any]:
    """How many passed before one was refused, and its error."""
    for passed in range(40):
        answer = await client.ask(event, payload)
        if not answer["ok"]:
            return passed, answer["error"]
    raise AssertionError(f"{event} has no limit")


def allowed(count: int, per_s: float, began: float) -> int:
    """How many may have passed until now: the limit, and what has grown again."""
    return count + int((time.monotonic() - began) / per_s * count)


@pytest.mark.parametrize(("which", "count", "per_s"), LIMITS)
@pytest.mark.parametrize("in_camel", [False, True])
async def test_a_limit_holds_over_reconnecting_replicas_and_dialects(
    which: str,
    count: int,
    per_s: float,
    in_camel: bool,
    call: Call,
    signaling: Signaling,
    other_replica: Signaling,
) -> None:
    snake_event, snake, camel_event, camel = events(call.id)[which]
    event, payload = (camel_event, camel) if in_camel else (snake_event, snake)
    first = await call.enters(signaling, "ann", "/" if in_camel else "/meeting")

    began = time.monotonic()
    passed, error = await until_refused(first, event, payload)

    assert count <= passed <= allowed(count, per_s, began)
    assert error["code"] == "RATE_LIMIT_EXCEEDED"
    assert error["event"] == event
    assert 0 < error["retry_after"] <= per_s / count
    if in_camel:
        assert await first.hears("error") == error
    await first.close()
    again = await call.enters(other_replica, "ann")
    passed += (await until_refused(again, snake_event, snake))[0]
    other_dialect = await call.enters(signaling, "ann", "/")
    passed += (await until_refused(other_dialect, camel_event, camel))[0]
    assert passed <= allowed(count, per_s, began)


async def test_everybody_has_their_own_limit(call: Call, signaling: Signaling) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    _, stats, _, _ = events(call.id)["stats"]
    _, error = await until_refused(ann, "stats:report", stats)
    assert error["code"] == "RATE_LIMIT_EXCEEDED"
    assert await bob.get("stats:report", stats) == call.named()


@pytest.mark.parametrize("namespace", ["/meeting", "/"])
async def test_whoever_goes_on_sending_what_is_refused_is_not_read_for_a_while(
    call: Call, signaling: Signaling, other_replica: Signaling, namespace: str
) -> None:
    who = {"/meeting": "mia", "/": "max"}[namespace]  # whom no other test knows
    eve = await call.enters(signaling, who, namespace)
    wrong: list[tuple[str, object]] = [
        ("chat:history", {"nothing": "that is known"}),
        ("no:such:event", {}),
        ("chat:history", "no object"),
        ("hand:raise", {"meeting_id": "another"}),
    ]

    codes = [(await eve.ask(*wrong[n % 4]))["error"] for n in range(REFUSED.count + 40)]

    limited = [each for each in codes if each["code"] == "RATE_LIMIT_EXCEEDED"]
    assert limited
    assert all(0 < each["retry_after"] <= REFUSED.per_seconds for each in limited)
    assert {each["code"] for each in codes[: REFUSED.count - 10]} == {
        "INVALID_REQUEST",
        "UNKNOWN_EVENT",
        *(["NOT_JOINED"] if namespace == "/meeting" else []),
    }
    # and nobody else is held up, nor they themselves for long
    bob = await call.enters(other_replica, "bob")
    await bob.get("hand:raise", call.named())
    await asyncio.sleep(limited[-1]["retry_after"] + 0.2)
    named = call.named() if namespace == "/meeting" else {"meetingId": call.id}
    assert (await eve.ask("hand:raise", named))["ok"]
