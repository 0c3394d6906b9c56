"""Declared meetings on a real API server, Redis and signaling, reconciled in this process.

`Declared.lead` is a leader's part for Meetings: it fills the cache and runs them, and may be ended
and begun again as an operator that restarts. SFU nodes are leases that last as long as a test.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from pydantic import SecretStr
from tests.support.kubernetes import Namespace, Write
from tests.support.operator import person, until
from tests.support.signaling import Signaling as SignalingProcess

from kcs_contracts.ids import BootId, Generation, MeetingId, NodeName
from kcs_contracts.placement import Hosted, NodeLease, Placement
from kcs_contracts.resources.v1alpha1.common import API_VERSION
from kcs_operator.cluster import Cluster
from kcs_operator.decisions.meetings import meeting_id_of
from kcs_operator.errors import OperatorError
from kcs_operator.handlers import watching
from kcs_operator.handlers.meetings import Meetings
from kcs_operator.handlers.watching import Cache
from kcs_operator.settings import OperatorGroup, Settings
from kcs_operator.signaling import open_signaling

KEY = "a-key-of-some-length"
LONG_MS = 3_600_000


def in_s(seconds: float) -> str:
    """A time from now, as a schedule has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def declared(name: str = "lab", start: str | None = None, **spec: object) -> dict[str, Any]:
    """A Meeting."""
    wanted: dict[str, object] = {"displayName": "Lab meeting", "host": "ada", **spec}
    if start is not None:
        wanted["schedule"] = {"start": start, "duration": "1h"}
    meta = {"name": name}
    return {"apiVersion": API_VERSION, "kind": "Meeting", "metadata": meta, "spec": wanted}


class Declared:
    """One namespace, with what looks after its Meetings."""

    def __init__(
        self,
        namespace: Namespace,
        api: Cluster,
        placement: Placement,
        signaling: SignalingProcess,
    ):
        self.namespace, self.api = namespace, api
        self.placement, self.signaling = placement, signaling
        self.key = KEY
        self.start_s = 0.0
        self.cache = Cache()
        self.meetings: Meetings | None = None
        self._leases: dict[str, NodeLease] = {}

    @asynccontextmanager
    async def lead(self, status_s: float = 0.2) -> AsyncIterator[Meetings]:
        """Somebody leads, in this block."""
        self.cache = Cache()
        settings = Settings(
            operator=OperatorGroup(
                namespace=self.namespace.name, tick_seconds=0.1, status_seconds=status_s
            )
        )
        await until(self._filled, "the API server lists our kinds", 30)
        async with open_signaling(
            self.signaling.url, SecretStr(self.key), self.namespace.name
        ) as client:
            self.meetings = Meetings(
                self.api, self.placement, client, self.cache, settings, lambda _: self.start_s
            )
            tasks = [asyncio.create_task(self.meetings.run()), asyncio.create_task(self._watch())]
            try:
                yield self.meetings
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _filled(self) -> bool:
        with suppress(OperatorError):  # kinds that have just been made take a moment
            await watching.fill(self.cache, self.api)
            return True
        return False

    async def _watch(self) -> None:
        while True:
            with suppress(OperatorError):
                await watching.fill(self.cache, self.api)
            await asyncio.sleep(0.1)

    async def node(self, name: str = "n1", people: int = 500, pool: str = "") -> None:
        """An SFU node that carries so many people; of that pool."""
        lease = NodeLease(
            node=NodeName(name),
            boot=BootId(f"b-{name}"),
            control_url="http://127.0.0.1:1",
            consumer_capacity=people * 10,
            pool=pool,
            lease_ms=LONG_MS,
        )
        self._leases[name] = lease
        await self.placement.renew(lease, [])

    async def kill(self, name: str) -> None:
        """The node's lease is over."""
        await self.placement.release(NodeName(name), BootId(f"b-{name}"))

    async def kill_all(self) -> None:
        """Other tests use this Redis too, and find no node that nobody serves."""
        for name in self._leases:
            await self.kill(name)

    async def join(self, meeting_id: MeetingId, *numbers: int) -> None:
        """People come: the meeting's home opens its room, and they are in it."""
        home = await self.placement.assign(meeting_id, warmup_ms=0)
        hosted = Hosted(meeting_id=meeting_id, epoch=home.epoch, generation=Generation(0))
        await self.placement.renew(self._leases[home.node], [hosted])
        for number in numbers:
            await self.placement.join(meeting_id, person(number), limit=99, presence_ms=LONG_MS)

    async def leave(self, meeting_id: MeetingId, *numbers: int) -> None:
        """Some of them go."""
        for number in numbers:
            who = person(number)
            await self.placement.leave(meeting_id, who.id, who.session)

    async def get(self, name: str = "lab") -> dict[str, Any]:
        """The Meeting as it is."""
        return await self.api.get("meetings", name)

    async def status(self, name: str = "lab") -> dict[str, Any]:
        """Its status."""
        found: dict[str, Any] = (await self.get(name)).get("status", {})
        return found

    async def id_of(self, name: str = "lab") -> MeetingId:
        """Its meeting's id."""
        return meeting_id_of((await self.get(name))["metadata"]["uid"])

    async def until(self, name: str = "lab", **wanted: object) -> dict[str, Any]:
        """Its status, once these fields are so; a condition's is its reason."""
        last: dict[str, Any] = {}

        async def is_so() -> bool:
            nonlocal last
            last = await self.status(name)
            return all(_field(last, key) == value for key, value in wanted.items())

        try:
            await until(is_so, f"{name}: {wanted}", 20)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {last}") from None
        return last

    async def writes(self) -> list[Write]:
        """What was written here, but by kubectl."""
        await asyncio.sleep(0.3)  # an entry comes after its answer
        return [
            each
            for each in self.namespace.writes()
            if not each.agent.startswith("kubectl") and each.resource != "serviceaccounts"
        ]


def _field(status: Mapping[str, Any], name: str) -> object:
    if name[0].isupper():
        reasons = {each["type"]: each["reason"] for each in status.get("conditions", ())}
        return reasons.get(name)
    return status.get(name)
