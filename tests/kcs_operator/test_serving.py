"""What every replica of the operator answers, and how it says that it cannot start."""

import re
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.kcs_operator import test_evictions
from tests.support.declared import declared
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, seat, sfu_pool, until

from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
certificate = test_evictions.certificate
LABELS = {
    "kcs_operator_reconciles": {"kind", "result"},
    "kcs_operator_reconcile_seconds": {"kind", "le"},
    "kcs_operator_api_writes": {"kind", "verb"},
    "kcs_operator_desired_pods": {"pool", "role"},
    "kcs_operator_pods": {"pool", "role", "state"},
    "kcs_operator_capacity_participants": {"pool", "state"},
    "kcs_operator_scale_events": {"pool", "role", "direction", "reason"},
    "kcs_operator_pod_start_seconds": {"pool", "role", "le"},
    "kcs_operator_leader": set(),
    "kcs_operator_meetings": {"phase"},
    "kcs_operator_moved_meetings": {"pool", "how"},
    "kcs_operator_evictions": {"answer"},
}


async def get(operator: OperatorProcess, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{operator.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def metrics(operator: OperatorProcess) -> dict[str, Metric]:
    """The operator's own families, by name; a counter's without its `_total`."""
    status, text = await get(operator, "/metrics")
    assert status == 200
    found = {each.name: each for each in text_string_to_metric_families(text)}
    return {
        name: family
        for name, family in found.items()
        if name.startswith("kcs_operator_") and not name.endswith("_created")
    }


async def value(operator: OperatorProcess, name: str, **labels: str) -> float | None:
    for sample in (await metrics(operator))[name].samples:
        if labels == sample.labels:
            return sample.value
    return None


async def started(operator: OperatorProcess) -> None:
    async def is_so() -> bool:
        return any(each["event"] == "operator_started" for each in operator.lines())

    await until(is_so, "it serves")


def on_the_page() -> set[str]:
    _, rest = PAGE.read_text().split("\n## Operator\n")
    section, *_ = rest.split("\n## ")
    names = re.findall(r"^\| `(kcs_operator_\w+)`", section, re.MULTILINE)
    return {name.removesuffix("_total") for name in names}


async def test_health_and_the_metrics_of_the_page_and_no_others(operator: OperatorProcess) -> None:
    for path in ("/healthz", "/readyz"):
        assert await get(operator, path) == (200, "ok\n")
    assert (await get(operator, "/"))[0] == 404
    assert set(await metrics(operator)) == on_the_page() == set(LABELS)
    assert await value(operator, "kcs_operator_leader") == 1


async def test_pools_are_labels_and_no_meeting_or_person_is(
    namespace: Namespace, api: Cluster, operator: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(sfu_pool("labpool", replicas={"min": 1, "max": 3}))

    async def runs() -> bool:
        return len(pods.of("labpool")) == 1

    await until(runs, "the pod runs")
    (node,) = pods.of("labpool")
    people = await seat(placement, node, 40)
    namespace.apply(declared("a-named-meeting", host="ada-of-london"))

    async def counted() -> bool:
        ready = {"pool": "labpool", "role": "sfu", "state": "ready"}
        declared_ones = (await metrics(operator))["kcs_operator_meetings"].samples
        return (
            await value(operator, "kcs_operator_pods", **ready) == 2
            and sum(sample.value for sample in declared_ones) == 1
        )

    await until(counted, "two pods and a meeting are counted")
    found = await metrics(operator)
    ups = [each for each in found["kcs_operator_scale_events"].samples if each.value]
    assert {each.labels["direction"] for each in ups} == {"up"}
    assert found["kcs_operator_pod_start_seconds"].samples, "a pod's start was measured"
    for name, family in found.items():
        for sample in family.samples:
            assert set(sample.labels) <= LABELS[name], sample
    _, text = await get(operator, "/metrics")
    uid = (await api.get("meetings", "a-named-meeting"))["metadata"]["uid"]
    for secret in ("a-named-meeting", "ada-of-london", "Lab meeting", uid, people, node.name):
        assert secret not in text
    assert 'pool="labpool"' in text


async def test_what_was_counted_of_a_pool_goes_with_it(
    namespace: Namespace, operator: OperatorProcess, pods: Pods
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}))
    ready = {"pool": "pool", "role": "sfu", "state": "ready"}

    async def one() -> bool:
        return await value(operator, "kcs_operator_pods", **ready) == 1

    await until(one, "the pod is counted")
    namespace.kubectl("delete", "sfup", "pool")

    async def none() -> bool:
        return await value(operator, "kcs_operator_pods", **ready) is None

    await until(none, "the pool's gauges are gone")
    assert (
        await value(operator, "kcs_operator_capacity_participants", pool="pool", state="total")
        is None
    )


async def test_the_standby_serves_too_and_the_metric_says_who_leads(
    operator: OperatorProcess, new_operator: Callable[..., OperatorProcess]
) -> None:
    standby = new_operator()
    await started(standby)
    for path in ("/healthz", "/readyz"):
        assert await get(standby, path) == (200, "ok\n")
    assert await value(operator, "kcs_operator_leader") == 1
    assert await value(standby, "kcs_operator_leader") == 0
    assert operator.stop() == 0
    await standby.leads()
    assert await value(standby, "kcs_operator_leader") == 1


def ends(operator: OperatorProcess) -> tuple[int, dict[str, object]]:
    """The exit status, and the last line of the log."""
    status = operator.wait()
    text = operator.log.read_text()
    assert len(operator.lines()) == len(text.splitlines()), f"not all are events: {text}"
    assert "exception" not in text.lower()
    return status, operator.lines()[-1]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("KCS_OPERATOR__LEASE_SECONDS", "1", "greater than or equal to 3"),
        ("KCS_OPERATOR__TICK_SECONDS", "0", "greater than 0"),
        ("KCS_OPERATOR__NAMSPACE", "talks", "Extra inputs are not permitted"),
        ("KCS_IMAGES__PULL_POLICY", "Sometimes", "Always|IfNotPresent|Never"),
        ("KCS_HTTP__PORT", "65536", "less than or equal to 65535"),
        ("KCS_PODS__STOP_SECONDS", "soon", "valid integer"),
        ("KCS_TRACING__ENDPOINT", "collector:4318", "is written as http://collector:4318"),
    ],
)
def test_a_bad_setting_ends_it_with_two_and_a_sentence(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    operator = OperatorProcess(tmp_path, tmp_path / "none", "talks", "redis://x", {name: text})
    status, line = ends(operator.start())
    assert status == 2
    assert (line["event"], line["level"]) == ("bad_setting", "error")
    metadata = line["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["setting"] == name
    assert says in metadata["error"]


def test_a_bad_url_of_redis_is_a_bad_setting_and_its_password_is_not_said(tmp_path: Path) -> None:
    url = "rediss-of-mine://:a-password@example.org"
    operator = OperatorProcess(tmp_path, tmp_path / "none", "talks", url)
    status, line = ends(operator.start())
    assert (status, line["event"]) == (2, "bad_setting")
    assert "KCS_REDIS__URL" in str(line["metadata"])
    assert "a-password" not in str(line)


def test_without_a_cluster_to_go_to_it_says_so(tmp_path: Path) -> None:
    missing = tmp_path / "none.kubeconfig"
    operator = OperatorProcess(tmp_path, missing, "talks", "redis://127.0.0.1:1/0")
    status, line = ends(operator.start())
    assert (status, line["event"]) == (1, "operator_not_started")
    assert "KUBECONFIG names a cluster" in str(line["metadata"])


def test_a_webhook_without_its_certificate_ends_it_and_says_so(
    new_operator: Callable[..., OperatorProcess], tmp_path: Path
) -> None:
    status, line = ends(new_operator(KCS_HTTP__WEBHOOK_CERTIFICATE=str(tmp_path)))
    assert (status, line["event"]) == (1, "operator_not_started")
    assert f"tls.crt and tls.key of the webhook in {tmp_path}" in str(line["metadata"])


def test_a_webhook_without_its_secret_path_ends_it_and_says_so(
    new_operator: Callable[..., OperatorProcess], certificate: Path
) -> None:
    (certificate / "path").write_text("short")
    status, line = ends(new_operator(KCS_HTTP__WEBHOOK_CERTIFICATE=str(certificate)))
    assert (status, line["event"]) == (1, "operator_not_started")
    assert "secret path has 16 to 63 of a-z and 0-9" in str(line["metadata"])
