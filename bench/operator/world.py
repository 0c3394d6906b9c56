"""What the operator works on here: a real API server, Redis, signaling, and leases of SFU nodes.

Nodes are leases alone, renewed each second with the meetings that people are in: no media flows.
People come into placement directly, as signaling's join brings them there; meetings end by
signaling's REST.
"""

import asyncio
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio import client, config
from tests.support.kubernetes import Kubernetes, Namespace

from kcs_contracts.ids import (
    BootId,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    SessionId,
    UserId,
)
from kcs_contracts.placement import Hosted, NodeLease, Placement, connect
from kcs_contracts.resources.v1alpha1.common import API_VERSION
from kcs_contracts.rooms import Participant, Role
from kcs_dev.crowd import UNLIMITED
from kcs_dev.processes import Child, answers, free_port
from kcs_dev.stack import ROOT, LocalStack
from kcs_operator.cluster import Cluster
from kcs_operator.decisions.meetings import meeting_id_of
from kcs_signaling.keys import load_key
from kcs_signaling.tokens import Tokens, User

_T = TypeVar("_T")
AGENT = "kcs-bench"
"""How the API server's audit log calls what this benchmark writes."""
_KEY = "a-key-of-this-benchmark"
_HOST = "ada"
_POOL = "pool"
_LONG_MS = 3_600_000
_NODES, _WORKERS = 20, 64
_AT_ONCE = 16


@dataclass(frozen=True)
class Declared:
    """A Meeting that was made."""

    name: str
    id: MeetingId


class World:
    """One namespace, with all that the operator needs beside itself."""

    def __init__(self, namespace: Namespace, cluster: Cluster, stack: LocalStack):
        self.namespace, self.stack = namespace, stack
        self._cluster = cluster
        self._redis = connect(stack.redis_url)
        self.placement = Placement(self._redis)
        self._hosted: defaultdict[str, dict[MeetingId, Hosted]] = defaultdict(dict)
        self._people = itertools.count(1)
        self._http = aiohttp.ClientSession()
        key = load_key(stack.directory / "signing-key.pem")
        tokens = Tokens(key, issuer="kcs-meetings", access_minutes=600, refresh_days=1)
        access = tokens.access(User(user_id=UserId(_HOST), user_name="Ada"))
        self._headers = {"Authorization": f"Bearer {access}"}

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.close()
        await self.placement.settle()
        await self._redis.aclose()

    async def keep_leases(self) -> None:
        """Until it is cancelled."""
        while True:
            for number in range(_NODES):
                node = NodeName(f"n{number:02}")
                lease = NodeLease(
                    node=node,
                    boot=BootId(f"b-{node}"),
                    pool=_POOL,
                    control_url="http://127.0.0.1:1",
                    consumer_capacity=_WORKERS * 500,
                    lease_ms=_LONG_MS,
                )
                await self.placement.renew(lease, list(self._hosted[node].values()))
            await asyncio.sleep(1)

    async def declare(self, names: Sequence[str]) -> list[Declared]:
        """Makes Meetings that start in two hours."""
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))
        found: dict[str, Declared] = {}

        async def make(name: str) -> None:
            body = await self._cluster.create("meetings", _meeting(name, start))
            found[name] = Declared(name, meeting_id_of(body["metadata"]["uid"]))

        await each_of(names, make)
        return [found[name] for name in names]

    async def fill(self, meetings: Sequence[Declared]) -> None:
        """One person comes into each."""

        async def come(meeting: Declared) -> None:
            home = await self.placement.assign(meeting.id, pool=_POOL, warmup_ms=0)
            hosted = Hosted(meeting_id=meeting.id, epoch=home.epoch, generation=Generation(0))
            self._hosted[home.node][meeting.id] = hosted
            number = next(self._people)
            person = Participant(
                id=ParticipantId(f"p{number}"),
                display_name=f"Person {number}",
                role=Role.HOST,
                session=SessionId(f"s{number}"),
                joined_at_ms=1,
            )
            await self.placement.join(meeting.id, person, limit=99, presence_ms=_LONG_MS)

        await each_of(meetings, come)

    async def end(self, meetings: Sequence[Declared]) -> None:
        """The host ends each."""

        async def over(meeting: Declared) -> None:
            url = f"{self.stack.url}/api/v1/meetings/{meeting.id}/end"
            for _ in range(20):
                async with self._http.post(url, headers=self._headers) as answer:
                    status, said = answer.status, await answer.text()
                if status != 503:  # SQLite has one writer: on a busy machine some are sent back
                    break
                await asyncio.sleep(1)
            if status >= 300:
                raise SystemExit(f"not ended: {status} {said}")
            for hosted in self._hosted.values():
                hosted.pop(meeting.id, None)

        await each_of(meetings, over)

    async def delete(self, meetings: Sequence[Declared]) -> None:
        """The objects go."""
        await each_of(meetings, lambda each: self._cluster.delete("meetings", each.name))

    @asynccontextmanager
    async def operator(self) -> AsyncIterator["Operator"]:
        """An operator with the settings that it has by default; stopped at the end."""
        found = await Operator.start(self)
        try:
            yield found
        finally:
            await found.stop()


