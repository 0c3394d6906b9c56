"""A pool that is deleted while people are in calls that keep to it, and another that has room."""

import pytest
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, person, sfu_pool, until

from kcs_contracts.ids import MeetingId
from kcs_contracts.labels import FINALIZER
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Assignment
from kcs_operator.cluster import Cluster
from kcs_operator.errors import NotFound

MEETING = MeetingId("lecture")


@pytest.mark.parametrize(("deadline", "after"), [("60s", "1s"), ("10s", "10s")])
async def test_a_meeting_of_a_deleted_pool_goes_on_in_another_in_time_or_at_the_deadline(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    deadline: str,
    after: str,
) -> None:
    drain = {"deadline": deadline, "migrateAfter": after}
    namespace.apply(
        sfu_pool("pool", replicas={"min": 1, "max": 3}, drain=drain),
        sfu_pool("other", replicas={"min": 2, "max": 3}),
    )

    async def there() -> bool:
        return (len(pods.of("pool")), len(pods.of("other"))) == (1, 2)

    await until(there, "both pools have their pods")
    home = await pinned(placement, pods)
    (node,) = pods.of("pool")

    async def held() -> bool:
        return FINALIZER in (await api.get("sfupools", "pool"))["metadata"].get("finalizers", [])

    await until(held, "the pool has the finalizer while somebody is in a call")
    namespace.kubectl("delete", "sfup", "pool", "--wait=false")

    async def moved() -> bool:
        now = await placement.assignment(MEETING)
        return now is not None and now.node != home.node

    await until(moved, "the meeting is in the other pool")
    node.hosted.clear()  # as the node does when a renewal says that the meeting is elsewhere
    await until(lambda: is_gone(api, "pool"), "the pool is gone")
    assert len((await placement.snapshot(MEETING)).participants) == 2
    new = await placement.assignment(MEETING)
    assert new is not None
    first, second = sorted(pods.of("other"), key=lambda each: each.name != new.node)
    assert first.name == new.node
    await pods.silence(first)
    saved = await placement.evict(MEETING, new.node, new.epoch, "node_lost")
    assert saved is not None
    assert saved.node == second.name


async def pinned(placement: Placement, pods: Pods) -> Assignment:
    """Two people in a meeting that keeps to the pool."""
    home = await placement.assign(MEETING, pool="pool", warmup_ms=0)
    assert home.node in {node.name for node in pods.of("pool")}
    pods.named(home.node).hosted[MEETING] = home.epoch
    for number in range(2):
        await placement.join(MEETING, person(number), limit=9, presence_ms=3_600_000)
    return home


async def is_gone(api: Cluster, pool: str) -> bool:
    try:
        await api.get("sfupools", pool)
    except NotFound:
        return True
    return False
