"""coturn pods on a real API server and Redis: by load, issued, replaced, drained."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.coturn_pods import (
    OLD,
    TURN,
    Exporter,
    config_of,
    configs_of,
    is_gone,
    issued,
    peers_of,
    put_secret,
    turn_config,
    turn_pods,
)
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, sfu_pool, until

from kcs_contracts.labels import Role
from kcs_contracts.placement import Placement
from kcs_contracts.turn_servers import TurnServer
from kcs_operator.cluster import Cluster
from kcs_operator.decisions.observed import ObservedPod
from kcs_operator.decisions.pods import Plan
from kcs_operator.handlers.turn_steps import Aim, TurnSteps
from kcs_operator.handlers.watching import Cache
from kcs_operator.settings import Settings


async def test_coturn_pods_come_with_the_pool_follow_the_load_and_are_issued(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    quick = {"scaleDownStabilization": "2s"}
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}, turn=TURN, autoscaling=quick))

    async def one() -> bool:
        return len(await issued(placement)) == 1

    await until(one, "a coturn pod is issued")
    text = await turn_config(api)
    assert f"static-auth-secret={OLD}" in text
    assert await peers_of(api) == [{"10.9.0.1"}]  # where the SFU pod is announced
    assert "denied-peer-ip=0.0.0.0-255.255.255.255" in text
    (host,) = await issued(placement)
    (busy,) = [each for each in exporters if each.host == pods.turn_host(host)]
    busy.allocations = 15

    async def two() -> bool:
        return len(await issued(placement)) == 2

    await until(two, "a second one is issued")
    busy.allocations = 3
    await until(one, "one has left the list")
    assert await issued(placement) == {host}, "the busy one stays"
    await asyncio.sleep(3)
    left = await api.list("pods", "meetings.kcs.dev/role=turn")
    assert len(left) == 2, "credentials that name it are still good: it is not deleted yet"


async def test_a_pool_without_turn_has_no_coturn_pod_and_issues_none(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}))

    async def one() -> bool:
        return len(pods.of("pool")) == 1

    await until(one, "the SFU pod is there")
    await asyncio.sleep(2)
    assert not await api.list("pods", "meetings.kcs.dev/role=turn")
    assert not await issued(placement)


async def test_people_are_relayed_to_the_sfu_pods_of_other_pools_too(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    one = {"min": 1, "max": 1}
    by_pod_ip = {"announcedAddressFrom": "PodIP"}
    namespace.apply(
        sfu_pool(replicas=one, turn=TURN), sfu_pool("other", replicas=one, exposure=by_pod_ip)
    )

    async def both() -> bool:
        found = await api.list("pods", "meetings.kcs.dev/role=sfu")
        told = {each["metadata"]["labels"]["meetings.kcs.dev/pool"]: each for each in found}
        if any("podIP" not in each.get("status", {}) for each in found) or len(found) < 2:
            return False
        peers = {told["pool"]["status"]["hostIP"], told["other"]["status"]["podIP"]}
        return await peers_of(api) == [peers]

    await until(both, "coturn relays to the addresses that browsers are told by either pool")


async def test_a_pool_that_relays_people_goes_when_the_last_one_has_gone(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    """Nobody is in a meeting of it: they are in other pools' meetings."""
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}, turn=TURN))

    async def one() -> bool:
        return len(await issued(placement)) == 1

    await until(one, "a coturn pod is issued")
    (host,) = await issued(placement)
    (busy,) = [each for each in exporters if each.host == pods.turn_host(host)]
    busy.allocations = 3

    async def held() -> bool:
        return bool((await api.get("sfupools", "pool"))["metadata"].get("finalizers"))

    await until(held, "the pool is held for those whom it relays")
    namespace.kubectl("delete", "sfup", "pool", "--wait=false")

    async def left() -> bool:
        return not await issued(placement)

    await until(left, "nobody new is sent there")
    await until(lambda: sfu_pods_are_gone(api), "nobody was on the SFU pod")
    (relay,) = await turn_pods(api)
    assert "deletionTimestamp" not in relay["metadata"]
    assert await held()
    busy.allocations = 0

    async def gone() -> bool:
        return not await api.list("sfupools")

    await until(gone, "the pool has gone, and takes its pods along")


async def sfu_pods_are_gone(api: Cluster) -> bool:
    return not await api.list("pods", "meetings.kcs.dev/role=sfu")


@pytest.mark.parametrize("paused", [False, True])
async def test_coturn_pods_stay_and_follow_the_sfu_pods_as_they_come_and_go(
    paused: bool,
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}, turn=TURN), sfu_pool("other"))

    async def of_both() -> bool:
        return await peers_of(api) == [{"10.9.0.1", "10.9.0.2"}]

    await until(of_both, "coturn relays to the SFU pods of both pools")
    (before,) = await turn_pods(api)
    pause = f'-p={{"spec":{{"paused":{str(paused).lower()}}}}}'
    namespace.kubectl("patch", "sfup", "pool", "--type=merge", pause)
    gone = next(iter(pods.of("other"))).name
    namespace.kubectl("delete", "pod", gone, "--wait=false")

    async def followed() -> bool:
        (peers,) = await peers_of(api)
        return len(peers) == 2 and "10.9.0.3" in peers

    await until(followed, "coturn relays to the new SFU pod, and not to the old one")
    (after,) = await turn_pods(api)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert config_of(after) == config_of(before)
    assert len(await issued(placement)) == 1


