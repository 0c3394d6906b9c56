"""The chart on a real API server: it takes every object, an upgrade keeps what was made once."""

import base64
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.chart import CHART, URL, pods, render
from tests.support.kubernetes import KubectlError, Kubernetes
from tests.support.resources import install_crds, pool

from kcs_contracts.labels import FINALIZER

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Release:
    """`kcs` in a namespace of its own; its pools live in `pools`."""

    kubernetes: Kubernetes
    namespace: str

    @property
    def pools(self) -> str:
        return f"{self.namespace}-media"

    def helm(self, verb: str, *more: str) -> str:
        values = (f"publicURL={URL}", f"pools.namespace={self.pools}", "pools.createNamespace=true")
        options = [option for each in values for option in ("--set", each)]
        where = ("--namespace", self.namespace)
        return self.kubernetes.helm(verb, "kcs", str(CHART), *where, *options, *more, seconds=180)

    def secret(self, name: str, namespace: str = "") -> dict[str, str]:
        found = self.kubernetes.get("secret", name, "--namespace", namespace or self.namespace)
        return {key: base64.b64decode(text).decode() for key, text in found["data"].items()}

    def may(self, verb: str, resource: str, namespace: str = "") -> bool:
        """Whether the API server lets the operator do that; `pods:exec` is a subresource."""
        resource, _, part = resource.partition(":")
        who = f"--as=system:serviceaccount:{self.namespace}:kcs-operator"
        where = ("--namespace", namespace or self.pools, f"--subresource={part}")
        try:
            answer = self.kubernetes.kubectl("auth", "can-i", verb, resource, *where, who)
        except KubectlError:  # it exits with 1 when the answer is no
            return False
        return answer.strip() == "yes"


@pytest.fixture(scope="module")
def crds(api_server: Kubernetes) -> Kubernetes:
    install_crds(api_server)
    return api_server


@pytest.fixture(scope="module")
def release(crds: Kubernetes) -> Iterator[Release]:
    """Installed once; nothing runs on this API server, so nothing gets ready."""
    installed = Release(crds, f"kcs-{next(_numbers)}")
    installed.helm("install", "--create-namespace")
    yield installed
    crds.helm("uninstall", "kcs", "--namespace", installed.namespace, "--no-hooks")


