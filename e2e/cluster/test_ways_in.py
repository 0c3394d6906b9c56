"""Every way by which media comes to pods, on a release as people would rely on it.

Its stores are not the chart's own, signaling has replicas and a region. Pools of all exposure modes
live side by side on the one node, two of them with coturn; HostPort is in `test_calls` too. The
tests are one story; at its end the node is drained under a call.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from e2e.cluster.installed import MEDIA, RELEASE, URL, Installed, until
from tests.support.kubernetes import SCRIPTS, Kubernetes

from kcs_dev.browser import Chromium, Person, Way, everybody_gets_everybody
from kcs_dev.browser import until as seen
from kcs_dev.coturn import certify

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = ("Ann", "Ben")
NODE, BALANCER = "10.98.0.1", "10.98.0.77"
EU, US = 3478, 3479
"""Ports of the coturn pods of two regions, which share the node; signaling's people are in eu."""
OVER_TLS = 5349
"""Of coturn in us alone."""
SETTLED_S = 40
"""A coturn pod that left the list stays so long: its credentials are good for 10 s."""
UNREADY_S = 15
"""Longer than a pod stays ready without Redis."""


def _turn(port: int, first: int) -> dict[str, Any]:
    return {
        "replicas": {"min": 1, "max": 1},
        "port": port,
        "portRange": {"first": first, "last": first + 199},
    }


def _exposure(mode: str, first: int, **more: str) -> dict[str, Any]:
    return {"mode": mode, "portRange": {"first": first, "last": first + 9}, **more}


POOLS: dict[str, dict[str, Any]] = {
    "eu": {"region": "eu", "exposure": _exposure("HostPort", 40000), "turn": _turn(EU, 50000)},
    "us": {
        "region": "us",
        "exposure": _exposure("NodePort", 31000),
        "turn": {
            **_turn(US, 50200),
            "tls": {"secretName": "turn-tls", "port": OVER_TLS, "host": "*.turn.example.org"},
        },
    },
    "host": {"exposure": _exposure("HostNetwork", 41000)},
    "balanced": {"exposure": _exposure("LoadBalancer", 42000, announcedAddressFrom="LoadBalancer")},
}


def _declared(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    api = "meetings.kcs.dev/v1alpha1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of coturn in us: the files of its Secret."""
    home = tmp_path_factory.mktemp("turn-tls")
    files = {name: home / name for name in ("tls.crt", "tls.key")}
    certify(files["tls.crt"], files["tls.key"], "DNS:*.turn.example.org")
    return files


@pytest.fixture(scope="module")
def installed(real_cluster: Kubernetes, certificate: dict[str, Path]) -> Iterator[Installed]:
    """The release, with a pool of each mode and a meeting in each; nobody has waited for pods."""
    real_cluster.kubectl("apply", "-f", str(SCRIPTS / "stores.yaml"))
    wait = ("wait", "-n", "stores", "--for=condition=Ready", "pod", "--all", "--timeout=90s")
    real_cluster.kubectl(*wait, seconds=100)
    found = Installed(real_cluster)
    found.install("--values", str(SCRIPTS / "values-outside.yaml"))
    texts = {name: file.read_text() for name, file in certificate.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "turn-tls"}}
    found.apply({**secret, "type": "kubernetes.io/tls", "stringData": texts})
    small = {"requests": {"cpu": "50m", "memory": "128Mi"}}  # the one node has two cores
    quick = {"replicas": {"min": 1, "max": 2}, "template": {"resources": small}}
    for name, spec in POOLS.items():
        found.apply(_declared("SFUPool", name, {**quick, **spec}))
        meeting = {"displayName": name, "host": "ann", "poolRef": {"name": name}}
        found.apply(_declared("Meeting", name, meeting))
    with found.door():
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(
    installed: Installed, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chromium]:
    """All people's, in the cluster's network."""
    program = installed.chromium(tmp_path_factory.mktemp("chromium"))
    async with Chromium(fps=5, program=program) as found:
        yield found


async def link_of(installed: Installed, pool: str) -> str:
    """Where people join the pool's meeting, when the pool takes it."""
    await until(lambda: installed.pool(pool).get("readyReplicas") == 1, f"{pool} is ready", 120)
    await until(lambda: "joinURL" in installed.meeting(pool), "the meeting has a link")
    return str(installed.meeting(pool)["joinURL"])


@asynccontextmanager
async def call(
    browser: Chromium, link: str, *, relay: Collection[str] = ()
) -> AsyncIterator[list[Person]]:
    """Ann and Ben see and hear each other; those in `relay` may use a TURN server alone. At the end
    they leave, and their browser tells coturn so."""
    try:
        people = [await browser.join(link, name, relay=name in relay) for name in PEOPLE]
        await seen(lambda: everybody_gets_everybody(people), "they talk", 60)
        yield people
    finally:
        for person in browser.people:
            await person.page.goto("about:blank")
        browser.people.clear()


async def streams(*people: Person) -> set[int]:
    """What they get: others after a reset, the same after a restart of ICE."""
    return {ssrc for person in people for ssrc in await person.received()}


