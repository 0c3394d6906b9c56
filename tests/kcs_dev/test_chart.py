"""The chart renders what it should: golden files, and what must hold of every pod."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from tests.support.chart import (
    CHART,
    HOOK,
    PROMETHEUS,
    URL,
    containers,
    helm,
    named,
    pods,
    render,
)

from kcs_operator.settings import Settings as OperatorSettings
from kcs_signaling.settings import Settings as SignalingSettings

SNAPSHOTS = Path(__file__).parent / "snapshots"
PRODUCTION: dict[str, object] = {
    "image__registry": "registry.example.org/team",
    "image__pullSecrets": ["pull"],
    "signaling__ingress__enabled": True,
    "signaling__ingress__tlsSecret": "meet-tls",
    "signaling__trustedProxies": ["10.1.0.0/16"],
    "signaling__env": {"KCS_MAIL__HOST": "mail.example.org"},
    "pools__namespace": "kcs-media",
    "pools__createNamespace": True,
    "pools__default__spec": {"exposure": {"mode": "HostNetwork"}},
    "networkPolicies__nodeCIDRs": ["10.2.0.0/16"],
    "redis__builtIn": False,
    "redis__external__existingSecret": "redis-url",
    "postgresql__builtIn": False,
    "postgresql__external__url": "postgresql+asyncpg://kcs:pw@db.example.org:5433/kcs",
    "secrets__signing": "own-signing",
    "secrets__internal": "own-internal",
    "secrets__turn": "own-turn",
    "operator__evictionWebhook__existingSecret": "own-webhook",
    "operator__evictionWebhook__caBundle": "-----BEGIN CERTIFICATE-----\nAA==\n",
    "operator__evictionWebhook__path": "only0in0tests000",
    "operator__tracing__endpoint": "http://collector.observability:4318",
}
MONITORS = [f"monitoring.coreos.com/v1/{kind}" for kind in PROMETHEUS]


def test_it_lints() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "--set", f"publicURL={URL}")


@pytest.mark.parametrize(
    ("name", "values"), [("chart-default", {}), ("chart-production", PRODUCTION)]
)
def test_what_it_renders_is_as_it_was_read(name: str, values: dict[str, object]) -> None:
    """After a change that is meant: KCS_WRITE_SNAPSHOTS=1, and read the difference."""
    file = SNAPSHOTS / f"{name}.yaml"
    text = yaml.safe_dump_all(map(_told, _worth_reading(render(**values))), sort_keys=True)
    if os.environ.get("KCS_WRITE_SNAPSHOTS"):
        file.write_text(text)
    assert text == file.read_text()


def _worth_reading(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Not dashboards, which are generated and tested elsewhere."""
    kept = [each for each in objects if "-dashboard-" not in each["metadata"]["name"]]
    return sorted(kept, key=lambda each: (each["kind"], each["metadata"]["name"]))


def _told(body: dict[str, Any]) -> dict[str, Any]:
    """Without what is random, and without labels that all have."""
    if body["kind"] == "Secret":
        where = "data" if "data" in body else "stringData"
        body = {**body, where: dict.fromkeys(body[where], "...")}
    for hook in body.get("webhooks", []):
        hook["clientConfig"]["caBundle"] = "..."
        hook["clientConfig"]["service"]["path"] = "..."
    meta = {k: v for k, v in body["metadata"].items() if k != "labels"}
    return {**body, "metadata": meta}


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return render()


def test_every_pod_gives_up_what_it_can(objects: list[dict[str, Any]]) -> None:
    seen = 0
    for name, pod in pods(objects):
        spec, seen = pod["spec"], seen + 1
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for each in containers(pod):
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {"cpu", "memory"} <= each["resources"]["requests"].keys(), name
    assert seen == 6


def test_only_the_operator_and_the_last_job_have_a_token(objects: list[dict[str, Any]]) -> None:
    with_token = {n for n, pod in pods(objects) if pod["spec"]["automountServiceAccountToken"]}
    assert with_token == {"kcs-operator", "kcs-uninstall"}


