"""The main job: three people in browsers see and hear each other."""

from collections.abc import Awaitable, Callable

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.node_api import DescribeParticipant, ParticipantMedia, Result
from kcs_dev.api import Inspector, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.stack import LocalStack

NOTHING = ParticipantMedia(transports=(), producers=(), consumers=())
StartStack = Callable[..., Awaitable[LocalStack]]


async def test_three_browsers_see_and_hear_each_other_and_the_server_agrees(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    meeting = await new_meeting(stack.url)
    people = [
        await chromium.join(f"{stack.url}/m/{meeting}", name) for name in ("Ann", "Ben", "Cy")
    ]
    await until(
        lambda: everybody_gets_everybody(people), "all three see and hear the two others", 30
    )
    tiles = {person: await person.tiles() for person in people}
    assert all(len(seen) == 2 for seen in tiles.values())

    inspector = Inspector(stack)
    snapshot = await inspector.snapshot(meeting)
    assert sorted(p.display_name for p in snapshot.participants) == ["Ann", "Ben", "Cy"]
    assert len(snapshot.producers) == 6
    for participant in snapshot.participants:
        stats = await inspector.stats(meeting, participant.id)
        assert (len(stats.transports), len(stats.producers), len(stats.consumers)) == (2, 2, 4)
        assert all(s[0]["packetCount"] > 0 for s in stats.producers.values())
        person = next(p for p, seen in tiles.items() if participant.id not in seen)
        await _browser_got_what_the_server_sent(inspector, meeting, participant.id, person)
    await inspector.close()


async def _browser_got_what_the_server_sent(
    inspector: Inspector, meeting: MeetingId, participant: str, person: Person
) -> None:
    """Loopback loses nothing: packets received lie between the server's two counts around them,
    once a browser that was busy has counted what came."""

    async def agrees() -> bool:
        before = await _sent(inspector, meeting, participant)
        received = {s.ssrc: s.packets for s in (await person.received()).values()}
        after = await _sent(inspector, meeting, participant)
        return before.keys() == received.keys() and all(
            before[ssrc] * 0.95 - 5 <= packets <= after[ssrc] + 5
            for ssrc, packets in received.items()
        )

    await until(agrees, "the browser got what the server sent")


async def _sent(inspector: Inspector, meeting: MeetingId, participant: str) -> dict[int, int]:
    stats = await inspector.stats(meeting, participant)
    outbound = [
        s for reports in stats.consumers.values() for s in reports if s["type"] == "outbound-rtp"
    ]
    return {s["ssrc"]: s["packetCount"] for s in outbound}


async def test_who_leaves_is_gone_for_the_others_and_leaves_nothing_on_the_node(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    meeting = await new_meeting(stack.url)
    ann, ben = [await chromium.join(f"{stack.url}/m/{meeting}", name) for name in ("Ann", "Ben")]
    await until(lambda: everybody_gets_everybody([ann, ben]), "both see each other")
    (ben_id,) = await ann.tiles()
    await ben.page.click('[data-testid="leave-button"]')

    async def ben_is_gone() -> bool:
        return await ann.tiles() == []

    await until(ben_is_gone, "Ben's tile is gone", 3)
    inspector = Inspector(stack)
    snapshot = await inspector.snapshot(meeting)
    assert [p.display_name for p in snapshot.participants] == ["Ann"]

    async def nothing_is_left() -> bool:
        op = DescribeParticipant(participant_id=ParticipantId(ben_id))
        return (await inspector.operate(meeting, op)).results[0] == Result(answer=NOTHING)

    await until(nothing_is_left, "Ben's transports are closed", 3)
    await inspector.close()