async def test_the_servers_of_pools_that_are_gone_leave_the_list(
    namespace: Namespace,
    api: Cluster,
    new_operator: Callable[..., OperatorProcess],
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    await placement.issue_turn_servers("long-gone", [TurnServer(host="10.9.9.9")])
    await new_operator().leads()

    async def none() -> bool:
        return not await placement.turn_pools()

    await until(none, "no pool, no servers")
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}, turn=TURN))

    async def one() -> bool:
        return len(await issued(placement)) == 1

    await until(one, "a coturn pod is issued")
    namespace.kubectl("delete", "sfup", "pool", "--wait=false")
    await until(none, "the pool was idle and went at once")


async def test_a_pod_is_issued_with_the_port_that_it_has_and_its_configuration_goes_with_it(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}, turn=TURN))

    async def one() -> bool:
        return len(await issued(placement)) == 1

    await until(one, "a coturn pod is issued")
    (old,) = await api.list("pods", "meetings.kcs.dev/role=turn")
    tls = {"secretName": "turn-tls", "port": 5350}
    namespace.apply(
        sfu_pool(replicas={"min": 1, "max": 1}, turn={**TURN, "port": 3479, "tls": tls})
    )
    said: set[tuple[str, int | None, int | None]] = set()

    async def newer() -> bool:
        now = await placement.turn_servers()
        said.update((each.host, each.udp_port, each.tls_port) for each in now)
        return [each.udp_port for each in now] == [3479]

    await until(newer, "the new pod is issued alone")
    assert said == {("10.10.0.1", 3478, None), ("10.10.0.2", 3479, 5350)}
    config = config_of(old)
    assert await api.get("secrets", config)
    namespace.kubectl("delete", "pod", old["metadata"]["name"], "--wait=false")
    await until(lambda: is_gone(api, config), "the secrets in it are nobody's any more")
    assert len(await configs_of(api, "pool")) == 1


async def test_an_old_pod_goes_first_where_a_new_one_finds_no_machine(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}, turn=TURN))

    async def one() -> bool:
        return len(await issued(placement)) == 1

    await until(one, "a coturn pod is issued")
    (old,) = await api.list("pods", "meetings.kcs.dev/role=turn")
    pods.unready = True
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}, turn={**TURN, "realm": "new.example"}))
    found: list[str] = []

    async def made() -> bool:
        names = [each["metadata"]["name"] for each in await turn_pods(api)]
        found[:] = [name for name in names if name != old["metadata"]["name"]]
        return bool(found)

    await until(made, "a new pod is there")
    await asyncio.sleep(2)
    assert await one(), "the old one stays as long as the new one may still come up"
    ports = "1 node(s) didn't have free ports for the requested pod ports"
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    condition = {**why, "message": f"0/1 nodes are available: {ports}."}
    await api.patch_status("pods", found[0], {"conditions": [condition]})

    async def drains() -> bool:
        notes = (await api.get("pods", old["metadata"]["name"]))["metadata"]["annotations"]
        return bool(notes.get("meetings.kcs.dev/drain-requested") == "TemplateChanged")

    await until(drains, "the old one makes room")
    await asyncio.sleep(2)
    assert len(await turn_pods(api)) == 2, "and no other is made, or taken back"
    assert await drains()
    pods.unready = False
    await until(one, "the new one is issued")
    assert {each.host for each in await placement.turn_servers()} == {"10.10.0.2"}


async def test_pods_that_go_in_one_step_take_their_configuration_along(
    namespace: Namespace, api: Cluster
) -> None:
    steps = TurnSteps(api, Cache(), Settings())
    body = {"metadata": {"name": "pool"}}
    for name in ("pool-turn-old", "pool-turn-kept", "pool-turn-new"):
        meta = {"name": name}
        await api.create("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    going = [observed_pod(name, "old") for name in ("a", "b")]
    pods = [*going, observed_pod("c", "kept"), replace(observed_pod("d", "old"), deleting=True)]
    configs = {"old", "kept", "new"}
    await steps.take(body, Plan(delete=tuple(going)), pods, Aim("new"), configs, 0)
    assert configs == {"kept", "new"}
    assert await is_gone(api, "pool-turn-old")
    assert not await is_gone(api, "pool-turn-kept")
    assert not await is_gone(api, "pool-turn-new"), "pods are made from it next"


def observed_pod(name: str, template_hash: str) -> ObservedPod:
    return ObservedPod(
        name=name,
        uid=name,
        role=Role.TURN,
        template_hash=template_hash,
        slot=0,
        created_at=0,
        ready=True,
    )
