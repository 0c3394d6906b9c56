"""A pool on a real API server and Redis: it grows, shrinks, is repaired, updated, deleted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.coturn_pods import TURN, Exporter, put_secret
from tests.support.kubernetes import Namespace
from tests.support.operator import (
    OperatorProcess,
    Pods,
    empty,
    operators_writes,
    rests,
    seat,
    sfu_pool,
    until,
)

from kcs_contracts.ids import MeetingId, NodeName
from kcs_contracts.labels import FINALIZER, POOL
from kcs_contracts.placement import NoCapacity, Placement
from kcs_operator.cluster import Cluster
from kcs_operator.errors import NotFound

QUICK: dict[str, Any] = {
    "autoscaling": {"scaleDownStabilization": "2s"},
    "drain": {"deadline": "30s", "migrateAfter": "30s"},
}


async def status(api: Cluster, name: str = "pool") -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("sfupools", name)).get("status", {})
    return found


async def ready(api: Cluster, count: int, name: str = "pool") -> None:
    async def is_so() -> bool:
        found = await status(api, name)
        return found.get("readyReplicas") == count == found.get("desiredReplicas")

    await until(is_so, f"{count} pods are ready")


def condition(found: dict[str, Any], kind: str) -> tuple[str, str]:
    (one,) = [each for each in found["conditions"] if each["type"] == kind]
    return one["status"], one["reason"]


async def test_a_pool_gets_its_pods_and_says_so(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}))
    await ready(api, 2)
    found = await status(api)
    assert found["capacity"] == {"total": 100, "used": 0, "reserved": 0, "free": 100}
    assert condition(found, "Available") == ("True", "PodsReady")
    assert condition(found, "Degraded") == ("False", "AsExpected")
    bodies = await api.list("pods")
    assert len({each["metadata"]["annotations"]["meetings.kcs.dev/slot"] for each in bodies}) == 2
    for body in bodies:
        assert body["metadata"]["ownerReferences"][0]["name"] == "pool"
        ports = [p["hostPort"] for p in body["spec"]["containers"][0]["ports"] if "hostPort" in p]
        assert len(ports) == 2  # UDP and TCP
        assert not body["spec"]["automountServiceAccountToken"]
    assert (await api.get("poddisruptionbudgets", "pool-sfu"))["spec"]["minAvailable"] == 1_000_000
    table = namespace.kubectl("get", "sfup", "pool")
    assert "2" in table


async def test_a_pool_that_starts_tells_a_normal_story(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, "a-secret-of-20-chars")
    pods.unready = True
    buffer = {"buffer": 1}
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, autoscaling=buffer, turn=TURN))

    async def starting() -> bool:
        found = await status(api)
        return found.get("sfu", {}).get("starting") == 1

    await until(starting, "the first pod is made")
    found = await status(api)
    assert condition(found, "Available") == ("False", "Starting")
    assert condition(found, "Degraded") == ("False", "AsExpected")
    pods.unready = False
    await ready(api, 1)

    async def told() -> list[tuple[str, str, str]]:
        events = namespace.get("events.events.k8s.io")["items"]
        return sorted((each["type"], each["reason"], each["note"]) for each in events)

    async def available() -> bool:
        return any(reason == "PodsReady" for _, reason, _ in await told())

    await until(available, "it is told that the pool serves")
    scaled = "0 to 1 SFU pods: participants: none, 1 pod kept ready"
    assert await told() == [
        ("Normal", "PodsReady", "The pool takes meetings."),
        ("Normal", "ScaledUp", scaled),
    ]


async def test_load_makes_pods_and_their_absence_takes_the_idle_one(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, **QUICK))
    await ready(api, 1)
    (first,) = pods.of("pool")
    busy = await seat(placement, first, 40)
    await ready(api, 2)
    assert "in use" in (await status(api))["lastScaleReason"]
    events = namespace.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
    assert "ScaledUp" in events
    first.consumers = 100

    async def alone() -> bool:
        return [node.name for node in pods.of("pool")] == [first.name]

    await until(alone, "the idle one is gone")
    await empty(placement, first, busy, 40)


async def test_people_who_are_refused_make_a_pool_grow_even_from_nothing(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 0, "max": 3}, **QUICK))
    await ready(api, 0)
    meeting = MeetingId("lecture")

    async def placed() -> bool:
        try:
            await placement.assign(meeting, expected=30, warmup_ms=0)
        except NoCapacity:
            return False
        return True

    await until(placed, "a pod was made for it")
    assert (await status(api))["desiredReplicas"] == 1


async def test_an_occupied_pod_drains_until_its_people_have_left(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}, **QUICK))
    await ready(api, 2)
    seats = [(node, await seat(placement, node, n)) for n, node in enumerate(pods.of("pool"), 1)]
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, **QUICK))
    (node, meeting), (other, _) = seats

    async def marked() -> bool:
        return any(each.draining for each in await placement.nodes())

    await until(marked, "the less busy one has a mark")
    await asyncio.sleep(5)
    assert {each.name for each in pods.of("pool")} == {node.name, other.name}
    await empty(placement, node, meeting, 1)

    async def alone() -> bool:
        return [each.name for each in pods.of("pool")] == [other.name]

    await until(alone, "the other one is left")


async def test_meetings_move_when_their_time_is_over_and_the_pod_goes(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    hurry = {**QUICK, "drain": {"deadline": "60s", "migrateAfter": "1s"}}
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}, **hurry))
    await ready(api, 2)
    first, second = pods.of("pool")
    meeting = await seat(placement, first, 3)
    await seat(placement, second, 5)
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, **hurry))

    async def moved() -> bool:
        home = await placement.assignment(meeting)
        return home is not None and home.node == second.name

    await until(moved, "the meeting is on the other pod")
    first.hosted.clear()  # as the node does when a renewal says that the meeting is elsewhere

    async def alone() -> bool:
        return [each.name for each in pods.of("pool")] == [second.name]

    await until(alone, "the first one is gone")


async def test_a_lost_pod_is_replaced(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}))
    await ready(api, 1)
    (first,) = pods.of("pool")
    await api.delete("pods", first.name)

    async def replaced() -> bool:
        return [node.name for node in pods.of("pool")] not in ([], [first.name])

    await until(replaced, "another pod is there")
    await ready(api, 1)


async def test_a_new_template_replaces_the_pods_one_by_one_and_the_same_one_none(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}, **QUICK))
    await ready(api, 2)
    before = {node.name for node in pods.of("pool")}
    changed = {**QUICK, "template": {"image": "kcs-meetings/sfu-node:next"}}
    lowest = 2

    async def replaced() -> bool:
        nonlocal lowest
        found = [node.alive and not node.draining for node in await placement.nodes()]
        lowest = min(lowest, sum(found))
        names = {node.name for node in pods.of("pool")}
        return len(names) == 2 and not names & before

    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}, **changed))
    await until(replaced, "both are new")
    assert lowest == 2, "fewer than two served during the update"
    await ready(api, 2)
    after = {node.name for node in pods.of("pool")}
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}, **changed))
    await asyncio.sleep(3)
    assert {node.name for node in pods.of("pool")} == after


async def test_kubectl_scale_holds_within_the_limits(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}))
    await ready(api, 1)
    namespace.kubectl("scale", "sfup/pool", "--replicas=2")
    await ready(api, 2)
    namespace.kubectl("scale", "sfup/pool", "--replicas=9")
    await ready(api, 3)
    assert condition(await status(api), "ScalingLimited")[0] == "True"


async def test_a_paused_pool_is_left_alone(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, paused=True))

    async def said() -> bool:
        found = await status(api)
        return "conditions" in found and condition(found, "Progressing") == ("False", "Paused")

    await until(said, "the pool is paused")
    namespace.apply(sfu_pool("other", replicas={"min": 1, "max": 3}))
    await ready(api, 1, "other")
    assert await api.list("pods", f"{POOL}=pool") == []
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, paused=False))
    await ready(api, 1)


async def test_a_deleted_pool_waits_for_its_calls(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, **QUICK))
    await ready(api, 1)
    (node,) = pods.of("pool")
    meeting = await seat(placement, node, 2)

    async def held() -> bool:
        return FINALIZER in (await api.get("sfupools", "pool"))["metadata"].get("finalizers", [])

    await until(held, "the pool has the finalizer while somebody is in a call")
    namespace.kubectl("delete", "sfup", "pool", "--wait=false")
    await asyncio.sleep(3)
    assert pods.of("pool")
    await empty(placement, node, meeting, 2)

    async def gone() -> bool:
        try:
            await api.get("sfupools", "pool")
        except NotFound:
            return True
        return False

    await until(gone, "the pool is gone")


async def test_a_drain_can_be_asked_for_and_taken_back_by_hand(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, **QUICK))
    await ready(api, 1)
    (node,) = pods.of("pool")
    await seat(placement, node, 2)
    key = "meetings.kcs.dev/drain-requested"
    namespace.kubectl("annotate", "pod", node.name, f"{key}=maintenance")

    async def marked(want: bool) -> bool:
        (found,) = [each for each in await placement.nodes() if each.node == NodeName(node.name)]
        return found.draining is want

    await until(lambda: marked(True), "placement has the mark")
    namespace.kubectl("annotate", "pod", node.name, f"{key}-")
    await until(lambda: marked(False), "the mark is gone")


async def test_a_restart_writes_nothing(
    namespace: Namespace,
    api: Cluster,
    pods: Pods,
    new_operator: Callable[..., OperatorProcess],
    placement: Placement,
) -> None:
    first = new_operator()
    await first.leads()
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}))
    await ready(api, 2)
    await rests(namespace)
    assert first.stop() == 0
    await asyncio.sleep(1)  # the audit log is a little late
    before = operators_writes(namespace)
    second = new_operator()
    await second.leads()
    await asyncio.sleep(4)
    assert operators_writes(namespace)[len(before) :] == []


@pytest.mark.parametrize("kill", [True, False])
async def test_the_other_replica_takes_over(
    namespace: Namespace,
    api: Cluster,
    pods: Pods,
    new_operator: Callable[..., OperatorProcess],
    kill: bool,
) -> None:
    first = new_operator()
    await first.leads()
    second = new_operator()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}))
    await ready(api, 1)
    assert not any(each["event"] == "leading" for each in second.lines())
    if kill:
        first.kill()
    else:
        assert first.stop() == 0
    await second.leads()
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 3}))
    await ready(api, 2)
