"""Pods with Services of their own, on a real API server: node ports, load balancers."""

from typing import Any

from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, sfu_pool, until

from kcs_operator.cluster import Cluster

BALANCED = {
    "mode": "LoadBalancer",
    "announcedAddressFrom": "LoadBalancer",
    "portRange": {"first": 40000, "last": 40009},
}
NODE_PORTS = {"mode": "NodePort", "portRange": {"first": 31000, "last": 31009}}
OTHER_PORTS = {"mode": "NodePort", "portRange": {"first": 31100, "last": 31109}}
"""Node ports are the whole cluster's: each test has its own."""


async def services(api: Cluster) -> list[dict[str, Any]]:
    return await api.list("services", "meetings.kcs.dev/pool=pool")


async def served(api: Cluster, count: int) -> None:
    async def is_so() -> bool:
        return len(await services(api)) == count

    await until(is_so, f"{count} services")


async def running(pods: Pods, count: int) -> None:
    async def is_so() -> bool:
        return len(pods.of("pool")) == count

    await until(is_so, f"{count} pods")


async def limits(api: Cluster) -> str:
    """What keeps the pool from having more pods, as its status says it."""
    status = (await api.get("sfupools", "pool")).get("status", {})
    found = {each["type"]: each["message"] for each in status.get("conditions", ())}
    return str(found.get("ScalingLimited", ""))


def announced(pod: dict[str, Any]) -> str:
    env = {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}
    return str(env["KCS_MEDIA__ANNOUNCED_ADDRESS"])


async def test_a_pod_behind_a_load_balancer_waits_for_its_address_and_announces_it(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}, exposure=BALANCED))
    await served(api, 1)
    (service,) = await services(api)
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    name = service["metadata"]["name"]
    text = f"No more pods: the load balancer of Service {name} has no address yet."

    async def said() -> bool:
        return await limits(api) == text

    await until(said, "the status says what the pool waits for")
    assert not await api.list("pods")
    address = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    await api.patch_status("services", name, address)
    await running(pods, 1)
    (pod,) = await api.list("pods")
    assert pod["metadata"]["name"] == name
    assert announced(pod) == "198.51.100.7"
    assert len(await services(api)) == 1

    async def said_no_more() -> bool:
        return await limits(api) == "The pool may grow as it needs."

    await until(said_no_more, "the status takes it back")


async def test_a_pod_with_node_ports_has_the_same_port_inside_and_outside(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, exposure=NODE_PORTS))
    await running(pods, 1)
    (service,) = await services(api)
    (pod,) = await api.list("pods")
    inside = {p["containerPort"] for p in pod["spec"]["containers"][0]["ports"]} - {4000}
    outside = {(p["nodePort"], p["targetPort"]) for p in service["spec"]["ports"]}
    assert outside == {(port, port) for port in inside}
    assert inside < set(range(31000, 31010))


async def test_a_service_that_was_left_over_is_used_or_goes(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, exposure=OTHER_PORTS))
    await running(pods, 1)
    (first,) = pods.of("pool")
    await api.delete("pods", first.name)  # as by hand: its Service stays, with its ports

    async def another() -> bool:
        found = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in await api.list("pods")}
        names = [each["metadata"]["name"] for each in await services(api)]
        return first.uid not in found and list(found.values()) == names != []

    await until(another, "another pod with the one Service")
