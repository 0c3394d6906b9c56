"""The chart's Role on a real API server: the operator lives with it, and has nothing beyond it."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis
from tests.kcs_operator import test_evictions
from tests.support.accounts import RELEASE, Account, grant, template
from tests.support.coturn_pods import Exporter
from tests.support.declared import KEY, declared
from tests.support.kubernetes import Kubernetes, Namespace
from tests.support.operator import OperatorProcess, Pods, empty, seat, sfu_pool, until
from tests.support.signaling import Signaling

from kcs_contracts.ids import Epoch, MeetingId
from kcs_contracts.labels import FINALIZER, selector
from kcs_contracts.placement import Placement
from kcs_dev.processes import free_port
from kcs_operator.cluster import Cluster
from kcs_operator.errors import NotFound, OperatorError

NAME = f"{RELEASE}-operator"
TURN_SECRET = f"{RELEASE}-turn"
OURS = "meetings.kcs.dev"
certificate = test_evictions.certificate

MAY = {
    (OURS, "sfupools", ""): "list watch patch",
    (OURS, "meetings", ""): "get list watch",
    (OURS, "sfupools/status", ""): "patch",
    (OURS, "meetings/status", ""): "patch",
    ("", "pods", ""): "get list watch create patch delete",
    ("", "services", ""): "list create delete",
    ("", "secrets", ""): "create patch delete",
    ("", "secrets", TURN_SECRET): "get",
    ("policy", "poddisruptionbudgets", ""): "get create",
    ("events.k8s.io", "events", ""): "create",
    ("coordination.k8s.io", "leases", ""): "create",
    ("coordination.k8s.io", "leases", NAME): "get update",
    ("rbac.authorization.k8s.io", "roles", NAME): "get",
}
"""All that the operator may do, in the pools' namespace: the chart's Role says the same."""
READS = {"get", "list", "watch"}


def expanded(table: dict[tuple[str, str, str], str]) -> set[tuple[str, str, str, str]]:
    return {(*what, verb) for what, verbs in table.items() for verb in verbs.split()}


@pytest.fixture
def account(namespace: Namespace) -> Account:
    """The operator's, in a namespace that has the release and its pools."""
    grant(namespace, template(namespace.name, "operator"))
    return Account(namespace, NAME)


@pytest.fixture
def chart_env(namespace: Namespace) -> dict[str, str]:
    """What the chart tells the operator, as far as it is told in clear."""
    (deployment,) = [
        each for each in template(namespace.name, "operator") if each["kind"] == "Deployment"
    ]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


