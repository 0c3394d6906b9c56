"""coturn's shared Secret on a real API server: missing, changed, and by whom."""

import asyncio
import time
from collections.abc import Callable

from tests.support.coturn_pods import (
    OLD,
    TURN,
    Exporter,
    configs_of,
    issued,
    put_secret,
    secrets_of,
    turn_config,
    turn_pods,
)
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, sfu_pool, until

from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster
from kcs_operator.errors import Conflict
from kcs_operator.handlers.turn_secrets import SecretStore
from kcs_operator.settings import PodsGroup


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


async def test_with_a_secret_that_cannot_be_read_what_is_gone_leaves_the_list_all_the_same(
    namespace: Namespace,
    api: Cluster,
    operator: OperatorProcess,
    pods: Pods,
    placement: Placement,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_secret(namespace, OLD)
    namespace.apply(sfu_pool(replicas={"min": 2, "max": 2}, turn={**TURN, "replicas": {"min": 2}}))

    async def two() -> bool:
        return len(await issued(placement)) == 2

    await until(two, "two coturn pods are issued")
    put_secret(namespace, "short")

    async def said() -> bool:
        found = (await api.get("sfupools", "pool")).get("status", {})
        texts = [each["message"] for each in found.get("conditions", ())]
        return any("must be a JSON list" in text for text in texts)

    await until(said, "the condition says what is wrong with it", 60)
    assert len(await turn_pods(api)) == 2, "what runs goes on"
    (gone, _) = await turn_pods(api)
    namespace.kubectl("delete", "pod", gone["metadata"]["name"], "--wait=false")

    async def one() -> bool:
        return len(await issued(placement)) == 1

    await until(one, "browsers are not sent to the one that is gone")
    put_secret(namespace, OLD)
    await until(two, "another one is made", 60)


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
