"""coturn pods on a real API server and Redis: by load, issued, drained, their secrets changed."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, sfu_pool, until

from kcs_contracts.placement import Placement
from kcs_contracts.resources.v1alpha1 import Turn
from kcs_operator.cluster import Cluster
from kcs_operator.decisions.turn import Egress, TurnLoad, wanted_turn
from kcs_operator.decisions.turn_secrets import TurnSecrets, next_step

OLD, NEW, NEXT = "an-old-secret-of-20", "a-new-secret-of-20!", "the-next-secret-of20"
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
    found = [Exporter(f"127.0.7.{number}") for number in range(1, 7)]
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


async def turn_config(api: Cluster) -> str:
    """The configuration that the newest coturn pod has."""
    pods = await api.list("pods", "meetings.kcs.dev/role=turn")
    (newest,) = [
        pod
        for pod in pods
        if "meetings.kcs.dev/drain-requested" not in pod["metadata"]["annotations"]
    ]
    (volume,) = [each for each in newest["spec"]["volumes"] if each["name"] == "config"]
    secret = await api.get("secrets", volume["secret"]["secretName"])
    return base64.b64decode(secret["data"]["turnserver.conf"]).decode()


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

    async def secrets() -> list[str]:
        found = await api.get("secrets", "kcs-meetings-turn")
        read: list[str] = json.loads(base64.b64decode(found["data"]["secrets"]))
        return read

    async def swapped() -> bool:
        now = await secrets()
        return len(now) == 2 and now[1] == OLD

    await until(swapped, "the new one signs", 120)
    text = await turn_config(api)
    assert all(f"static-auth-secret={each}" in text for each in await secrets())


@pytest.mark.parametrize(
    ("has", "take_both", "now", "after"),
    [
        (TurnSecrets((OLD,), 0, True), True, 86399, None),
        (TurnSecrets((OLD,), 0, True), False, 86400, ((OLD, NEXT), False)),
        (TurnSecrets((OLD, NEW), 0, False), False, 9e9, None),
        (TurnSecrets((OLD, NEW), 0, False), True, 1, ((NEW, OLD), True)),
        (TurnSecrets((NEW, OLD), 0, True), True, 599, None),
        (TurnSecrets((NEW, OLD), 0, True), True, 600, ((NEW,), True)),
    ],
)
def test_the_steps_of_a_change_of_secrets(
    has: TurnSecrets, take_both: bool, now: float, after: tuple[tuple[str, ...], bool] | None
) -> None:
    step = next_step(has, NEXT, days=1, pods_take_both=take_both, now=now)
    assert (step and (step.secrets, step.signs_newest)) == after


def test_secrets_never_change_when_told_so() -> None:
    assert (
        next_step(TurnSecrets((OLD,), 0, True), NEXT, days=0, pods_take_both=True, now=9e9) is None
    )


@pytest.mark.parametrize(
    ("allocations", "mbps", "pods"),
    [(0, 0, 1), (10, 0, 1), (11, 0, 2), (0, 501, 2), (500, 0, 3)],
)
def test_the_number_of_coturn_pods(allocations: int, mbps: float, pods: int) -> None:
    assert wanted_turn(Turn.model_validate(TURN), allocations, mbps) == pods


def test_egress_is_the_growth_of_the_counters_and_a_restart_is_no_flood() -> None:
    egress = Egress()
    assert egress.add([("a", TurnLoad(0, 0))], 0) == 0
    assert egress.add([("a", TurnLoad(0, 1_250_000))], 1) == 10
    assert egress.add([("a", TurnLoad(0, 100)), ("b", TurnLoad(0, 10**9))], 2) == 10
    assert egress.add([("b", TurnLoad(0, 10**9))], 3) == 0