@pytest.fixture
def as_account(
    account: Account, chart_env: dict[str, str], tmp_path: Path, redis_url: str, redis: Redis
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators that are this account, as the chart does; ends them."""
    started: list[OperatorProcess] = []
    kubeconfig = account.kubeconfig(tmp_path)

    def start(**env: str) -> OperatorProcess:
        told = {**chart_env, "KCS_SIGNALING__URL": "http://127.0.0.1:1", **env}
        told.pop("KCS_HTTP__WEBHOOK_CERTIFICATE", None)
        found = OperatorProcess(
            tmp_path, kubeconfig, account.namespace.name, redis_url, {**told, **env}
        )
        started.append(found)
        return found.start()

    yield start
    for each in started:
        each.close()


@pytest.fixture
async def balancer(api: Cluster) -> AsyncIterator[None]:
    """What gives Services of the namespace external addresses, as a cloud does."""

    async def run() -> None:
        given: dict[str, str] = {}
        while True:
            with suppress(OperatorError):
                for each in await api.list("services", selector()):
                    name = each["metadata"]["name"]
                    ip = given.setdefault(name, f"203.0.113.{len(given) + 1}")
                    if not each["status"].get("loadBalancer"):
                        status = {"loadBalancer": {"ingress": [{"ip": ip}]}}
                        await api.patch_status("services", name, status)
            await asyncio.sleep(0.3)

    task = asyncio.create_task(run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def signaling(tmp_path: Path, redis_url: str, redis: Redis) -> AsyncIterator[Signaling]:
    home = tmp_path / "signaling"
    home.mkdir()
    process = await Signaling(home, redis_url, KCS_INTERNAL__KEY=KEY).start()
    yield process
    await process.stop()


def test_it_may_do_what_the_table_says_in_the_pools_namespace_and_nothing_anywhere_else(
    account: Account, namespace: Namespace, kinds: Kubernetes
) -> None:
    nobody = Account(namespace, "default")
    everybody = nobody.rules(namespace.name)
    found = account.rules(namespace.name)
    assert found - everybody == expanded(MAY)
    assert not [rule for rule in found - everybody if "*" in "".join(rule)]
    elsewhere = kinds.new_namespace()
    assert account.rules(elsewhere.name) == nobody.rules(elsewhere.name)
    assert all(verb == "create" for group, *_, verb in everybody if group != "-"), (
        "everybody asks what they may, and no more"
    )


def test_what_it_may_not_do_the_api_server_says_too(account: Account) -> None:
    def may(verb: str, resource: str, name: str = "", part: str = "", group: str = "") -> bool:
        found = {"verb": verb, "resource": resource, "name": name, "group": group}
        return account.may(**found, subresource=part, namespace=account.namespace.name)

    assert may("get", "secrets", TURN_SECRET)
    assert may("update", "leases", NAME, group="coordination.k8s.io")
    assert not may("get", "secrets", f"{RELEASE}-redis")
    assert not may("get", "secrets")
    assert not may("list", "secrets", TURN_SECRET)
    assert not may("watch", "secrets", TURN_SECRET)
    assert not may("update", "leases", "other", group="coordination.k8s.io")
    assert not may("create", "pods", part="exec")
    assert not may("deletecollection", "pods")
    assert not may("create", "serviceaccounts", part="token")
    assert not account.may(verb="list", resource="pods", namespace="")


def test_pools_in_a_namespace_of_their_own_give_it_one_right_at_the_release(
    namespace: Namespace, kinds: Kubernetes
) -> None:
    pools = kinds.new_namespace()
    objects = template(namespace.name, "operator", "--set", f"pools.namespace={pools.name}")
    grant(namespace, objects)
    account, nobody = Account(namespace, NAME), Account(namespace, "default")
    assert account.rules(pools.name) - nobody.rules(pools.name) == expanded(MAY)
    there = account.rules(namespace.name) - nobody.rules(namespace.name)
    assert there == {("", "secrets", TURN_SECRET, "patch")}


def test_no_object_of_the_chart_gives_a_right_in_all_namespaces(namespace: Namespace) -> None:
    for name in ("operator", "uninstall"):
        kinds = Counter(each["kind"] for each in template(namespace.name, name))
        assert kinds["Role"] >= 1
        assert not kinds["ClusterRole"] + kinds["ClusterRoleBinding"]


async def test_the_life_of_a_pool_and_a_meeting_needs_all_that_it_may_write_and_no_more(
    account: Account,
    namespace: Namespace,
    api: Cluster,
    as_account: Callable[..., OperatorProcess],
    pods: Pods,
    placement: Placement,
    balancer: None,
    signaling: Signaling,
    certificate: Path,
    exporters: list[Exporter],
) -> None:
    pods.addresses = [each.host for each in exporters]
    put_turn_secret(namespace)
    port = free_port()
    operator = as_account(
        KCS_SIGNALING__URL=signaling.url,
        KCS_SIGNALING__KEY=KEY,
        KCS_PODS__TURN_SECRET_DAYS="0.0003",  # 26 s
        KCS_HTTP__WEBHOOK_PORT=str(port),
        KCS_HTTP__WEBHOOK_CERTIFICATE=str(certificate),
    )
    await operator.leads()
    namespace.apply(life_pool(), declared())
    meeting = MeetingId((await ready_meeting(api))["meetingId"])
    (first,) = pods.of("pool")
    first.hosted[meeting] = Epoch(int((await placement.assign(meeting, warmup_ms=0)).epoch))

    people = await seat(placement, first, 40)
    await until(lambda: serving(pods, 2), "load makes another pod")
    assert "the pod drains" in await evict(port, namespace, first.name)

    async def moved() -> bool:
        home = await placement.assignment(people)
        return home is not None and home.node != first.name

    await until(moved, "the meeting moves off the pod that drains")
    first.hosted.clear()
    first.consumers = 0

    async def deleted() -> bool:
        return first.name not in {each.name for each in pods.of("pool")}

    await until(deleted, "the empty pod is deleted")
    await until(lambda: replaced_coturn(account), "coturn's secret changed", 150)

    async def held() -> bool:
        return FINALIZER in (await api.get("sfupools", "pool"))["metadata"].get("finalizers", [])

    (node, *_) = pods.of("pool")
    last = await seat(placement, node, 2)
    await until(held, "the pool waits for its calls")
    namespace.kubectl("delete", "meeting", "lab")
    namespace.kubectl("delete", "sfup", "pool", "--wait=false")
    await empty(placement, node, last, 2)
    await empty(placement, node, people, 40)
    await until(lambda: gone(api), "the pool is gone")
    assert operator.stop() == 0

    written = await writes_of(account)
    assert not [each for each in written if each[2] in (401, 403)]
    assert "forbidden" not in operator.log.read_text().lower()
    used = {(resource, verb) for resource, verb, status in written if status < 300}
    may = {(what[1], verb) for what in expanded(MAY) if (verb := what[3]) not in READS}
    assert used == may, "a right that its life does not need is one too many"


async def test_a_right_that_is_taken_away_is_missed_and_said(
    account: Account, namespace: Namespace, api: Cluster, as_account: Callable[..., OperatorProcess]
) -> None:
    role = namespace.get("role", NAME)
    for rule in role["rules"]:
        if "pods" in rule["resources"]:
            rule["verbs"].remove("create")
    role["metadata"].pop("managedFields", None)
    namespace.kubectl("replace", "-f", "-", stdin=json.dumps(role))
    operator = as_account()
    await operator.leads()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}))

    async def said() -> bool:
        status = (await api.get("sfupools", "pool")).get("status", {})
        texts = [each["message"] for each in status.get("conditions", ())]
        return any("pods is forbidden" in text for text in texts)

    await until(said, "the pool's condition names what is missing")
    assert ("pods", "create", 403) in await writes_of(account)
    assert "forbidden" in operator.log.read_text().lower()


def life_pool() -> dict[str, Any]:
    return sfu_pool(
        replicas={"min": 1, "max": 3},
        exposure={"mode": "LoadBalancer", "announcedAddressFrom": "LoadBalancer"},
        autoscaling={"scaleDownStabilization": "2s"},
        drain={"deadline": "60s", "migrateAfter": "1s"},
        turn={
            "replicas": {"min": 1, "max": 2},
            "portRange": {"first": 50000, "last": 50099},
        },
    )


def put_turn_secret(namespace: Namespace) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": TURN_SECRET}}
    namespace.apply({**secret, "stringData": {"secrets": json.dumps(["a-secret-of-20-chars"])}})


async def ready_meeting(api: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def ready() -> bool:
        nonlocal found
        found = (await api.get("meetings", "lab")).get("status", {})
        return found.get("phase") == "Ready" and "node" in found

    await until(ready, "the meeting is ready and has its pod")
    return found


async def serving(pods: Pods, count: int) -> bool:
    return len(pods.of("pool")) == count


async def replaced_coturn(account: Account) -> bool:
    """The Secret was renewed, and a configuration that no pod has any more is deleted."""
    done = {(resource, verb) for resource, verb, status in await writes_of(account)}
    return ("secrets", "delete") in done


async def evict(port: int, namespace: Namespace, pod: str) -> str:
    """What the webhook says when the API server asks it about an eviction."""
    request = {"uid": "u", "name": pod, "namespace": namespace.name}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    url = f"https://127.0.0.1:{port}/evictions/{test_evictions.SECRET_PATH}"
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=review, ssl=trusting) as answer,
    ):
        return str((await answer.json())["response"]["status"]["message"])


async def gone(api: Cluster) -> bool:
    try:
        await api.get("sfupools", "pool")
    except NotFound:
        return True
    return False


async def writes_of(account: Account) -> list[tuple[str, str, int]]:
    await asyncio.sleep(0.3)  # an entry comes after its answer
    return [
        (each.resource, each.verb, each.status)
        for each in account.namespace.writes()
        if each.user == account.user
    ]
