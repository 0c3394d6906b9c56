"""Pods and Services as they are made from a pool's spec: pure functions, nothing else."""

from typing import Any

import pytest

from kcs_contracts.labels import Role
from kcs_contracts.resources.v1alpha1 import SFUPool
from kcs_operator.decisions.observed import address_of
from kcs_operator.manifests.identity import pod_name, sfu_hash, turn_hash
from kcs_operator.manifests.sfu_pod import (
    disruption_budget,
    external_address,
    media_ports,
    sfu_pod,
    sfu_service,
    slots,
)
from kcs_operator.manifests.turn_pod import (
    turn_config,
    turn_peers,
    turn_pod,
    turn_template_hash,
)
from kcs_operator.settings import ImagesGroup, OperatorGroup, PodsGroup, Settings

SETTINGS = Settings(operator=OperatorGroup(instance="kcs"))
MODES = ("HostPort", "HostNetwork", "NodePort", "LoadBalancer")
SECRET = "a-secret-of-20-chars"
EXPOSURES: dict[str, dict[str, Any]] = {
    "HostPort": {},
    "HostNetwork": {},
    "NodePort": {"portRange": {"first": 31000, "last": 31099}},
    "LoadBalancer": {"announcedAddressFrom": "LoadBalancer"},
}


def pool(mode: str = "HostPort", **spec: Any) -> dict[str, Any]:
    exposure = {"mode": mode, **EXPOSURES[mode], **spec.pop("exposure", {})}
    meta = {"name": "pool", "namespace": "talks", "uid": "u-1"}
    return {"metadata": meta, "spec": {"exposure": exposure, **spec}}


def sfu(
    body: dict[str, Any], slot: int = 0, settings: Settings = SETTINGS, address: str | None = None
) -> dict[str, Any]:
    return sfu_pod(body, "pool-abcde", slot, settings, address)


def coturn(body: dict[str, Any], settings: Settings = SETTINGS) -> dict[str, Any]:
    return turn_pod(body, "pool-turn-abcde", 0, "hash", "pool-turn-hash", "10.9.0.1", settings)