class Operator:
    """A process of kcs-operator."""

    def __init__(self, child: Child, url: str):
        self._child, self._url = child, url
        self.started = time.monotonic()

    @classmethod
    async def start(cls, world: World) -> "Operator":
        """Returns when it leads."""
        port = free_port()
        directory = world.stack.directory
        env = {
            "KUBECONFIG": str(world.namespace.kubeconfig),
            "KCS_OPERATOR__NAMESPACE": world.namespace.name,
            "KCS_OPERATOR__IDENTITY": f"operator-{port}",
            "KCS_REDIS__URL": world.stack.redis_url,
            "KCS_SIGNALING__URL": world.stack.url,
            "KCS_SIGNALING__KEY": _KEY,
            "KCS_HTTP__HOST": "127.0.0.1",
            "KCS_HTTP__PORT": str(port),
        }
        program = str(Path(sys.executable).with_name("kcs-operator"))
        child = await Child.start("operator", [program], env=env, log=directory / "operator.log")
        url = f"http://127.0.0.1:{port}"
        await child.ready(lambda: answers(f"{url}/healthz"), 60)
        found = cls(child, url)
        await found.until("kcs_operator_leader", 1, 60)
        return found

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    async def stop(self) -> None:
        """SIGTERM: it lets go of its lease."""
        await self._child.stop(20)

    async def has(self, count: int, *phases: str, seconds: float = 900) -> None:
        """Returns when that many Meetings are in one of these phases, by its own count."""
        names = [f'kcs_operator_meetings{{phase="{phase}"}}' for phase in phases]
        await self.until(names, count, seconds)

    async def until(self, names: str | Sequence[str], value: float, seconds: float) -> None:
        """Returns when the sum of these metrics is that."""
        wanted = [names] if isinstance(names, str) else list(names)
        deadline = time.monotonic() + seconds
        found: dict[str, float] = {}
        while sum(found.get(name, 0) for name in wanted) != value or not found:
            if time.monotonic() > deadline or not self._child.running:
                said = {name: found.get(name) for name in wanted}
                raise SystemExit(f"{value} wanted, there are {said}\n{self._child.tail()}")
            await asyncio.sleep(1)
            found = await self._metrics()

    async def _metrics(self) -> dict[str, float]:
        async with aiohttp.ClientSession() as http, http.get(f"{self._url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


@asynccontextmanager
async def open_world(kubernetes: Kubernetes, directory: Path) -> AsyncIterator[World]:
    """A namespace of its own, and a Redis and a signaling of its own."""
    namespace = kubernetes.new_namespace()
    env = {**UNLIMITED, "KCS_INTERNAL__KEY": _KEY}
    async with AsyncExitStack() as parts:
        stack = LocalStack(directory, nodes_wanted=0, env=env)
        await parts.enter_async_context(stack)
        configuration = client.Configuration()
        path = str(namespace.kubeconfig)
        await config.load_kube_config(path, client_configuration=configuration)
        api = client.ApiClient(configuration)
        api.user_agent = AGENT
        cluster = await parts.enter_async_context(Cluster(api, namespace.name))
        await cluster.create("sfupools", _pool())
        world = World(namespace, cluster, stack)
        parts.push_async_callback(world.close)
        await world.placement.load()
        leases = asyncio.create_task(world.keep_leases())
        parts.callback(leases.cancel)
        yield world


def apply_kinds(kubernetes: Kubernetes) -> None:
    """Our kinds, on an API server that has just started."""
    crds = str(ROOT / "crds")
    kubernetes.kubectl("apply", "--server-side", "-f", crds)
    kubernetes.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", crds)


async def each_of(things: Sequence[_T], work: Callable[[_T], Awaitable[None]]) -> None:
    """Some at once."""
    todo = iter(things)

    async def go_on() -> None:
        for thing in todo:
            await work(thing)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(go_on())


def _meeting(name: str, start: str) -> dict[str, Any]:
    spec = {
        "displayName": "Weekly of the team",
        "host": _HOST,
        "schedule": {"start": start, "duration": "1h"},
        "poolRef": {"name": _POOL},
    }
    meta = {"name": name}
    return {"apiVersion": API_VERSION, "kind": "Meeting", "metadata": meta, "spec": spec}


def _pool() -> dict[str, Any]:
    """One pool, whose nodes are not its pods: it is looked at each second and makes none."""
    meta = {"name": _POOL}
    spec = {"paused": True, "replicas": {"min": 1, "max": 3}}
    return {"apiVersion": API_VERSION, "kind": "SFUPool", "metadata": meta, "spec": spec}
