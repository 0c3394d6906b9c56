"""A real operator process, and what stands for the kubelet and the SFU nodes on the API server.

`Pods` makes the pods of pools Ready and renews their leases in a real Redis, as a kubelet and
kcs-sfu-node would; how loaded a node is and whom it hosts, the test says.
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from kubernetes.aio import client, config
from tests.support.kubernetes import Namespace

from kcs_contracts.ids import (
    BootId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    SessionId,
)
from kcs_contracts.labels import MANAGED_BY, OPERATOR, POOL, ROLE
from kcs_contracts.placement import Hosted, NodeLease, Placement
from kcs_contracts.resources.v1alpha1.common import API_VERSION
from kcs_contracts.rooms import Participant, Role
from kcs_operator.cluster import Cluster
from kcs_operator.errors import NotFound, OperatorError

_ids = itertools.count(1)
PATIENCE_S = 60.0
_NETWORKS = {"sfu": "10.9.0.", "turn": "10.10.0."}


async def until(what: Callable[[], Awaitable[bool]], why: str, seconds: float = PATIENCE_S) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + seconds
    while not await what():
        assert time.monotonic() < deadline, f"not within {seconds} s: {why}"
        await asyncio.sleep(0.2)


def sfu_pool(name: str = "pool", **spec: object) -> dict[str, Any]:
    """An SFUPool; a pod of it carries 50 people."""
    meta = {"name": name}
    return {"apiVersion": API_VERSION, "kind": "SFUPool", "metadata": meta, "spec": spec}


async def connect(kubeconfig: Path, namespace: str) -> Cluster:
    """The operator's own client, as an administrator."""
    configuration = client.Configuration()
    await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    return Cluster(client.ApiClient(configuration), namespace)


class OperatorProcess:
    """`kcs-operator` for one namespace."""

    def __init__(
        self,
        home: Path,
        kubeconfig: Path,
        namespace: str,
        redis_url: str,
        env: Mapping[str, str] | None = None,
    ):
        self.log = home / f"operator-{next(_ids)}.log"
        self._env = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "KCS_OPERATOR__NAMESPACE": namespace,
            "KCS_OPERATOR__IDENTITY": self.log.stem,
            "KCS_OPERATOR__LEASE_SECONDS": "15",
            "KCS_OPERATOR__TICK_SECONDS": "0.5",
            "KCS_OPERATOR__STATUS_SECONDS": "1",
            "KCS_OPERATOR__REDIS_SETTLE_SECONDS": "0",  # each test begins with an empty Redis
            "KCS_REDIS__URL": redis_url,
            "KCS_HTTP__HOST": "127.0.0.1",
            "KCS_HTTP__PORT": "0",
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        program = Path(sys.executable).with_name("kcs-operator")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([program], env=self._env, stdout=log, stderr=log)
        return self

    def stop(self) -> int:
        """SIGTERM; answers the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=20)

    def wait(self) -> int:
        """Until it ends by itself; answers the exit status."""
        assert self._process is not None
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        """SIGKILL: it says good-bye to nobody."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=20)

    def close(self) -> None:
        """Whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def port(self) -> int:
        """Of metrics and health."""
        (line,) = [each for each in self.lines() if each["event"] == "operator_started"]
        return int(line["metadata"]["port"])

    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        found = []
        for line in self.log.read_text().splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return found

    async def leads(self) -> None:
        """Returns when it has the lease."""

        async def leading() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            return any(each["event"] == "leading" for each in self.lines())

        await until(leading, "it leads")


@dataclass
class Node:
    """What stands for one SFU pod's process."""

    name: NodeName
    pool: str
    uid: str
    boot: BootId
    consumers: int = 0
    hosted: dict[MeetingId, Epoch] = field(default_factory=dict)
    silent: bool = False
    """Its process hangs: no lease, not ready."""