def only(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def env(pod: dict[str, Any]) -> dict[str, Any]:
    """A value, or the path of a field, or `secret/key`."""
    return {each["name"]: _value(each) for each in only(pod)["env"]}


def _value(variable: dict[str, Any]) -> str:
    if "value" in variable:
        return str(variable["value"])
    source = variable["valueFrom"]
    if "fieldRef" in source:
        return str(source["fieldRef"]["fieldPath"])
    return f"{source['secretKeyRef']['name']}/{source['secretKeyRef']['key']}"


def hash_of(**spec: Any) -> str:
    return sfu_hash(SFUPool.model_validate({"spec": spec}).spec)


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_its_media_ports_where_browsers_find_them(mode: str) -> None:
    body = pool(mode, capacity={"workers": 2})
    first = EXPOSURES[mode].get("portRange", {"first": 40000})["first"] + 6  # the fourth pod
    control, *media = only(sfu(body, 3))["ports"]
    assert [(each["protocol"], each["containerPort"]) for each in media] == [
        ("UDP", first),
        ("UDP", first + 1),
        ("TCP", first),
        ("TCP", first + 1),
    ]
    on_the_host = mode in ("HostPort", "HostNetwork")
    assert [each.get("hostPort") for each in media] == (
        [first, first + 1] * 2 if on_the_host else [None] * 4
    )
    assert control["name"] == "control"
    assert "hostPort" not in control, "the control API is for the cluster alone"
    assert len({each["name"] for each in media}) == 4
    assert all(len(each["name"]) <= 15 for each in media)
    assert env(sfu(body, 3))["KCS_MEDIA__PORT"] == str(first)


def test_without_tcp_there_are_udp_ports_alone() -> None:
    for mode in MODES:
        body = pool(mode, exposure={"tcp": False})
        assert {each["protocol"] for each in only(sfu(body))["ports"][1:]} == {"UDP"}
        assert env(sfu(body))["KCS_MEDIA__TCP"] == "false"
    service = sfu_service(pool("NodePort", exposure={"tcp": False}), "pool-abcde", 0, SETTINGS)
    assert [each["protocol"] for each in service["spec"]["ports"]] == ["UDP"]


@pytest.mark.parametrize("mode", MODES)
def test_the_hosts_network_is_for_its_mode_alone_and_its_pods_share_no_port(mode: str) -> None:
    bodies = [sfu(pool(mode), slot) for slot in range(3)]
    host = mode == "HostNetwork"
    assert [each["spec"].get("hostNetwork", False) for each in bodies] == [host] * 3
    policy = "ClusterFirstWithHostNet" if host else None
    assert bodies[0]["spec"].get("dnsPolicy") == policy
    control = [only(each)["ports"][0]["containerPort"] for each in bodies]
    assert control == ([4000, 4001, 4002] if host else [4000] * 3)
    for body, port in zip(bodies, control, strict=True):
        assert env(body)["KCS_CONTROL__PORT"] == str(port)
        assert env(body)["KCS_CONTROL__ADVERTISED_URL"] == f"http://$(POD_IP):{port}"
    ports = [each["containerPort"] for body in bodies for each in only(body)["ports"][1:]]
    assert len(set(ports)) == 3, "one port per worker, for UDP and TCP"


def test_the_places_of_a_range_are_as_many_as_its_ports_hold_and_never_overlap() -> None:
    body = pool(capacity={"workers": 3}, exposure={"portRange": {"first": 41000, "last": 41010}})
    spec = SFUPool.model_validate(body).spec
    assert slots(spec) == 3
    taken = [port for slot in range(slots(spec)) for port in media_ports(spec, slot)]
    assert taken == list(range(41000, 41009))


@pytest.mark.parametrize("mode", ["NodePort", "LoadBalancer"])
def test_a_pods_service_keeps_the_port_and_goes_to_no_other_node(mode: str) -> None:
    body = pool(mode, capacity={"workers": 2})
    pod, service = sfu(body, 1), sfu_service(body, "pool-abcde", 1, SETTINGS)
    spec = service["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == (mode, "Local")
    assert spec["publishNotReadyAddresses"], "calls go on while Redis is away"
    assert spec["selector"].items() <= pod["metadata"]["labels"].items()
    other = sfu_pod(body, "pool-fghjk", 0, SETTINGS)["metadata"]["labels"]
    assert not spec["selector"].items() <= other.items()
    media = [(each["protocol"], each["containerPort"]) for each in only(pod)["ports"][1:]]
    assert [(each["protocol"], each["port"]) for each in spec["ports"]] == media
    for each in spec["ports"]:
        assert each["targetPort"] == each["port"]
        assert each.get("nodePort") == (each["port"] if mode == "NodePort" else None)
    assert service["metadata"]["name"] == pod["metadata"]["name"]
    assert service["metadata"]["ownerReferences"] == pod["metadata"]["ownerReferences"]


@pytest.mark.parametrize(
    ("mode", "exposure", "address", "announced"),
    [
        ("HostPort", {}, None, "status.hostIP"),
        ("HostNetwork", {}, None, "status.hostIP"),
        ("NodePort", {}, None, "status.hostIP"),
        ("HostPort", {"announcedAddressFrom": "PodIP"}, None, "status.podIP"),
        ("LoadBalancer", {}, "203.0.113.7", "203.0.113.7"),
        (
            "HostPort",
            {"announcedAddressFrom": "Fixed", "announcedAddress": "198.51.100.9"},
            None,
            "198.51.100.9",
        ),
    ],
)
def test_the_address_that_browsers_are_told(
    mode: str, exposure: dict[str, str], address: str | None, announced: str
) -> None:
    pod = sfu(pool(mode, exposure=exposure), address=address)
    assert env(pod)["KCS_MEDIA__ANNOUNCED_ADDRESS"] == announced
    note = pod["metadata"]["annotations"].get("meetings.kcs.dev/announced-address")
    assert note == (announced if announced[0].isdigit() else None)


@pytest.mark.parametrize(
    ("status", "address"),
    [
        ({}, None),
        ({"loadBalancer": {}}, None),
        ({"loadBalancer": {"ingress": []}}, None),
        ({"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}, "203.0.113.7"),
        ({"loadBalancer": {"ingress": [{"hostname": "lb.example.org"}]}}, "lb.example.org"),
    ],
)
def test_what_a_load_balancer_got(status: dict[str, Any], address: str | None) -> None:
    assert external_address({"status": status}) == address


def test_an_sfu_pod_is_told_all_that_it_needs_and_no_secret_in_clear() -> None:
    settings = Settings(
        operator=OperatorGroup(instance="kcs"),
        pods=PodsGroup(
            redis_secret="kcs-redis", redis_secret_key="address", jwks_url="http://s/jwks"
        ),
    )
    capacity = {"workers": 2, "consumersPerWorker": 400, "egressMbps": 900}
    own = {"env": [{"name": "KCS_NODE__IDLE_ROOM_SECONDS", "value": "9"}]}
    body = pool(region="eu-north", capacity=capacity, template=own)
    assert env(sfu(body, settings=settings)) == {
        "POD_IP": "status.podIP",
        "KCS_NODE__NAME": "metadata.name",
        "KCS_NODE__REGION": "eu-north",
        "KCS_NODE__POOL": "pool",
        "KCS_NODE__WORKERS": "2",
        "KCS_NODE__CONSUMERS_PER_WORKER": "400",
        "KCS_NODE__EGRESS_MBPS": "900",
        "KCS_CONTROL__HOST": "0.0.0.0",
        "KCS_CONTROL__PORT": "4000",
        "KCS_CONTROL__ADVERTISED_URL": "http://$(POD_IP):4000",
        "KCS_MEDIA__PORT": "40000",
        "KCS_MEDIA__LISTEN_IP": "status.podIP",
        "KCS_MEDIA__TCP": "true",
        "KCS_MEDIA__ANNOUNCED_ADDRESS": "status.hostIP",
        "KCS_REDIS__URL": "kcs-redis/address",
        "KCS_TICKETS__JWKS": "http://s/jwks",
        "KCS_DRAIN__DEADLINE_SECONDS": "25",
        "KCS_NODE__IDLE_ROOM_SECONDS": "9",
    }
    names = [each["name"] for each in only(sfu(body))["env"]]
    assert names.index("POD_IP") < names.index("KCS_CONTROL__ADVERTISED_URL"), "it refers to it"


TURN = {"portRange": {"first": 50000, "last": 50099}, "tls": {"secretName": "turn-tls"}}
PROBES = ("readiness", "startup", "liveness")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("role", list(Role))
def test_pods_have_all_of_pod_securitys_restricted_profile(mode: str, role: Role) -> None:
    body = pool(mode, turn=TURN)
    pod = sfu(body) if role is Role.SFU else coturn(body)
    spec = pod["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert only(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert not {"hostPID", "hostIPC", "initContainers"} & set(spec)
    for volume in spec["volumes"]:
        assert len(volume) == 2, volume
        assert set(volume) <= {"name", "emptyDir", "secret", "downwardAPI"}
    assert only(pod)["volumeMounts"][0] == {"name": "tmp", "mountPath": "/tmp"}
    assert all(each["readOnly"] for each in only(pod)["volumeMounts"][1:])


@pytest.mark.parametrize("mode", MODES)
def test_a_coturn_pod_has_its_nodes_port_in_every_mode_and_its_secret_as_a_file(mode: str) -> None:
    body = pool(mode, turn=TURN)
    pod = coturn(body)
    metrics, *media = only(pod)["ports"]
    assert [(each["protocol"], each["containerPort"], each["hostPort"]) for each in media] == [
        ("UDP", 3478, 3478),
        ("TCP", 3478, 3478),
        ("TCP", 5349, 5349),
    ]
    assert "hostPort" not in metrics
    assert pod["spec"].get("hostNetwork", False) is (mode == "HostNetwork")
    config = turn_config(body, "pool-turn-hash", [SECRET], SETTINGS)
    (mounted,) = [each for each in pod["spec"]["volumes"] if each["name"] == "config"]
    assert mounted["secret"]["secretName"] == config["metadata"]["name"]
    assert SECRET in config["stringData"]["turnserver.conf"]
    assert SECRET not in str(pod)


@pytest.mark.parametrize(
    ("mode", "port", "low"),
    [("HostPort", 443, True), ("HostPort", 5349, False), ("HostNetwork", 443, False)],
)
def test_a_coturn_pod_may_have_port_443_and_follows_its_certificate(
    mode: str, port: int, low: bool
) -> None:
    pod = coturn(pool(mode, turn={**TURN, "tls": {"secretName": "turn-tls", "port": port}}))
    sysctls = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    assert pod["spec"]["securityContext"].get("sysctls", []) == (sysctls if low else [])
    assert env(pod)["KCS_COTURN_CERTIFICATE"] == "/etc/kcs-coturn-tls/tls.crt"
    without = coturn(pool(mode, turn={"port": port}))
    assert without["spec"]["securityContext"].get("sysctls", []) == (sysctls if low else [])
    assert "KCS_COTURN_CERTIFICATE" not in env(without)


def test_an_sfu_pod_that_waits_for_redis_is_not_ready_and_lives() -> None:
    container = only(sfu(pool()))
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in PROBES}
    assert asked == {"readiness": "/readyz", "startup": "/healthz", "liveness": "/healthz"}


def test_what_stands_on_all_objects_of_a_pool() -> None:
    body = pool("NodePort", template={"labels": {"team": "a"}, "annotations": {"why": "b"}})
    pod = sfu(body, 2)
    assert pod["metadata"]["labels"] == {
        "team": "a",
        "app.kubernetes.io/name": "kcs-meetings",
        "app.kubernetes.io/component": "sfu",
        "app.kubernetes.io/instance": "kcs",
        "app.kubernetes.io/managed-by": "kcs-operator",
        "meetings.kcs.dev/pool": "pool",
        "meetings.kcs.dev/role": "sfu",
        "meetings.kcs.dev/template-hash": sfu_hash(SFUPool.model_validate(body).spec),
        "meetings.kcs.dev/pod": "pool-abcde",
    }
    assert pod["metadata"]["annotations"] == {"why": "b", "meetings.kcs.dev/slot": "2"}
    budget = disruption_budget(body, Role.SFU, SETTINGS)
    chosen = budget["spec"]["selector"]["matchLabels"]
    assert chosen.items() <= pod["metadata"]["labels"].items()
    for each in (pod, budget, sfu_service(body, "pool-abcde", 2, SETTINGS)):
        (owner,) = each["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("SFUPool", "pool", "u-1")
        assert owner["controller"]
        assert each["metadata"]["namespace"] == "talks"


def test_the_labels_of_a_template_never_replace_the_operators() -> None:
    hostile = {"meetings.kcs.dev/pool": "x", "app.kubernetes.io/managed-by": "x"}
    labels = sfu(pool(template={"labels": hostile}))["metadata"]["labels"]
    assert labels["meetings.kcs.dev/pool"] == "pool"
    assert labels["app.kubernetes.io/managed-by"] == "kcs-operator"


@pytest.mark.parametrize(
    ("workers", "said", "requests"),
    [
        (1, {}, {"cpu": "500m", "memory": "192Mi"}),
        (4, {}, {"cpu": "2000m", "memory": "384Mi"}),
        (4, {"requests": {"cpu": 4}}, {"cpu": 4, "memory": "384Mi"}),
        (1, {"limits": {"memory": "100Mi"}}, {"cpu": "500m"}),  # it is the request as well
        (1, {"limits": {"cpu": "250m", "memory": "1Gi"}}, {}),
        (1, {"requests": {"cpu": 0, "memory": 0}}, {"cpu": 0, "memory": 0}),
        (1, {"requests": {"media.example.org/card": 1}}, None),
    ],
)
def test_an_sfu_pod_asks_for_what_its_workers_take_unless_the_template_says_it(
    workers: int, said: dict[str, Any], requests: dict[str, Any] | None
) -> None:
    body = pool(capacity={"workers": workers}, template={"resources": said})
    found = only(sfu(body))["resources"]
    if requests is None:
        requests = {"cpu": "500m", "memory": "192Mi", "media.example.org/card": 1}
    assert found["requests"] == requests
    assert found.get("limits", {}) == said.get("limits", {})


def test_a_coturn_pod_asks_for_something_whatever_the_sfu_container_does() -> None:
    asked = [
        only(coturn(pool(turn=TURN, template={"resources": said})))["resources"]["requests"]
        for said in ({}, {"requests": {"cpu": 9, "memory": "9Gi"}})
    ]
    assert asked == [{"cpu": "100m", "memory": "64Mi"}] * 2


def test_names_fit_into_a_label_and_never_come_twice() -> None:
    found = {pod_name("p" * 63, role) for role in Role for _ in range(200)}
    assert all(len(name) <= 63 for name in found)
    assert len(found) > 390


def test_another_default_image_of_the_operator_moves_no_hash() -> None:
    newer = Settings(
        operator=OperatorGroup(instance="kcs"),
        images=ImagesGroup(sfu="kcs-meetings/sfu-node:9", turn="kcs-meetings/coturn:9"),
    )
    before, after = sfu(pool()), sfu(pool(), settings=newer)
    assert only(before)["image"] != only(after)["image"]
    key = "meetings.kcs.dev/template-hash"
    assert before["metadata"]["labels"][key] == after["metadata"]["labels"][key]


def test_defaults_left_out_have_the_hash_of_defaults_spelled_out() -> None:
    spelled: dict[str, Any] = SFUPool().spec.to_json()
    spelled = {key: value for key, value in spelled.items() if value is not None}
    assert spelled["capacity"]["consumersPerWorker"] == 500, "nothing is left out"
    assert hash_of(**spelled) == hash_of()
    half = {"portRange": {"first": 40000, "last": 40999}, "tcp": False}
    assert hash_of(exposure=half) == hash_of(exposure={"tcp": False})
    assert hash_of(template={"resources": {"requests": {}}, "labels": {}}) == hash_of()


@pytest.mark.parametrize(
    "change",
    [
        {"template": {"image": "kcs-meetings/sfu-node:9"}},
        {"template": {"resources": {"limits": {"memory": "2Gi"}}}},
        {"template": {"env": [{"name": "KCS_NODE__IDLE_ROOM_SECONDS", "value": "9"}]}},
        {"template": {"labels": {"team": "a"}}},
        {"template": {"nodeSelector": {"media": "yes"}}},
        {"template": {"affinity": {"nodeAffinity": {}}}},
        {"template": {"priorityClassName": "calls"}},
        {"capacity": {"workers": 2}},
        {"capacity": {"consumersPerWorker": 400}},
        {"capacity": {"egressMbps": 1000}},
        {"exposure": {"tcp": False}},
        {"exposure": {"portRange": {"first": 42000, "last": 42999}}},
        {"exposure": {"announcedAddressFrom": "PodIP"}},
        {"region": "eu-north"},
    ],
)
def test_what_a_pod_is_made_from_moves_the_hash(change: dict[str, Any]) -> None:
    assert hash_of(**change) != hash_of()


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": {"min": 2, "max": 9, "desired": 4}},
        {"autoscaling": {"buffer": 2, "targetUtilization": 0.5}},
        {"drain": {"deadline": "2h", "maxConcurrent": 4}},
        {"update": {"maxSurge": 3}},
        {"turn": TURN},
        {"paused": True},
        {"placement": "Spread"},
    ],
)
def test_what_is_not_in_a_pod_moves_no_hash(change: dict[str, Any]) -> None:
    assert hash_of(**change) == hash_of()


def test_a_coturn_pods_hash_moves_with_its_secrets_and_not_with_its_number() -> None:
    def found(secret: str = SECRET, **turn: Any) -> str:
        spec = SFUPool.model_validate(pool(turn={**TURN, **turn})).spec
        return turn_template_hash(spec, [secret])

    same = {found(), found(replicas={"min": 2, "max": 5}), found(targetEgressMbps=9)}
    assert len(same | {found(port=3478)}) == 1
    others = [
        found(secret="another-of-20-chars!"),
        found(realm="meet.example.org"),
        found(userQuota=3),
        found(targetAllocations=9),  # beyond twice as many it refuses
        found(tls={"secretName": "newer-tls"}),
    ]
    named = {"secretName": "newer-tls", "host": "turn.example.org"}
    assert found(tls=named) == others[-1], "the name is signaling's to tell"
    assert len(same | set(others)) == 1 + len(others)
    assert SECRET not in found()


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"template": {"resources": {"requests": {"cpu": "2"}}}}, False),
        ({"template": {"image": "localhost/other:1", "env": [{"name": "A", "value": "b"}]}}, False),
        ({"exposure": {"announcedAddressFrom": "PodIP"}}, False),
        ({"capacity": {"workers": 2}}, False),
        ({"template": {"nodeSelector": {"role": "edge"}}}, True),
        ({"exposure": {"mode": "HostNetwork"}}, True),
        ({"exposure": {"announcedAddressFrom": "Fixed", "announcedAddress": "192.0.2.1"}}, True),
    ],
)
def test_a_coturn_pods_hash_is_of_what_is_in_it(change: dict[str, Any], moves: bool) -> None:
    def found(**spec: Any) -> str:
        body = {"metadata": {"name": "pool"}, "spec": {"turn": TURN, **spec}}
        return turn_hash(SFUPool.model_validate(body).spec)

    assert (found(**change) != found()) == moves