def test_the_operator_may_do_what_it_does_and_nothing_more(release: Release) -> None:
    for verb, resource in (
        ("list", "sfupools.meetings.kcs.dev"),
        ("watch", "meetings.meetings.kcs.dev"),
        ("patch", "sfupools.meetings.kcs.dev:status"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "secrets"),
        ("get", "secrets/kcs-turn"),
        ("update", "leases.coordination.k8s.io/kcs-operator"),
        ("create", "events.events.k8s.io"),
        ("create", "poddisruptionbudgets.policy"),
    ):
        assert release.may(verb, resource), (verb, resource)
    for verb, resource in (
        ("get", "secrets"),
        ("list", "secrets"),
        ("get", "secrets/kcs-redis"),
        ("delete", "sfupools.meetings.kcs.dev"),
        ("delete", "meetings.meetings.kcs.dev"),
        ("update", "leases.coordination.k8s.io/another"),
        ("create", "deployments.apps"),
        ("create", "pods:exec"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
        ("list", "nodes"),
        ("*", "*"),
    ):
        assert not release.may(verb, resource), (verb, resource)
    assert not release.may("list", "pods", release.namespace)
    assert release.may("patch", "secrets/kcs-turn", release.namespace)
    assert not release.may("get", "secrets/kcs-turn", release.namespace)
    assert not release.may("patch", "secrets/kcs-signing", release.namespace)
    assert not release.may("list", "pods", "kube-system")


def test_its_default_pool_and_its_secrets_are_there(release: Release) -> None:
    found = release.kubernetes.get("sfupool", "default", "--namespace", release.pools)
    assert found["spec"]["exposure"]["mode"] == "HostPort"
    assert found["spec"]["turn"]["replicas"] == {"min": 1, "max": 2}
    assert "PRIVATE KEY" in release.secret("kcs-signing")["key.pem"]
    assert len(release.secret("kcs-internal")["key"]) == 32
    turn = release.secret("kcs-turn")["secrets"]
    assert len(json.loads(turn)[0]) == 32
    assert release.secret("kcs-turn", release.pools)["secrets"] == turn
    url = release.secret("kcs-redis")["url"]
    assert url.endswith(f"@kcs-redis.{release.namespace}.svc:6379/0")
    assert release.secret("kcs-redis", release.pools) == {"url": url}


def test_signaling_takes_the_key_that_the_chart_makes(release: Release, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text(release.secret("kcs-signing")["key.pem"])
    out = tmp_path / "tokens.json"
    argv = ["-m", "kcs_signaling.testers", "--key", str(key), "--out", str(out)]
    subprocess.run([sys.executable, *argv], check=True)
    assert json.loads(out.read_text()).keys() == {"test-ann", "test-ben"}


def test_an_upgrade_keeps_every_secret(release: Release) -> None:
    names = ("signing", "internal", "turn", "redis", "postgresql", "webhook")
    before = {name: release.secret(f"kcs-{name}") for name in names}
    release.helm("upgrade", "--set", "signaling.region=eu")
    assert {name: release.secret(f"kcs-{name}") for name in names} == before
    hook = release.kubernetes.get(
        "validatingwebhookconfiguration", f"kcs-operator-{release.namespace}"
    )
    config = hook["webhooks"][0]["clientConfig"]
    assert config["service"]["path"] == f"/evictions/{before['webhook']['path']}"
    bundle = config["caBundle"]
    assert base64.b64decode(bundle).decode() == before["webhook"]["ca.crt"]


def test_its_pods_are_let_into_a_restricted_namespace(crds: Kubernetes) -> None:
    name = f"restricted-{next(_numbers)}"
    crds.kubectl("create", "namespace", name)
    crds.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    for account in ("default", "kcs-operator", "kcs-uninstall"):
        crds.kubectl("create", "serviceaccount", account, "--namespace", name)
    let_in = 0
    for number, (_, pod) in enumerate(pods(render())):
        spec = {**pod["spec"]}
        for claim in spec.get("volumes", []):
            assert "hostPath" not in claim
        body = _pod(f"pod-{number}", name, spec)
        crds.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
        let_in += 1
    assert let_in == 6
    root = json.dumps(_pod("root", name, {**spec, "securityContext": {"runAsUser": 0}}))
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        crds.kubectl("create", "--dry-run=server", "-f", "-", stdin=root)


def _pod(name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def test_uninstalling_leaves_the_signing_key_alone(crds: Kubernetes) -> None:
    installed = Release(crds, f"kcs-{next(_numbers)}")
    installed.helm("install", "--create-namespace")
    # the hook before it is a Job, which nothing runs here; what it does has its own test
    crds.helm("uninstall", "kcs", "--namespace", installed.namespace, "--no-hooks")
    kinds = "secrets,services,deployments,statefulsets,roles,rolebindings,networkpolicies,pdb,hpa"
    found = crds.get(kinds, "--namespace", installed.namespace)["items"]
    left = {each["metadata"]["name"] for each in found}
    assert left == {"kcs-signing"}
    hooks = crds.get("validatingwebhookconfigurations")["items"]
    name = f"kcs-operator-{installed.namespace}"
    assert name not in {each["metadata"]["name"] for each in hooks}


def test_the_last_job_takes_pools_away_whose_operator_is_gone(crds: Kubernetes) -> None:
    namespace = crds.new_namespace()
    body = pool(name="stuck")
    namespace.apply({**body, "metadata": {**body["metadata"], "finalizers": [FINALIZER]}})
    namespace.kubectl("delete", "sfupool", "stuck", "--wait=false")
    assert namespace.get("sfupools")["items"], "the finalizer holds it"
    argv = [sys.executable, "-m", "kcs_operator.uninstall", "--namespace", namespace.name]
    env = {**os.environ, "KUBECONFIG": str(crds.kubeconfig)}
    subprocess.run([*argv, "--delete"], env=env, check=True, timeout=60)
    assert not namespace.get("sfupools")["items"]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda each: each.stem)
def test_the_api_server_takes_the_examples(crds: Kubernetes, file: Path) -> None:
    namespace = crds.new_namespace()
    wanted = yaml.safe_load(file.read_text())
    namespace.apply(wanted)
    kind, name = wanted["kind"].lower(), wanted["metadata"]["name"]
    kept = namespace.get(kind, name)["spec"]
    assert _within(wanted["spec"], kept)


def _within(wanted: Any, kept: Any) -> bool:
    """Whether nothing of what was wanted was dropped; defaults may have come to it."""
    if isinstance(wanted, dict):
        return all(key in kept and _within(value, kept[key]) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(wanted) == len(kept) and all(map(_within, wanted, kept))
    return bool(wanted == kept)