class Pods:
    """The pods of one namespace, run by nobody but this. `async with` it."""

    def __init__(self, cluster: Cluster, placement: Placement):
        self._cluster, self._placement = cluster, placement
        self.nodes: dict[str, Node] = {}
        self.unready = False
        """New pods stay as they are: they never start."""
        self.addresses: list[str] = []
        """Addresses in the cluster's network that pods get, in their order; 10.8.0.x otherwise."""
        self._hosts: dict[str, str] = {}
        self._seen: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            with suppress(OperatorError):
                await self._look()
            for node in self.nodes.values():
                if not node.silent:
                    await self._renew(node)
            await self._placement.tend_moves()  # as replicas of signaling do
            await asyncio.sleep(0.3)

    async def _look(self) -> None:
        pods = await self._cluster.list("pods", f"{MANAGED_BY}={OPERATOR}")
        by_uid = {pod["metadata"]["uid"]: pod for pod in pods}
        for uid in [uid for uid in self.nodes if uid not in by_uid]:
            gone = self.nodes.pop(uid)
            await self._placement.release(gone.name, gone.boot)
        for uid, pod in by_uid.items():
            if uid not in self.nodes and uid not in self._seen and not self.unready:
                meta = pod["metadata"]
                labels = meta["labels"]
                host, ip = self._place(labels[ROLE])
                self._hosts[host] = ip
                if labels[ROLE] == "sfu":
                    node = Node(NodeName(meta["name"]), labels[POOL], uid, BootId(f"b-{uid}"))
                    self.nodes[uid] = node
                    await self._renew(node)
                else:
                    self._seen.add(uid)
                await self._set_ready(meta["name"], True, host, ip)

    def _place(self, role: str) -> tuple[str, str]:
        """The Kubernetes node's address and the pod's: SFU pods from 10.9.0.1, coturn 10.10.0.1."""
        number = 1 + sum(host.startswith(_NETWORKS[role]) for host in self._hosts)
        host = f"{_NETWORKS[role]}{number}"
        if role == "turn" and self.addresses:
            return host, self.addresses[number - 1]
        return host, f"10.8.0.{len(self._hosts) + 1}"

    def turn_host(self, host: str) -> str:
        """The address in the cluster's network of the pod on that Kubernetes node."""
        return self._hosts[host]

    async def _set_ready(
        self, name: str, ready: bool, host: str | None = None, ip: str | None = None
    ) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status: dict[str, Any] = {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": at},
            ],
        }
        if host is not None:
            status |= {
                "hostIP": host,
                "hostIPs": [{"ip": host}],
                "podIP": ip,
                "podIPs": [{"ip": ip}],
            }
        with suppress(NotFound):
            await self._cluster.patch_status("pods", name, status)

    async def _renew(self, node: Node) -> None:
        lease = NodeLease(
            node=node.name,
            boot=node.boot,
            control_url="http://127.0.0.1:1",
            pool=node.pool,
            consumer_capacity=500,
            consumers=node.consumers,
            lease_ms=15_000,  # renewed only once the API server has answered
        )
        hosted = [
            Hosted(meeting_id=m, epoch=e, generation=Generation(0)) for m, e in node.hosted.items()
        ]
        await self._placement.renew(lease, hosted)

    async def silence(self, node: Node) -> None:
        """Its process hangs."""
        node.silent = True
        await self._set_ready(node.name, False)
        await self._placement.release(node.name, node.boot)

    def of(self, pool: str) -> list[Node]:
        """The pool's pods that run."""
        return [node for node in self.nodes.values() if node.pool == pool]

    def named(self, name: str) -> Node:
        """The pod of that name."""
        (found,) = [node for node in self.nodes.values() if node.name == name]
        return found


async def seat(placement: Placement, node: Node, people: int) -> MeetingId:
    """A meeting on that node with so many people in it."""
    meeting = MeetingId(f"meeting-{next(_ids)}")
    node.hosted[meeting] = Epoch(int(time.time() * 1000))
    node.consumers += people * 10

    async def at_home() -> bool:
        home = await placement.assignment(meeting)
        return home is not None and home.node == node.name

    await until(at_home, "the node told of its meeting")
    for number in range(people):
        await placement.join(meeting, person(number), limit=1000, presence_ms=3_600_000)
    return meeting


async def empty(placement: Placement, node: Node, meeting: MeetingId, people: int) -> None:
    """Everybody leaves that meeting."""
    for number in range(people):
        who = person(number)
        await placement.leave(meeting, who.id, who.session)
    node.hosted.pop(meeting, None)
    node.consumers = 0


def person(number: int) -> Participant:
    """Somebody."""
    return Participant(
        id=ParticipantId(f"p{number}"),
        display_name=f"Person {number}",
        role=Role.ATTENDEE,
        session=SessionId(f"s{number}"),
        joined_at_ms=1,
    )


def operators_writes(namespace: Namespace) -> list[str]:
    """Writes of operators, but for the Lease; `Pods` writes the status of pods."""
    return [
        f"{each.verb} {each.resource} {each.name}"
        for each in namespace.writes()
        if each.resource not in ("leases", "pods/status") and each.agent.startswith("OpenAPI")
    ]


async def rests(namespace: Namespace, seconds: float = 3) -> None:
    """Waits until operators have written nothing for so long."""
    deadline = time.monotonic() + PATIENCE_S
    before, now = None, operators_writes(namespace)
    while before != now:
        assert time.monotonic() < deadline, f"still written: {now[-5:]}"
        await asyncio.sleep(seconds)
        before, now = now, operators_writes(namespace)
