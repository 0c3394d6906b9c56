"""Bad days of the Kubernetes API and of Redis: the operator goes on, and takes nothing for lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis
from tests.kcs_operator.conftest import CRDS
from tests.support.api_proxy import ApiProxy
from tests.support.kubernetes import Kubernetes, Namespace
from tests.support.operator import (
    OperatorProcess,
    Pods,
    connect,
    person,
    seat,
    sfu_pool,
    until,
)
from tests.support.own_redis import OwnRedis

from kcs_contracts.labels import DRAIN_REQUESTED
from kcs_contracts.placement import Placement
from kcs_contracts.placement import connect as connect_redis
from kcs_operator.cluster import Cluster


@pytest.fixture
async def proxy(namespace: Namespace, tmp_path: Path) -> AsyncIterator[ApiProxy]:
    async with ApiProxy(namespace.kubeconfig, tmp_path) as found:
        yield found


@pytest.fixture
def behind(
    tmp_path: Path, namespace: Namespace, redis_url: str, redis: Redis, proxy: ApiProxy
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators that see the API through the proxy."""
    started: list[OperatorProcess] = []

    def start(**env: str) -> OperatorProcess:
        found = OperatorProcess(tmp_path, proxy.kubeconfig, namespace.name, redis_url, env)
        started.append(found)
        return found.start()

    yield start
    for each in started:
        each.close()


async def count(pods: Pods, number: int, seconds: float = 60) -> None:
    async def so_many() -> bool:
        return len(pods.of("pool")) == number

    await until(so_many, f"{number} pods", seconds)


async def test_cut_watches_are_begun_again_and_nothing_is_missed(
    namespace: Namespace, pods: Pods, proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    await behind().leads()
    for number in (1, 2, 3):
        await proxy.cut()
        namespace.apply(sfu_pool(replicas={"min": number, "max": 5}))
        await count(pods, number)


async def test_a_watch_that_is_too_old_is_begun_with_a_new_list(
    namespace: Namespace, pods: Pods, proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    await behind().leads()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 5}))
    await count(pods, 1)
    left = 6

    def too_old(_: object) -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    proxy.gone = too_old
    await proxy.cut()
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 5}))
    await count(pods, 2)
    assert left < 0


async def test_what_was_deleted_while_no_watch_ran_is_missed_soon(
    namespace: Namespace, pods: Pods, proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    operator = behind(KCS_OPERATOR__LEASE_SECONDS="60")  # a busy machine is no matter here
    await operator.leads()
    namespace.apply(*(sfu_pool(name, replicas={"min": 1, "max": 5}) for name in ("pool", "other")))
    await until(lambda: has_metrics_of(operator, "other"), "both pools are looked after")
    proxy.gone = lambda _: True  # each watch begins with a new list
    await proxy.cut()
    namespace.kubectl("delete", "sfup", "other", "--wait=true")

    async def forgotten() -> bool:
        return not await has_metrics_of(operator, "other")

    await until(forgotten, "it is missed", 40)
    assert await has_metrics_of(operator, "pool")


async def has_metrics_of(operator: OperatorProcess, pool: str) -> bool:
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{operator.port}/metrics") as answer,
    ):
        return f'kcs_operator_desired_pods{{pool="{pool}"' in await answer.text()


async def test_watches_that_failed_take_nothing_with_them_and_signals_still_end_it(
    namespace: Namespace, pods: Pods, proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    operator = behind(KCS_OPERATOR__LEASE_SECONDS="60")  # a busy machine is no matter here
    await operator.leads()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 5}))
    await count(pods, 1)

    async def failed() -> bool:
        return any(each["event"] == "watch_failed" for each in operator.lines())

    proxy.code, proxy.gone = 500, lambda _: True  # which kopf does not bear
    await proxy.cut()
    await until(failed, "kopf failed")
    proxy.gone = lambda _: False
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 5}))
    await count(pods, 2)
    before = len(operator.lines())
    proxy.gone = lambda _: True
    await proxy.cut()

    async def failed_again() -> bool:
        return any(each["event"] == "watch_failed" for each in operator.lines()[before:])

    await until(failed_again, "kopf failed again")
    began = time.monotonic()
    assert await asyncio.to_thread(operator.stop) == 0
    assert time.monotonic() - began < 15


async def test_too_many_requests_are_asked_again_later(
    namespace: Namespace, pods: Pods, proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    operator = behind()
    await operator.leads()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 5}))
    await count(pods, 1)
    proxy.busy = lambda request: "lease" not in request.path
    await proxy.cut()
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 5}))
    await asyncio.sleep(4)
    assert len(pods.of("pool")) == 1
    proxy.busy = lambda request: False
    await count(pods, 2)
    assert proxy.refused < 60, "it asks again with pauses, not as fast as it can"


async def test_a_change_of_the_spec_of_a_pool_that_fails_is_taken_up_at_once(
    namespace: Namespace, pods: Pods, proxy: ApiProxy, behind: Callable[..., OperatorProcess]
) -> None:
    await behind(KCS_OPERATOR__LEASE_SECONDS="60").leads()
    proxy.retry_after = "30"  # and so long is the pause
    proxy.busy = lambda request: request.method == "POST" and request.path.endswith("/pods")
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 5}))

    async def refused() -> bool:
        return proxy.refused > 0

    await until(refused, "it fails")
    proxy.busy = lambda request: False
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 5}))
    await count(pods, 2, 25)