def test_names_and_ipv6_addresses_are_no_peers_of_coturn() -> None:
    peers = turn_peers(["10.9.0.2", "lb.example.org", "2001:db8::1", "", "10.9.0.1", "10.9.0.2"])
    assert peers == "10.9.0.1,10.9.0.2"


@pytest.mark.parametrize(("told", "address"), [("HostIP", "192.0.2.7"), ("PodIP", "10.8.0.7")])
def test_an_sfu_pods_address_is_the_one_that_it_announces_whatever_its_pool_says_by_now(
    told: str, address: str
) -> None:
    body = pool(turn=TURN)
    body["spec"]["exposure"]["announcedAddressFrom"] = told
    pod = sfu(body)
    pod["status"] = {"hostIP": "192.0.2.7", "podIP": "10.8.0.7"}
    assert {address_of(pod, by_pod_ip=each) for each in (True, False)} == {address}


def test_a_coturn_pod_reads_its_peers_from_its_annotation() -> None:
    body = pool(turn=TURN)
    pod = coturn(body)
    assert pod["metadata"]["annotations"]["meetings.kcs.dev/sfu-addresses"] == "10.9.0.1"
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "peers"]
    (item,) = volume["downwardAPI"]["items"]
    assert item["fieldRef"]["fieldPath"] == (
        "metadata.annotations['meetings.kcs.dev/sfu-addresses']"
    )
    (mount,) = [each for each in only(pod)["volumeMounts"] if each["name"] == "peers"]
    assert env(pod)["KCS_COTURN_PEERS"] == f"{mount['mountPath']}/{item['path']}"
    text = turn_config(body, "pool-turn-hash", [SECRET], SETTINGS)["stringData"]["turnserver.conf"]
    assert f"userdb={env(pod)['KCS_COTURN_PEERS_DB']}\n" in text
    assert "no-dynamic-ip-list" not in text
    assert "allowed-peer-ip" not in text
