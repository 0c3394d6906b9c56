"""What happened in a meeting: who was there, what was said, how the connections were."""

import asyncio
from collections.abc import Callable

import pytest

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.rooms import Role
from kcs_signaling.records import Records
from kcs_signaling.records.chat import ChatMessage
from kcs_signaling.records.invitations import Invitation
from kcs_signaling.records.stats import Measure, StatsSample

M1, ADA, BOB = MeetingId("m-1"), UserId("ada"), UserId("bob")
SaySomething = Callable[..., ChatMessage]


async def come(records: Records, who: UserId, at: float, meeting: MeetingId = M1) -> None:
    await records.sessions.open(meeting, who, user_name=who.title(), role=Role.ATTENDEE, at=at)


async def test_somebody_who_joins_again_while_there_stays_in_the_session(
    records: Records, now: float
) -> None:
    await asyncio.gather(*(come(records, ADA, now) for _ in range(5)))  # five replicas at once
    await come(records, ADA, now + 3)
    (session,) = (await records.sessions.of_meeting(M1)).items
    assert (session.user_id, session.user_name, session.role) == ("ada", "Ada", Role.ATTENDEE)
    assert (session.opened_at, session.closed_at) == (now, None)


async def test_each_stay_is_a_session_with_its_two_ends(records: Records, now: float) -> None:
    await come(records, ADA, now)
    await records.sessions.close(M1, ADA, at=now + 5)
    await records.sessions.close(M1, ADA, at=now + 9)  # they were not there any more
    await records.sessions.close(M1, BOB, at=now + 9)
    await come(records, ADA, now + 10)
    await come(records, BOB, now + 11)
    await come(records, BOB, now, MeetingId("m-2"))
    await records.sessions.close_all_of(M1, at=now + 20)
    stays = (await records.sessions.of_meeting(M1)).items
    assert [
        (stay.user_id, stay.opened_at - now, (stay.closed_at or 0) - now) for stay in stays
    ] == [
        ("ada", 0, 5),
        ("ada", 10, 20),
        ("bob", 11, 20),
    ]
    (elsewhere,) = (await records.sessions.of_meeting(MeetingId("m-2"))).items
    assert elsewhere.closed_at is None


@pytest.fixture
def message(now: float) -> SaySomething:
    def make(message_id: str, sender: str = "ada", **changes: object) -> ChatMessage:
        values: dict[str, object] = {
            "id": message_id,
            "meeting_id": "m-1",
            "sender_id": sender,
            "sender_name": sender.title(),
            "text": f"text of {message_id}",
            "at": now,
        }
        return ChatMessage.model_validate(values | changes)

    return make


async def test_history_shows_each_person_what_they_may_see(
    records: Records, message: SaySomething
) -> None:
    said = [
        message("1-all"),
        message("2-to-bob", recipient_type="private", recipient_id="bob"),
        message("3-to-hosts", "bob", recipient_type="host"),
        message("4-reply", "cy", reply_to="1-all"),
    ]
    for each in [*said, message("elsewhere", meeting_id="m-2")]:
        await records.chat.add(each)
        await records.chat.add(each)  # an answer was lost, the message came again

    async def seen(viewer: str, *, is_host: bool = False) -> str:
        page = await records.chat.history(M1, UserId(viewer), is_host=is_host)
        assert all(each in said for each in page.items)
        return "".join(each.id[0] for each in page.items)

    assert await seen("ada") == "421"  # newest first; her own private one
    assert await seen("bob") == "4321"
    assert await seen("cy") == "41"
    assert await seen("dee", is_host=True) == "431"


async def test_a_deleted_message_keeps_its_place_without_its_text(
    records: Records, message: SaySomething, now: float
) -> None:
    await records.chat.add(message("1"))
    assert not await records.chat.delete(MeetingId("m-2"), "1", at=now)
    assert await records.chat.delete(M1, "1", at=now + 1)
    assert not await records.chat.delete(M1, "1", at=now + 2)
    gone = message("1", text="", deleted_at=now + 1)
    assert await records.chat.read(M1, "1") == gone
    assert (await records.chat.history(M1, BOB, is_host=False)).items == (gone,)
    await records.chat.add(message("1"))  # does not come back
    assert await records.chat.read(M1, "1") == gone


async def test_messages_hold_whatever_people_type(records: Records, message: SaySomething) -> None:
    text = "\U0001f600 ‮ '\";\\ \n" * 200
    await records.chat.add(message("1", text=text))
    await records.chat.add(message("2", text="a\0b"))
    one, two = await records.chat.read(M1, "1"), await records.chat.read(M1, "2")
    assert one is not None
    assert one.text == text
    assert two is not None
    assert two.text == "a\N{REPLACEMENT CHARACTER}b"


async def test_samples_become_averages_and_peaks_of_a_minute(records: Records, now: float) -> None:
    minute = int(now) // 60 * 60

    def sample(at: float, rtt: float, who: UserId = ADA) -> StatsSample:
        return StatsSample(
            meeting_id=M1,
            user_id=who,
            at=at,
            rtt_ms=rtt,
            jitter_ms=rtt / 10,
            loss_percent=0,
            bitrate_bps=1e6 - rtt,
        )

    await records.stats.add([])
    await records.stats.add([sample(minute, 100), sample(minute + 59.9, 300)])
    await asyncio.gather(  # replicas add to the same minutes at once
        records.stats.add([sample(minute + 5, 200), sample(minute + 5, 10, BOB)]),
        records.stats.add([sample(minute + 5, 30, BOB), sample(minute + 60, 5)]),
    )
    page = await records.stats.of_meeting(M1)
    assert sorted((each.minute - minute, each.user_id, each.samples) for each in page.items) == [
        (0, "ada", 3),
        (0, "bob", 2),
        (60, "ada", 1),
    ]
    ada = next(each for each in page.items if (each.minute, each.user_id) == (minute, "ada"))
    assert ada.rtt_ms == Measure(avg=200, max=300)
    assert ada.jitter_ms == Measure(avg=20, max=30)
    assert ada.loss_percent == Measure(avg=0, max=0)
    assert ada.bitrate_bps == Measure(avg=1e6 - 200, max=1e6 - 100)


async def test_an_invitation_says_whether_it_was_sent(records: Records, now: float) -> None:
    asked = [
        Invitation(
            id=f"i-{n}",
            meeting_id=M1,
            inviter_id=ADA,
            email=f"guest{n}@example.org",
            display_name="Gast",
            role=Role.GUEST,
            created_at=now + n,
            expires_at=now + 100,
        )
        for n in range(2)
    ]
    for each in asked:
        await records.invitations.add(each)
    await records.invitations.sent("i-1", at=now + 7)
    sent = asked[1].model_copy(update={"sent_at": now + 7})
    assert (await records.invitations.of_meeting(M1)).items == (asked[0], sent)