def test_every_pod_has_a_network_policy_for_both_ways(objects: list[dict[str, Any]]) -> None:
    policies = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]
    for policy in policies:
        assert policy["policyTypes"] == ["Ingress", "Egress"]
    for name, pod in pods(objects):
        labels = pod["metadata"]["labels"].items()
        assert [p for p in policies if p["podSelector"]["matchLabels"].items() <= labels], name


@pytest.mark.parametrize(
    ("part", "settings"),
    [("signaling", SignalingSettings), ("operator", OperatorSettings)],
)
def test_every_variable_is_a_setting(
    objects: list[dict[str, Any]], part: str, settings: type[BaseModel]
) -> None:
    deployment = named(objects, "Deployment", f"kcs-{part}")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {each["name"] for each in container["env"]}
    assert told <= set(_names(settings))


def _names(settings: type[BaseModel]) -> Iterator[str]:
    for group, field in settings.model_fields.items():
        kind = field.annotation
        assert isinstance(kind, type), group
        for name in kind.model_fields:
            yield f"KCS_{group}__{name}".upper()


def test_the_ingress_routes_nothing_that_is_for_the_cluster_alone() -> None:
    objects = render(signaling__ingress__enabled=True)
    rules = [each["spec"]["rules"] for each in objects if each["kind"] == "Ingress"]
    paths = [p for (rule,) in rules for p in rule["http"]["paths"]]
    for private in ("/internal/v1/meetings", "/metrics", "/healthz", "/readyz"):
        for path in paths:
            if path["pathType"] == "Exact":
                assert path["path"] != private
            else:
                assert not private.startswith(path["path"])
    assert "/socket.io/" in {path["path"] for path in paths}


def test_a_sockets_replica_is_chosen_by_its_meeting() -> None:
    objects = render(signaling__ingress__enabled=True)
    notes = named(objects, "Ingress", "kcs-signaling-sockets")["metadata"]["annotations"]
    assert notes["nginx.ingress.kubernetes.io/upstream-hash-by"] == "$arg_meeting"


def test_a_route_of_the_gateway_api_takes_the_place_of_an_ingress() -> None:
    objects = render(
        signaling__gateway__enabled=True, signaling__gateway__parentRefs=[{"name": "public"}]
    )
    route = named(objects, "HTTPRoute", "kcs-signaling")
    assert route["spec"]["hostnames"] == ["meet.example.org"]
    assert not [each for each in objects if each["kind"] == "Ingress"]


def test_monitors_and_rules_come_with_prometheus_operator_alone() -> None:
    assert not [each for each in render() if each["kind"] in PROMETHEUS]
    kinds = [each["kind"] for each in render(apis=MONITORS)]
    assert kinds.count("ServiceMonitor") == 2
    assert kinds.count("PodMonitor") == 2
    assert kinds.count("PrometheusRule") == len(list((CHART / "rules").glob("*.yaml")))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", {"runbook": "docs/runbooks"}),
        ("https://git.example.org/docs/", {"runbook_url": "https://git.example.org/docs"}),
    ],
)
def test_alerts_lead_to_their_runbooks_where_these_are_published(
    url: str, said: dict[str, str]
) -> None:
    objects = render(apis=MONITORS, metrics__runbookURL=url)
    groups = named(objects, "PrometheusRule", "kcs-alerts")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"]]
    assert len(alerts) > 20
    for alert in alerts:
        found = {k: v for k, v in alert["annotations"].items() if "runbook" in k}
        assert found == {k: f"{v}/{alert['alert']}.md" for k, v in said.items()}


