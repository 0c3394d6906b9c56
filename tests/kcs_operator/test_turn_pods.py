"""coturn pods on a real API server and Redis: by load, issued, drained, their secrets changed."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, sfu_pool, until

from kcs_contracts.labels import Role
from kcs_contracts.placement import Placement
from kcs_contracts.turn_servers import TurnServer
from kcs_operator.cluster import Cluster
from kcs_operator.decisions.observed import ObservedPod
from kcs_operator.decisions.pods import Plan
from kcs_operator.errors import Conflict, NotFound
from kcs_operator.handlers.turn_secrets import SecretStore
from kcs_operator.handlers.turn_steps import Aim, TurnSteps
from kcs_operator.handlers.watching import Cache
from kcs_operator.settings import PodsGroup, Settings

OLD = "an-old-secret-of-20"
TURN: dict[str, Any] = {
    "replicas": {"min": 1, "max": 3},
    "targetAllocations": 10,
    "portRange": {"first": 50000, "last": 50099},
}


class Exporter:
    """What a coturn pod's exporter says, on one of loopback's addresses."""

    def __init__(self, host: str):
        self.host, self.allocations = host, 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, 9641).start()

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        text = (
            "# TYPE kcs_turn_allocations gauge\n"
            f'kcs_turn_allocations{{pool="pool"}} {self.allocations}\n'
            "# TYPE kcs_turn_egress_bytes counter\n"
            'kcs_turn_egress_bytes_total{pool="pool",side="client"} 1000\n'
        )
        return web.Response(text=text)


@pytest.fixture
async def exporters() -> AsyncIterator[list[Exporter]]:
    found = [Exporter(f"127.0.7.{number}") for number in range(1, 11)]
    for each in found:
        await each.start()
    yield found
    for each in found:
        await each.stop()


def put_secret(namespace: Namespace, *secrets: str) -> None:
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "kcs-meetings-turn"},
            "stringData": {"secrets": json.dumps(secrets)},
        }
    )


async def issued(placement: Placement) -> set[str]:
    return {each.host for each in await placement.turn_servers()}


async def turn_pods(api: Cluster, pool: str = "pool") -> list[dict[str, Any]]:
    """The oldest first."""
    found = await api.list("pods", f"meetings.kcs.dev/role=turn,meetings.kcs.dev/pool={pool}")
    return sorted(found, key=lambda pod: int(pod["metadata"]["resourceVersion"]))


def config_of(pod: dict[str, Any]) -> str:
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "config"]
    name: str = volume["secret"]["secretName"]
    return name


async def configs_of(api: Cluster, pool: str) -> list[str]:
    """The configurations of the coturn pods that do not drain."""
    drained = "meetings.kcs.dev/drain-requested"
    staying = [
        pod
        for pod in await turn_pods(api, pool)
        if drained not in pod["metadata"].get("annotations", {})
    ]
    secrets = [await api.get("secrets", config_of(pod)) for pod in staying]
    return [base64.b64decode(each["data"]["turnserver.conf"]).decode() for each in secrets]


async def turn_config(api: Cluster) -> str:
    """The configuration of the one coturn pod that stays."""
    (found,) = await configs_of(api, "pool")
    return found


async def secrets_of(api: Cluster) -> list[str]:
    found = await api.get("secrets", "kcs-meetings-turn")
    read: list[str] = json.loads(base64.b64decode(found["data"]["secrets"]))
    return read


async def is_gone(api: Cluster, secret: str) -> bool:
    try:
        await api.get("secrets", secret)
    except NotFound:
        return True
    return False


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
    assert "allowed-peer-ip=10.9.0.1\n" in text  # where the SFU pod is announced
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


async def test_a_missing_secret_is_said_in_the_conditions_and_mended(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}, turn=TURN))

    async def said() -> bool:
        found = (await api.get("sfupools", "pool")).get("status", {})
        texts = [each["message"] for each in found.get("conditions", ())]
        return any("kcs-meetings-turn" in text for text in texts)

    await until(said, "the condition names the Secret")

    async def serves() -> bool:
        return len(pods.of("pool")) == 1

    await until(serves, "the SFU pod is there all the same")
    put_secret(namespace, OLD)

    async def one() -> bool:
        return len(await issued(placement)) == 1

    await until(one, "a coturn pod is issued", 90)


async def test_a_secret_that_is_over_is_replaced_and_both_are_valid_meanwhile(
    namespace: Namespace,
    api: Cluster,
    new_operator: Callable[..., OperatorProcess],
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    await new_operator(KCS_PODS__TURN_SECRET_DAYS="0.00005").leads()  # 4 s
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}, turn=TURN))

    async def swapped() -> bool:
        now = await secrets_of(api)
        return len(now) == 2 and now[1] == OLD

    await until(swapped, "the new one signs", 120)
    text = await turn_config(api)
    assert all(f"static-auth-secret={each}" in text for each in await secrets_of(api))


async def test_the_secret_is_changed_when_the_pods_of_every_pool_take_both(
    namespace: Namespace,
    api: Cluster,
    new_operator: Callable[..., OperatorProcess],
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    first = new_operator(KCS_PODS__TURN_SECRET_DAYS="0")
    await first.leads()
    few = {"min": 1, "max": 1}
    namespace.apply(sfu_pool("one", replicas=few, turn=TURN))
    namespace.apply(sfu_pool("two", replicas=few, turn=TURN))

    async def both() -> bool:
        return len(await issued(placement)) == 2

    await until(both, "each pool has its coturn pod")
    namespace.kubectl("patch", "sfup", "two", "--type=merge", '-p={"spec":{"paused":true}}')
    first.stop()
    second = new_operator(KCS_PODS__TURN_SECRET_DAYS="0.00005")  # 4 s
    await second.leads()

    async def one_takes_both() -> bool:
        texts = await configs_of(api, "one")
        return any(text.count("static-auth-secret=") == 2 for text in texts)

    await until(one_takes_both, "the first pool's pods take both")
    added = await secrets_of(api)
    await asyncio.sleep(16)  # the store reads it anew, and the first pool has reported for long
    assert await secrets_of(api) == added, "the paused pool's pods know the old one alone"
    assert added[0] == OLD
    assert any(line["event"] == "turn_secret_waits" for line in second.lines())
    namespace.kubectl("patch", "sfup", "two", "--type=merge", '-p={"spec":{"paused":false}}')

    async def swapped() -> bool:
        return await secrets_of(api) == added[::-1]

    await until(swapped, "the new one signs", 120)
    for pool in ("one", "two"):
        (text,) = await configs_of(api, pool)
        assert all(each in text for each in added)


async def test_two_that_change_the_secret_at_once_add_one(
    namespace: Namespace, api: Cluster
) -> None:
    put_secret(namespace, OLD)
    settings = PodsGroup(turn_secret_days=1)
    stores = [SecretStore(api, settings), SecretStore(api, settings)]
    later = time.time() + 2 * 86400
    every = [store.rotate([], later) for store in stores for _ in range(5)]
    refused = [each for each in await asyncio.gather(*every, return_exceptions=True) if each]
    assert all(isinstance(each, Conflict) for each in refused)
    found = await secrets_of(api)
    assert len(found) == 2
    assert OLD in found
    assert {await store.read() for store in stores} == {tuple(sorted(found))}


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
