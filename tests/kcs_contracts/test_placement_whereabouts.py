"""Where meetings are that are asked for by name."""

from collections.abc import Callable

from kcs_contracts.ids import BootId, Epoch, MeetingId, NodeName
from kcs_contracts.placement import NodeLease, Placement
from kcs_contracts.placement.whereabouts import Whereabouts
from kcs_contracts.rooms import Participant

Lease = Callable[..., NodeLease]
Person = Callable[..., Participant]


async def test_each_meeting_is_told_of_whatever_has_become_of_it(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId
) -> None:
    unknown, ended, lost = MeetingId("unknown"), MeetingId("ended"), MeetingId("lost")
    await placement.renew(lease("b"), [])
    dead = await placement.assign(lost, warmup_ms=0)
    await placement.release(NodeName("b"), BootId("boot"))
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    await placement.join(meeting, person("ann"), limit=9)
    await placement.assign(ended, warmup_ms=0)
    await placement.end(ended, "ended_by_host")
    assert await placement.whereabouts([meeting, unknown, ended, lost]) == {
        meeting: Whereabouts(False, True, 1, NodeName("a"), home.epoch),
        unknown: Whereabouts(False, False, 0, NodeName(""), Epoch(0)),
        ended: Whereabouts(True, False, 0, NodeName(""), Epoch(0)),
        lost: Whereabouts(False, False, 0, NodeName("b"), dead.epoch),
    }
    assert await placement.whereabouts([]) == {}


async def test_more_are_told_of_than_fit_into_one_call(placement: Placement) -> None:
    ids = [MeetingId(f"m-{n}") for n in range(1201)]
    assert list(await placement.whereabouts(ids)) == ids
