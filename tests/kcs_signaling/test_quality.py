"""How connections are: what clients report, what is said of it, and to whom; and who speaks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_room_survival import OwnSignaling
from tests.support.call import Call, heard
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts.events import ActiveSpeaker, AudioLevels
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_contracts.protocol.telemetry import ConnectionStats
from kcs_contracts.rooms import Quality as Word
from kcs_contracts.rooms import Role
from kcs_signaling.records import open_records
from kcs_signaling.records.stats import StatsMinute
from kcs_signaling.rooms.quality import QualityWatch, WordWatch, issue_of, word_for


def stats(
    loss: float = 0, jitter: float = 0, rtt: float = 0, limited: str = "none"
) -> ConnectionStats:
    said = {"rtt": rtt, "jitter": jitter, "packetLoss": loss, "bitrate": 1e6, "limitedBy": limited}
    return ConnectionStats.model_validate(said)


FINE, POOR = stats(), stats(loss=6)
AT_THE_EDGE = stats(loss=3)
"""Fair: bad enough to go on with a warning, not for a new one."""


# --- the rule ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (stats(loss=1, jitter=20, rtt=100), "excellent"),
        (stats(loss=1.01), "good"),
        (stats(jitter=20.1), "good"),
        (stats(rtt=101), "good"),
        (stats(loss=2, jitter=30, rtt=150), "good"),
        (stats(loss=2.01), "fair"),
        (stats(jitter=31), "fair"),
        (stats(rtt=151), "fair"),
        (stats(loss=5, jitter=50, rtt=200), "fair"),
        (stats(loss=5.01), "poor"),
        (stats(jitter=50.1), "poor"),
        (stats(rtt=200.1), "poor"),
    ],
)
def test_words_follow_the_guides_thresholds(said: ConnectionStats, word: str) -> None:
    assert word_for(said) == word


EDGE_OF_POOR = (stats(loss=4.9), stats(loss=5.1))


@pytest.mark.parametrize(
    ("told", "reports", "words"),
    [
        (None, [POOR], ["poor"]),  # the first is told at once
        (None, [FINE, POOR, FINE, POOR], ["excellent"] * 4),
        (None, [FINE, POOR, POOR], ["excellent", "excellent", "poor"]),
        (None, [POOR, FINE, FINE], ["poor", "poor", "excellent"]),
        (None, [FINE, POOR, AT_THE_EDGE, AT_THE_EDGE], ["excellent", "excellent", "fair", "fair"]),
        (None, [*EDGE_OF_POOR * 4], ["fair"] * 8),
        ("good", [POOR, FINE, POOR], ["good"] * 3),
        ("good", [POOR, POOR], ["good", "poor"]),
    ],
)
def test_a_word_changes_with_the_second_report_that_calls_for_another(
    told: Word | None, reports: list[ConnectionStats], words: list[str]
) -> None:
    watch = WordWatch()
    assert [watch.after(each, told) for each in reports] == words


_MEASURE = st.floats(0, 100)


@given(_MEASURE, _MEASURE, st.floats(0, 400), _MEASURE, _MEASURE, st.floats(0, 400))
def test_a_connection_that_is_worse_in_all_has_no_better_word(
    loss: float, jitter: float, rtt: float, more_loss: float, more_jitter: float, more_rtt: float
) -> None:
    words = ["excellent", "good", "fair", "poor"]
    worse = stats(min(100, loss + more_loss), jitter + more_jitter, rtt + more_rtt)
    assert words.index(word_for(worse)) >= words.index(word_for(stats(loss, jitter, rtt)))


def test_the_network_is_to_blame_before_what_limits_the_sender() -> None:
    assert issue_of(FINE) is None
    assert issue_of(stats(limited="cpu")) == "cpu"
    assert issue_of(stats(limited="bandwidth")) == "bandwidth"
    assert issue_of(stats(loss=9, limited="cpu")) == "network"


def said_after(*reports: ConnectionStats) -> list[tuple[str, bool] | None]:
    watch = QualityWatch()
    return [watch.after(each) for each in reports]


def test_a_warning_takes_two_bad_reports_in_a_row_and_ends_after_two_fine_ones() -> None:
    warned, over = ("network", False), ("network", True)
    assert said_after(POOR, POOR, POOR) == [None, warned, None]
    assert said_after(POOR, FINE, POOR, FINE) == [None] * 4
    assert said_after(POOR, POOR, FINE, FINE, FINE) == [None, warned, None, over, None]
    assert said_after(POOR, POOR, FINE, POOR, FINE, FINE)[1:] == [warned, None, None, None, over]


def test_a_connection_at_the_edge_is_neither_warned_of_again_nor_called_fine() -> None:
    assert said_after(AT_THE_EDGE, AT_THE_EDGE) == [None, None]
    warned = said_after(POOR, POOR, AT_THE_EDGE, FINE, AT_THE_EDGE, FINE, POOR, POOR)
    assert warned == [None, ("network", False), *[None] * 6]


def test_another_issue_is_warned_of_by_itself() -> None:
    cpu = stats(limited="cpu")
    assert said_after(POOR, POOR, cpu) == [None, ("network", False), ("cpu", False)]


# --- what is told --------------------------------------------------------------------------------


@pytest.fixture
async def unlimited(own_signaling: OwnSignaling, placement: Placement) -> AsyncIterator[Signaling]:
    """A replica where reports may follow each other at once."""
    signaling = await own_signaling(KCS_LIMITS__ENABLED="false")
    keys = {signaling.tokens.signer_kid: signaling.key.public_key()}
    async with FakeNode(placement, keys, "n"):
        yield signaling


async def reports(call: Call, client: Client, said: ConnectionStats) -> None:
    body = said.model_dump(by_alias=True)
    named = {"meetingId": call.id} if client.namespace == "/" else call.named()
    await client.get("stats:report", {**named, "stats": body})


async def test_what_is_reported_is_told_on_change_and_summed_up_and_on_record(
    unlimited: Signaling, clients: MakeClient, placement: Placement
) -> None:
    call = Call(clients, placement, await unlimited.create_meeting("ann"))
    ann, bob = await call.enters(unlimited, "ann"), await call.enters(unlimited, "bob")
    cy = await call.enters(unlimited, "cy", "/")
    dee = await call.enters(unlimited, "dee", role=Role.CO_HOST)
    gil = await call.enters(unlimited, "gil", role=Role.CO_HOST)
    in_camel = await call.enters(unlimited, "eve", "/", role=Role.CO_HOST)
    subscribed = call.named(enabled=True)
    assert await ann.get("stats:subscribe", subscribed) == subscribed
    await dee.get("stats:subscribe", subscribed)
    await dee.get("stats:subscribe", call.named(enabled=False))
    await gil.get("stats:subscribe", subscribed)
    no_more = call.named(target_user_id="gil", new_role="attendee")
    await ann.get("participant:role:update", no_more)
    await in_camel.get("stats:subscribe", {"meetingId": call.id, "enabled": True})
    assert await bob.refused("stats:subscribe", subscribed) == "ACCESS_DENIED"
    await gil.hears("participant:role:changed")
    for client in (dee, gil):  # what they were told while they asked and might
        await client.settle()
        client.heard.clear()

    for said in (FINE, FINE, stats(loss=3, rtt=40), stats(loss=2.5, rtt=60)):
        await reports(call, bob, said)
    await reports(call, cy, stats(loss=1.5))
    await call.told_all(ann, cy)

    told = {"meeting_id": call.id, "user_id": "bob"}
    assert heard(ann, "connection:quality") == [
        {**told, "quality": "excellent"},
        {**told, "quality": "fair"},
        {**told, "user_id": "cy", "quality": "good"},
    ]
    assert [each["quality"] for each in heard(cy, "connection:quality")] == [
        "excellent",
        "fair",
        "good",
    ]
    assert heard(ann, "quality:warning") == heard(bob, "quality:warning") == []
    late = await call.enters(unlimited, "fay")
    people = (await late.hears("room:joined"))["participants"]
    assert {p["user_id"]: p["quality"] for p in people if p["quality"]} == {
        "bob": "fair",
        "cy": "good",
    }

    def of_both(update: Any) -> bool:
        """The replica's own clock may have summed up before all had reported."""
        summed = update.get("aggregated_stats") or update["aggregatedStats"]
        return bool(summed["participants"] == 2)

    assert await ann.hears("stats:update", of_both, timeout_s=20) == {
        "meeting_id": call.id,
        "aggregated_stats": {
            "participants": 2,
            "rtt_ms": 30,
            "jitter_ms": 0,
            "packet_loss_percent": 2,
            "bitrate_bps": 1e6,
        },
    }
    in_their_words = await in_camel.hears("stats:update", of_both)
    assert in_their_words["aggregatedStats"]["rttMs"] == 30
    for client in (bob, dee, gil):  # never asked, asked no longer, may not any more
        await client.settle()
        assert heard(client, "stats:update") == []

    minutes = await on_record(unlimited, call.id, samples=5)
    bobs = [each for each in minutes if each.user_id == "bob"]
    assert sum(each.samples for each in bobs) == 4
    assert max(each.loss_percent.max for each in bobs) == 3
    assert max(each.rtt_ms.max for each in bobs) == 60