async def test_a_stopped_api_server_takes_no_pod_and_the_work_goes_on_after(
    tmp_path: Path, redis_url: str, placement: Placement
) -> None:
    own = Kubernetes(tmp_path / "api-server")
    own.start()
    operator: OperatorProcess | None = None
    try:
        own.kubectl("apply", "--server-side", "-f", str(CRDS))
        own.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
        namespace = own.new_namespace()
        async with (
            await connect(namespace.kubeconfig, namespace.name) as api,
            Pods(api, placement) as pods,
        ):
            env = {"KCS_OPERATOR__LEASE_SECONDS": "60"}
            operator = OperatorProcess(
                tmp_path, namespace.kubeconfig, namespace.name, redis_url, env
            ).start()
            await operator.leads()
            namespace.apply(sfu_pool(replicas={"min": 2, "max": 5}))
            await count(pods, 2)
            before = {node.name for node in pods.of("pool")}
            with own.stopped():
                await asyncio.sleep(10)
            namespace.apply(sfu_pool(replicas={"min": 3, "max": 5}))
            await count(pods, 3, 90)
            assert before < {node.name for node in pods.of("pool")}
    finally:
        if operator is not None:
            operator.close()
        own.stop()


async def test_without_redis_no_pod_is_made_or_deleted_and_the_pool_says_why(
    namespace: Namespace, api: Cluster, tmp_path: Path
) -> None:
    redis = OwnRedis(tmp_path)
    redis.start()
    operator = OperatorProcess(tmp_path, namespace.kubeconfig, namespace.name, redis.url)
    client = connect_redis(redis.url)
    placement = Placement(client)
    try:
        await placement.load()
        async with Pods(api, placement) as pods:
            operator.start()
            await operator.leads()
            namespace.apply(sfu_pool(replicas={"min": 2, "max": 5}))
            await count(pods, 2)
        before = {pod["metadata"]["name"] for pod in await api.list("pods")}
        redis.stop()
        namespace.apply(sfu_pool(replicas={"min": 4, "max": 5}))

        async def said() -> bool:
            found = (await api.get("sfupools", "pool"))["status"]["conditions"]
            return any(each["reason"] == "PlacementAway" for each in found)

        await until(said, "the condition says it")
        assert {pod["metadata"]["name"] for pod in await api.list("pods")} == before
        redis.start()  # empty, as after a loss of all
        await client.connection_pool.disconnect()
        await placement.load()
        async with Pods(api, placement) as pods:
            await count(pods, 4)
        assert before < {pod["metadata"]["name"] for pod in await api.list("pods")}
    finally:
        operator.close()
        await client.aclose()
        redis.stop()


async def test_while_an_emptied_redis_is_filled_again_no_pod_is_drained_or_deleted(
    namespace: Namespace,
    api: Cluster,
    pods: Pods,
    placement: Placement,
    redis: Redis,
    new_operator: Callable[..., OperatorProcess],
) -> None:
    async def is_old() -> None:
        now_s, _ = await redis.time()
        await redis.set("kcs:since", (now_s - 3600) * 1000)

    async def drains() -> set[str]:
        return {each.node for each in await placement.nodes() if each.draining}

    def at_least(number: int) -> dict[str, Any]:
        hurry = {"scaleDownStabilization": "1s", "buffer": 0}
        return sfu_pool(replicas={"min": number, "max": 5}, autoscaling=hurry)

    await is_old()
    await new_operator(KCS_OPERATOR__REDIS_SETTLE_SECONDS="600").leads()
    namespace.apply(at_least(2))
    await count(pods, 2)
    busy = pods.of("pool")[0]
    meeting = await seat(placement, busy, 2)
    namespace.kubectl("annotate", "pod", busy.name, f"{DRAIN_REQUESTED}=maintenance")
    await count(pods, 3)
    before = {node.name for node in pods.of("pool")}
    await redis.flushall()
    namespace.apply(at_least(1))

    async def is_seen() -> bool:
        wanted = (await api.get("sfupools", "pool"))["status"]["desiredReplicas"]
        return bool(wanted == 1) and busy.name in await drains()

    await until(is_seen, "one pod is too many, and who drained does so again")
    await asyncio.sleep(8)  # an empty pod that drains goes after three seconds
    assert {pod["metadata"]["name"] for pod in await api.list("pods")} == before
    assert await drains() == {busy.name}
    for number in range(2):  # their replica puts them back
        await placement.join(meeting, person(number), limit=9, presence_ms=3_600_000)

    async def are_seen() -> bool:
        return bool((await api.get("sfupools", "pool"))["status"]["participants"] == 2)

    await until(are_seen, "they count")
    await is_old()
    await count(pods, 2)
    assert busy.name in {node.name for node in pods.of("pool")}


async def test_no_proxy_that_the_environment_names_stands_between_us_and_the_api(
    namespace: Namespace, pods: Pods, new_operator: Callable[..., OperatorProcess]
) -> None:
    nobody = "http://127.0.0.1:1"
    await new_operator(HTTPS_PROXY=nobody, ALL_PROXY=nobody).leads()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 5}))
    await count(pods, 1)