def test_dashboards_are_labelled_for_grafanas_sidecar(objects: list[dict[str, Any]]) -> None:
    maps = [each for each in objects if each["kind"] == "ConfigMap"]
    assert len(maps) == len(list((CHART / "dashboards").glob("*.json")))
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_pools_of_their_own_namespace_have_what_they_need_there() -> None:
    objects = render(pools__namespace="media", pools__createNamespace=True)
    level = named(objects, "Namespace", "media")["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "privileged"
    there = {
        (each["kind"], each["metadata"]["name"])
        for each in objects
        if each["metadata"].get("namespace") == "media"
    }
    assert {
        ("Role", "kcs-operator"),
        ("RoleBinding", "kcs-operator"),
        ("SFUPool", "default"),
        ("Secret", "kcs-redis"),
        ("Secret", "kcs-turn"),
        ("NetworkPolicy", "kcs-sfu"),
        ("NetworkPolicy", "kcs-turn"),
    } <= there
    copies = [o for o in objects if o["kind"] == "Secret" and o["metadata"]["name"] == "kcs-redis"]
    assert copies[0]["stringData"]["url"] == copies[1]["stringData"]["url"]


def test_pods_without_ports_of_the_host_live_in_a_restricted_namespace() -> None:
    spec = {"exposure": {"mode": "LoadBalancer", "announcedAddressFrom": "LoadBalancer"}}
    objects = render(
        pools__namespace="media", pools__createNamespace=True, pools__default__spec=spec
    )
    level = named(objects, "Namespace", "media")["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_webhook_asks_about_the_pools_namespace_alone(objects: list[dict[str, Any]]) -> None:
    config = named(objects, "ValidatingWebhookConfiguration", "kcs-operator-kcs")
    (hook,) = config["webhooks"]
    assert hook["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kcs"}}
    assert "kcs-redis" not in hook["matchConditions"][0]["expression"]
    assert "startsWith" in hook["matchConditions"][0]["expression"]


def test_the_webhooks_path_is_the_secrets_and_the_operator_has_it() -> None:
    objects = render()
    kept = named(objects, "Secret", "kcs-webhook")["data"]
    path = base64.b64decode(kept["path"]).decode()
    assert len(path) == 32
    assert asked_at(objects) == (f"/evictions/{path}", kept["ca.crt"])
    pod = named(objects, "Deployment", "kcs-operator")["spec"]["template"]["spec"]
    (mounted,) = [each for each in pod["volumes"] if each["name"] == "webhook"]
    assert mounted["secret"]["secretName"] == "kcs-webhook"


def test_where_nothing_can_be_looked_up_the_webhooks_secret_is_told() -> None:
    objects = render(**{k: v for k, v in PRODUCTION.items() if "evictionWebhook" in k})
    assert not [o for o in objects if o["kind"] == "Secret" and "webhook" in o["metadata"]["name"]]
    ca = str(PRODUCTION["operator__evictionWebhook__caBundle"]).encode()
    assert asked_at(objects) == ("/evictions/only0in0tests000", base64.b64encode(ca).decode())


def asked_at(objects: list[dict[str, Any]]) -> tuple[str, str]:
    """The webhook's path and CA, as the API server is told."""
    (hook,) = named(objects, "ValidatingWebhookConfiguration", "kcs-operator-kcs")["webhooks"]
    config = hook["clientConfig"]
    return config["service"]["path"], config["caBundle"]


def test_hooks_are_the_test_and_the_end(objects: list[dict[str, Any]]) -> None:
    hooks = {
        each["metadata"]["annotations"][HOOK]
        for each in objects
        if HOOK in each["metadata"].get("annotations", {})
    }
    assert hooks == {"test", "pre-delete"}


def test_objects_that_stay_lose_their_finalizers_when_the_operator_is_gone() -> None:
    objects = render(
        pools__namespace="media", pools__createNamespace=True, uninstall__deleteObjects=False
    )
    last = [each for each in objects if each["metadata"]["name"].startswith("kcs-uninstall")]
    assert {each["metadata"]["annotations"][HOOK] for each in last} == {"post-delete"}
    job = named(objects, "Job", "kcs-uninstall")["spec"]["template"]
    operator = named(objects, "Deployment", "kcs-operator")["spec"]
    labels = ",".join(f"{k}={v}" for k, v in operator["selector"]["matchLabels"].items())
    assert job["spec"]["containers"][0]["args"] == [
        "--namespace=media",
        f"--when-gone=kcs/{labels}",
    ]
    verbs = {
        verb
        for each in last
        if each["kind"] == "Role"
        for r in each["rules"]
        for verb in r["verbs"]
    }
    assert verbs == {"list", "patch"}
    assert named(objects, "Role", "kcs-uninstall-pods")["metadata"].get("namespace", "kcs") == "kcs"
    keep = {"helm.sh/resource-policy": "keep"}
    assert named(objects, "SFUPool", "default")["metadata"]["annotations"] == keep
    assert named(objects, "Namespace", "media")["metadata"]["annotations"] == keep


def test_the_api_server_may_have_other_ports() -> None:
    objects = render(networkPolicies__apiServerPorts=[16443])
    for name in ("kcs-operator", "kcs-uninstall"):
        egress = named(objects, "NetworkPolicy", name)["spec"]["egress"]
        assert {"ports": [{"protocol": "TCP", "port": 16443}]} in egress
        assert "6443" not in str(egress).replace("16443", "")


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://collector.observability:4318", 4318),
        ("https://traces.example.org/otlp", 443),
        ("http://10.0.0.5", 80),
    ],
)
def test_the_operator_sends_traces_where_it_is_told_to_and_may(endpoint: str, port: int) -> None:
    objects = render(operator__tracing__endpoint=endpoint)
    (container,) = named(objects, "Deployment", "kcs-operator")["spec"]["template"]["spec"][
        "containers"
    ]
    assert {"name": "KCS_TRACING__ENDPOINT", "value": endpoint} in container["env"]
    egress = named(objects, "NetworkPolicy", "kcs-operator")["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": port}]} in egress