def condition(status: dict[str, Any], kind: str) -> dict[str, str]:
    """One of its conditions; nothing while it has none."""
    found: dict[str, dict[str, str]] = {each["type"]: each for each in status.get("conditions", ())}
    return found.get(kind, {})


def relays(installed: Installed) -> set[int]:
    """Ports of the coturn pods that signaling offers now."""
    curl = installed.cluster.inside("curl", "-sf", f"{URL}/meeting/any/webrtc-config")
    answer = subprocess.run(curl, capture_output=True, text=True, check=True, timeout=10)
    servers = json.loads(answer.stdout)["iceServers"]
    return {int(url.rpartition(":")[2]) for each in servers for url in each["urls"]}


def coturn(installed: Installed, pool: str) -> list[tuple[str, bool]]:
    """The state of each of the pool's coturn pods, and whether it is of the current template."""
    pods = installed.pool(pool).get("pods", ())
    return [(each["state"], each["current"]) for each in pods if each["role"] == "turn"]


def relays_are_settled(installed: Installed) -> bool:
    """Both regions have their coturn pod."""
    return all(coturn(installed, pool) == [("Ready", True)] for pool in ("eu", "us"))


def made_at(installed: Installed, pool: str, role: str) -> str:
    """When the pool's one pod of that role was created."""
    which = f"meetings.kcs.dev/pool={pool},meetings.kcs.dev/role={role}"
    (found,) = installed.pods(which).values()
    return str(found["metadata"]["creationTimestamp"])


async def test_a_pod_waits_for_its_load_balancer_and_a_call_reaches_it_there(
    installed: Installed, browser: Chromium
) -> None:
    mine = "meetings.kcs.dev/pool=balanced"

    def limits() -> str:
        return condition(installed.pool("balanced"), "ScalingLimited").get("message", "")

    await until(lambda: "load balancer" in limits(), "the pool says what it waits for")
    (service,) = installed.get("services", "-l", mine)["items"]
    name = service["metadata"]["name"]
    assert limits() == f"No more pods: the load balancer of Service {name} has no address yet."
    assert not installed.pods(mine)
    await until(lambda: relays_are_settled(installed), "the coturn pods of both regions", 120)
    status = {"status": {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}}  # as clouds write it
    patch = ("patch", "service", name, "--subresource=status", "--type=merge", "-p")
    installed.kubectl(*patch, json.dumps(status))
    link = await link_of(installed, "balanced")
    assert limits() == "The pool may grow as it needs."
    async with call(browser, link) as (ann, ben):
        way = Way(relay="", host=BALANCER, port=42000)
        assert (await ann.ways(), await ben.ways()) == ({way}, {way})


async def test_a_call_on_the_network_of_the_node(installed: Installed, browser: Chromium) -> None:
    link = await link_of(installed, "host")
    async with call(browser, link) as (ann, ben):
        way = Way(relay="", host=NODE, port=41000)
        assert (await ann.ways(), await ben.ways()) == ({way}, {way})


async def test_a_call_on_node_ports_which_stay_open_while_redis_is_away(
    installed: Installed, browser: Chromium
) -> None:
    def ready() -> bool:
        (pod,) = installed.pods("meetings.kcs.dev/pool=us,meetings.kcs.dev/role=sfu").values()
        return condition(pod["status"], "Ready")["status"] == "True"

    def is_open() -> bool:
        nc = installed.cluster.inside("python3", "-c", _CONNECT, NODE, "31000")
        return subprocess.run(nc, timeout=10).returncode == 0

    link = await link_of(installed, "us")
    async with call(browser, link) as (ann, ben):
        way = Way(relay="", host=NODE, port=31000)
        assert (await ann.ways(), await ben.ways()) == ({way}, {way})
        before = await streams(ann, ben)
        pause = ("redis-cli", "-p", "6380", "client", "pause", str(UNREADY_S * 1000), "all")
        installed.cluster.kubectl("exec", "-n", "stores", "redis", "--", *pause)
        await until(lambda: not ready(), "the pod is not ready", UNREADY_S)
        assert is_open(), "who has to connect anew gets in"
        await until(ready, "the pod is ready again")
        await seen(lambda: everybody_gets_everybody([ann, ben]), "they still talk", 60)
        assert await streams(ann, ben) == before


_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


async def test_the_stores_are_outside_and_autoscaling_says_what_it_lacks(
    installed: Installed,
) -> None:
    cluster = installed.cluster
    pods = cluster.get("pods", "-n", RELEASE)["items"]
    parts = {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in pods}
    assert parts == {"signaling", "operator"}
    psql = ("psql", "-h", "127.0.0.1", "-p", "5433", "-U", "kcs", "-Atc")
    query = "select count(*) from meetings"
    rows = cluster.kubectl("exec", "-n", "stores", "postgresql", "--", *psql, query)
    assert int(rows) == len(POOLS), "the declared meetings are in that database"
    policies = {
        each["metadata"]["name"]: each["spec"]
        for namespace in (RELEASE, MEDIA)
        for each in cluster.get("networkpolicies", "-n", namespace)["items"]
    }
    assert set(policies) == {
        f"kcs-{part}" for part in ("signaling", "operator", "test", "sfu", "turn")
    }
    leaving = [
        port["port"] for rule in policies["kcs-signaling"]["egress"] for port in rule["ports"]
    ]
    assert {6380, 5433} <= set(leaving), "their ports, which are not the usual ones"

    def scaler() -> dict[str, Any]:
        found: dict[str, Any] = cluster.get("hpa", "kcs-signaling", "-n", RELEASE)["status"]
        return found

    await until(lambda: scaler().get("currentReplicas") == 2, "as many as at least")
    await until(lambda: condition(scaler(), "ScalingActive") != {}, "it has tried")
    active = condition(scaler(), "ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")
    assert "metrics.k8s.io" in active["message"]


