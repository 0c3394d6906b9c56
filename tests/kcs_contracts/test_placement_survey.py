"""What lives on which node, as the operator counts it."""

import asyncio
from collections.abc import Callable

from kcs_contracts.ids import Epoch, Generation, MeetingId, NodeName
from kcs_contracts.placement import Hosted, Housed, NodeLease, Placement
from kcs_contracts.rooms import Assignment, Participant

Lease = Callable[..., NodeLease]
Person = Callable[..., Participant]
A, B = NodeName("a"), NodeName("b")
OTHER = MeetingId("other")


def hosted(home: Assignment) -> Hosted:
    return Hosted(meeting_id=home.meeting_id, epoch=home.epoch, generation=Generation(0))


async def placed(placement: Placement, meeting: MeetingId) -> Assignment:
    return await placement.assign(meeting, strategy="spread", warmup_ms=0)


async def test_a_meeting_counts_from_its_assignment_on_before_its_node_has_opened_it(
    placement: Placement, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    home = await placed(placement, meeting)
    assert await placement.meetings_on(A) == [Housed(meeting, home.epoch, 0)]


async def test_all_nodes_meetings_and_their_people_come_in_one_answer(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    here = await placed(placement, meeting)
    await placement.renew(lease("b"), [])
    there = await placed(placement, OTHER)
    assert (here.node, there.node) == ("a", "b")
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
    await placement.renew(lease("a"), [hosted(here)])
    assert await placement.survey([B, A, NodeName("unknown")]) == {
        "b": [Housed(OTHER, there.epoch, 0)],
        "a": [Housed(meeting, here.epoch, 2)],
        "unknown": [],
    }


async def test_a_meeting_that_everybody_left_counts_for_as_long_as_its_node_hosts_it(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    home = await placed(placement, meeting)
    ann = person("ann")
    await placement.join(meeting, ann, limit=9)
    await placement.renew(lease("a"), [hosted(home)])
    await placement.leave(meeting, ann.id, ann.session)  # which drops the reservation
    assert await placement.meetings_on(A) == [Housed(meeting, home.epoch, 0)]
    await placement.renew(lease("a"), [])
    assert await placement.meetings_on(A) == []


async def test_a_meeting_that_was_moved_is_at_its_new_home_while_its_old_room_closes(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    home = await placed(placement, meeting)
    await placement.join(meeting, person("ann"), limit=9)
    await placement.renew(lease("a"), [hosted(home)])
    await placement.renew(lease("b"), [])
    new = await placement.evict(meeting, home.node, home.epoch, "moved")
    assert new is not None
    await placement.renew(lease("a"), [hosted(home)])
    assert await placement.survey([A, B]) == {"a": [], "b": [Housed(meeting, new.epoch, 1)]}


async def test_what_ended_and_what_another_life_of_the_node_hosted_counts_nowhere(
    placement: Placement, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a", "b1"), [])
    home = await placed(placement, meeting)
    other = await placed(placement, OTHER)
    await placement.renew(lease("a", "b1"), [hosted(home), hosted(other)])
    await placement.end(OTHER, "deleted")
    assert await placement.meetings_on(A) == [Housed(meeting, home.epoch, 0)]
    await placement.renew(lease("a", "b2"), [])
    assert await placement.meetings_on(A) == []


async def test_a_meeting_that_a_node_brings_back_to_an_empty_redis_counts_again(
    placement: Placement, lease: Lease, meeting: MeetingId
) -> None:
    claim = Hosted(meeting_id=meeting, epoch=Epoch(7), generation=Generation(0))
    await placement.renew(lease("a"), [claim])
    assert await placement.meetings_on(A) == [Housed(meeting, Epoch(7), 0)]


async def test_redis_tells_since_when_it_is_not_empty_by_its_own_clock(
    placement: Placement, lease: Lease
) -> None:
    assert await placement.age_ms() is None
    await placement.renew(lease("a"), [])
    young = await placement.age_ms()
    assert young is not None
    await asyncio.sleep(0.05)
    await placement.renew(lease("b"), [])
    old = await placement.age_ms()
    assert old is not None
    assert old > young