async def on_record(signaling: Signaling, meeting: str, samples: int) -> list[StatsMinute]:
    """Waits until so many reports are on record."""
    async with open_records(signaling.environment["KCS_SQL__URL"]) as records:
        async with asyncio.timeout(5):
            while True:
                page = await records.stats.of_meeting(MeetingId(meeting))
                if sum(each.samples for each in page.items) == samples:
                    return list(page.items)
                await asyncio.sleep(0.1)


async def test_only_whoever_has_a_bad_connection_is_warned_and_hears_when_it_is_over(
    unlimited: Signaling, clients: MakeClient, placement: Placement
) -> None:
    call = Call(clients, placement, await unlimited.create_meeting("ann"))
    ann, bob = await call.enters(unlimited, "ann"), await call.enters(unlimited, "bob")
    cy = await call.enters(unlimited, "cy", "/")

    for said in (POOR, POOR, POOR, FINE, FINE):
        await reports(call, bob, said)
    for said in (stats(limited="cpu"), stats(limited="cpu")):
        await reports(call, cy, said)
    await call.told_all(ann, bob, cy)

    warned = {"meeting_id": call.id, "issue": "network"}
    assert heard(bob, "quality:warning") == [warned, {**warned, "resolved": True}]
    assert heard(cy, "quality:warning") == [{"meetingId": call.id, "issue": "cpu"}]
    assert heard(ann, "quality:warning") == []


