"""`kubectl drain` of a Kubernetes node: the real API server asks the real webhook."""

import base64
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from tests.support.kubernetes import KubectlError, Namespace
from tests.support.operator import OperatorProcess, Pods, seat, sfu_pool, until

from kcs_contracts.labels import DRAIN_REQUESTED
from kcs_contracts.placement import Placement
from kcs_dev.processes import free_port
from kcs_operator.cluster import Cluster

SECRET_PATH = secrets.token_hex(16)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with tls.crt and tls.key of 127.0.0.1, signed by itself, and the secret path."""
    (tmp_path / "path").write_text(f"{SECRET_PATH}\n")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=webhook",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return tmp_path


@pytest.fixture
async def port(certificate: Path, new_operator: Callable[..., OperatorProcess]) -> int:
    """Where the webhook of an operator that leads listens."""
    port = free_port()
    operator = new_operator(
        KCS_HTTP__WEBHOOK_PORT=str(port), KCS_HTTP__WEBHOOK_CERTIFICATE=str(certificate)
    )
    await operator.leads()
    return port


def hook(namespace: Namespace, certificate: Path, port: int) -> dict[str, object]:
    ca = base64.b64encode((certificate / "tls.crt").read_bytes()).decode()
    name = f"evictions-{namespace.name}"
    url = f"https://127.0.0.1:{port}/evictions/{SECRET_PATH}"
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "evictions.meetings.kcs.dev",
                "clientConfig": {"url": url, "caBundle": ca},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods/eviction"],
                    }
                ],
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": namespace.name}
                },
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
            }
        ],
    }


def evict(namespace: Namespace, pod: str) -> str:
    body = (
        '{"apiVersion":"policy/v1","kind":"Eviction","metadata":'
        f'{{"name":"{pod}","namespace":"{namespace.name}"}}}}'
    )
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/eviction"
    return namespace.kubectl("create", "--raw", path, "-f", "-", stdin=body)


async def test_an_eviction_drains_the_pod_and_waits_until_it_is_empty(
    namespace: Namespace,
    api: Cluster,
    pods: Pods,
    placement: Placement,
    certificate: Path,
    port: int,
) -> None:
    namespace.kubernetes.apply(hook(namespace, certificate, port))
    wait = {"deadline": "10m", "migrateAfter": "1s"}
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 3}, drain=wait))

    async def there() -> bool:
        return len(pods.of("pool")) == 1

    await until(there, "the pod is there")
    (node,) = pods.of("pool")
    meeting = await seat(placement, node, 3)
    deadline = time.monotonic() + 20
    while True:  # the API server takes a moment to know of the webhook
        with pytest.raises(KubectlError) as refused:
            evict(namespace, node.name)
        if "the pod drains" in str(refused.value):
            break
        assert time.monotonic() < deadline, str(refused.value)
        assert "disruption budget" in str(refused.value), "without the webhook the budget holds"
    body = await api.get("pods", node.name)
    assert body["metadata"]["annotations"][DRAIN_REQUESTED] == "Evicted"

    async def moved() -> bool:
        home = await placement.assignment(meeting)
        return home is not None and home.node != node.name

    await until(moved, "another pod was made and the meeting is there")
    node.hosted.clear()

    async def gone() -> bool:
        return node.name not in {each.name for each in pods.of("pool")}

    await until(gone, "the operator has deleted the empty pod")


async def test_whoever_does_not_know_the_path_marks_nothing(
    namespace: Namespace,
    api: Cluster,
    pods: Pods,
    port: int,
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}))

    async def there() -> bool:
        return len(pods.of("pool")) == 1

    await until(there, "the pod is there")
    (node,) = pods.of("pool")
    for path in ("evictions", "evictions/", "evictions/guessed", f"evictions/{SECRET_PATH}0"):
        assert await ask(port, path, namespace, node.name) == 404, path
    assert DRAIN_REQUESTED not in (await marks(api, node.name))
    assert await ask(port, f"evictions/{SECRET_PATH}", namespace, node.name) == 200
    assert DRAIN_REQUESTED in (await marks(api, node.name))


async def ask(port: int, path: str, namespace: Namespace, pod: str) -> int:
    """Asks for an eviction as the API server does."""
    review = {"request": {"uid": "u", "name": pod, "namespace": namespace.name}}
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"https://127.0.0.1:{port}/{path}", json=review, ssl=trusting) as answer,
    ):
        return answer.status


async def marks(api: Cluster, pod: str) -> dict[str, str]:
    found: dict[str, str] = (await api.get("pods", pod))["metadata"]["annotations"]
    return found


async def test_other_pods_are_evicted_as_ever(
    namespace: Namespace,
    certificate: Path,
    port: int,
) -> None:
    namespace.kubernetes.apply(hook(namespace, certificate, port))
    container = {"name": "c", "image": "localhost/pause:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}}
    namespace.apply({**pod, "spec": {"containers": [container]}})
    evict(namespace, "other")
    with pytest.raises(KubectlError):
        namespace.get("pod", "other")