def test_the_port_of_another_store_is_its_address_s_or_the_usual_one() -> None:
    for url, port in (("redis://10.0.0.5/0", 6379), ("redis://cache7:6380/0", 6380)):
        objects = render(redis__builtIn=False, redis__external__url=url)
        egress = named(objects, "NetworkPolicy", "kcs-operator")["spec"]["egress"]
        assert {"ports": [{"protocol": "TCP", "port": port}]} in egress


def test_a_store_whose_url_is_in_a_secret_is_reached_at_the_port_that_is_said() -> None:
    objects = render(
        redis__builtIn=False,
        redis__external={"existingSecret": "own", "port": 6380},
        postgresql__builtIn=False,
        postgresql__external={"existingSecret": "own", "port": 6432},
    )
    for part, ports in (("operator", {6380}), ("sfu", {6380}), ("signaling", {6380, 6432})):
        egress = named(objects, "NetworkPolicy", f"kcs-{part}")["spec"]["egress"]
        for port in ports:
            assert {"ports": [{"protocol": "TCP", "port": port}]} in egress, (part, port)


def test_coturn_pods_send_to_the_media_ports_alone_where_these_are_said() -> None:
    objects = render(networkPolicies__turnPeerPorts={"first": 40000, "last": 40999})
    dns, peers = named(objects, "NetworkPolicy", "kcs-turn")["spec"]["egress"]
    assert dns["ports"][0]["port"] == 53
    assert peers == {"ports": [{"protocol": "UDP", "port": 40000, "endPort": 40999}]}


def test_of_all_operators_of_a_namespace_one_leads_whatever_their_releases_are_called() -> None:
    objects = render(fullnameOverride="second")
    rules = named(objects, "Role", "second-operator")["rules"]
    (held,) = [
        each for each in rules if each.get("resourceNames") and "leases" in each["resources"]
    ]
    assert held["resourceNames"] == [OperatorSettings().operator.lease_name]
    (container,) = named(objects, "Deployment", "second-operator")["spec"]["template"]["spec"][
        "containers"
    ]
    assert "KCS_OPERATOR__LEASE_NAME" not in {each["name"] for each in container["env"]}
    assert {"name": "KCS_OPERATOR__LEASE_ROLE", "value": "second-operator"} in container["env"]