async def test_hostile_reports_are_refused(call: Call, signaling: Signaling) -> None:
    ann = await call.enters(signaling, "ann")
    fine = FINE.model_dump(by_alias=True)
    for wrong in (
        {"rtt": -1},
        {"packetLoss": 101},
        {"jitter": 1e9},
        {"bitrate": "fast"},
        {"limitedBy": "mood"},
        {"more": 1},
    ):
        report = call.named(stats={**fine, **wrong})
        assert await ann.refused("stats:report", report) == "INVALID_REQUEST"


async def test_who_speaks_and_how_loud_reaches_all(
    call: Call, signaling: Signaling, other_replica: Signaling, placement: Placement
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    meeting = MeetingId(call.id)

    await placement.publish(meeting, ActiveSpeaker(participant_id=ParticipantId("bob")))
    await placement.publish(meeting, AudioLevels(levels={ParticipantId("bob"): -30}))
    await placement.publish(meeting, ActiveSpeaker(participant_id=None))

    for client in (ann, bob):
        assert await client.hears("speaker:active") == call.named(user_id="bob")
        levels = [{"user_id": "bob", "level": -30}]
        assert await client.hears("audio:levels") == call.named(levels=levels)
        assert await client.hears("speaker:active") == call.named(user_id=None)
    assert await cy.hears("speaker:active") == {"meetingId": call.id, "userId": "bob"}
    levels = [{"userId": "bob", "level": -30}]
    assert await cy.hears("audio:levels") == {"meetingId": call.id, "levels": levels}