@contextmanager
def without(installed: Installed, protocol: str, port: int) -> Iterator[None]:
    """As behind a strict firewall: nothing goes to that port. Not even what seems to belong to an
    earlier connection, whose port a browser may have got again."""
    rule = f"type filter hook output priority filter; {protocol} dport {port} drop;"
    nft = installed.cluster.inside("nft", f"table inet strict {{ chain out {{ {rule} }}; }}")
    subprocess.run(nft, check=True, timeout=10)
    try:
        yield
    finally:
        nft = installed.cluster.inside("nft", "delete", "table", "inet", "strict")
        subprocess.run(nft, check=True, timeout=10)


@pytest.mark.parametrize(("over", "blocked"), [("udp", "tcp"), ("tcp", "udp")])
async def test_coturn_of_their_region_relays_people_to_a_meeting_of_any_pool(
    installed: Installed, browser: Chromium, over: str, blocked: str
) -> None:
    def relayed() -> int:
        pods = installed.pool("eu")["pods"]
        return int(sum(each["participants"] for each in pods if each["role"] == "turn"))

    await until(lambda: relays_are_settled(installed), "the coturn pods of both regions")
    relay, sfu = made_at(installed, "eu", "turn"), made_at(installed, "balanced", "sfu")
    assert relay < sfu, "the SFU pod's address was news to a coturn pod that is there still"
    await until(lambda: relays(installed) == {EU}, "signaling offers that of its region alone")
    link = await link_of(installed, "balanced")
    with without(installed, blocked, EU):
        async with call(browser, link, relay=PEOPLE) as (ann, ben):
            way = Way(f"turn:{NODE}:{EU}?transport={over}", BALANCER, 42000)
            assert (await ann.ways(), await ben.ways()) == ({way}, {way})
            await until(lambda: relayed() >= 4, "the status counts two connections each")
    await until(lambda: relayed() == 0, "and none when they are gone")


async def test_coturn_shows_the_certificate_of_its_secret(
    installed: Installed, certificate: dict[str, Path]
) -> None:
    await until(lambda: relays_are_settled(installed), "the coturn pods of both regions")
    name = f"{NODE.replace('.', '-')}.turn.example.org"
    trusts = ("-CAfile", str(certificate["tls.crt"]), "-verify_hostname", name)
    connect = ("s_client", "-connect", f"{NODE}:{OVER_TLS}", "-verify_return_error", *trusts)
    openssl = installed.cluster.inside("openssl", *connect)
    done = subprocess.run(openssl, input="", capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr


@contextmanager
def draining(installed: Installed) -> Iterator["subprocess.Popen[str]"]:
    """`kubectl drain` of the node, of pools' pods alone; the node takes pods again at the end."""
    chosen = ("--pod-selector=meetings.kcs.dev/pool", "--delete-emptydir-data", "--timeout=300s")
    kubectl = installed.cluster.program("kubectl", "drain", "node-1", *chosen)
    process = subprocess.Popen(kubectl, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        installed.cluster.kubectl("uncordon", "node-1")


async def test_a_drained_node_keeps_a_call_and_its_relay_until_they_are_over(
    installed: Installed, browser: Chromium
) -> None:
    def on_the_node(which: str = "meetings.kcs.dev/pool") -> set[str]:
        return {name for name, pod in installed.pods(which).items() if "nodeName" in pod["spec"]}

    link = await link_of(installed, "eu")
    in_use = on_the_node("meetings.kcs.dev/pool=eu")
    assert len(in_use) == 2, "an SFU pod and a coturn pod"
    async with call(browser, link, relay=PEOPLE[:1]) as people:
        before = await streams(*people)
        with draining(installed) as drain:
            gone_s = await until(lambda: EU not in relays(installed), "coturn has left the list")
            gone_s += await until(lambda: on_the_node() == in_use, "the others are gone", 150)
            await asyncio.sleep(max(0, SETTLED_S + 5 - gone_s))
            assert on_the_node() == in_use
            await seen(lambda: everybody_gets_everybody(people), "they still talk", 60)
            assert await streams(*people) == before
            for person in people:
                await person.page.goto("about:blank")
            told, _ = await asyncio.to_thread(drain.communicate, timeout=120)
    assert drain.returncode == 0, told
    assert "the pod drains: its meetings move first" in told
    assert not in_use & set(installed.pods("meetings.kcs.dev/pool"))
    await until(lambda: relays(installed) == {EU}, "others are there when the node takes them", 120)
