"""Looks at all Meetings at once: where they are (Redis), and whether signaling has the same ones.

A sweep asks placement once for all nodes, and for what no node has; then it writes what differs,
each status at most every few seconds. A review, every few minutes and at the start, compares with
signaling's list: so an end that nobody heard of is made up for, and no finalizer is needed.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

import structlog

from kcs_contracts.ids import MeetingId, NodeName
from kcs_contracts.placement import Placement
from kcs_contracts.placement.whereabouts import Whereabouts
from kcs_contracts.resources.v1alpha1 import MeetingPhase, MeetingStatus
from kcs_operator.cluster import Cluster
from kcs_operator.decisions import meetings as decide
from kcs_operator.decisions.meeting_index import Entry, Index, pool_for
from kcs_operator.decisions.meetings import Placing, Where, meeting_id_of
from kcs_operator.handlers.meeting_steps import AGAIN_S, AHEAD_S, MeetingSteps
from kcs_operator.signaling import Signaling

_log = structlog.get_logger(__name__)

_AT_ONCE = 8
"""Meetings that are seen to side by side."""
_LOST_AFTER_S = 10.0
"""A home that was dead for so long is told; mostly the meeting has another by then."""
_TELL_S = 30.0
"""From so long before its start on a Meeting says that it has no room: pods may come until then."""
_LONGEST_START_S = 900.0
_RESERVED_S = 15 * 60.0
"""How long placement keeps room for people who have not come."""

Alone = Callable[[str, Callable[[Entry], Awaitable[None]]], Awaitable[None]]
"""Does something with a Meeting while nobody else does; nothing when somebody is at it."""


class Sweep:
    """The looks at all Meetings, for `handlers.meetings`."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        signaling: Signaling,
        steps: MeetingSteps,
        index: Index,
        alone: Alone,
        least_s: float,
        start_seconds: Callable[[str], float],
    ):
        self._cluster, self._placement, self._signaling = cluster, placement, signaling
        self._steps, self._index, self._alone = steps, index, alone
        self._least_s, self._start_seconds = least_s, start_seconds
        self._pools: frozenset[str] | None = None

    def ahead_s(self, entry: Entry) -> float:
        """How long before its start room is looked for."""
        pool = pool_for(entry, self._steps.pools())
        start_s = self._start_seconds(pool) if pool is not None else 0.0
        return min(start_s, _LONGEST_START_S) + AHEAD_S

    async def sweep(self) -> None:
        """One look at placement, and what follows of it.

        Raises:
            RedisError, PlacementError: placement does not answer.
            OperatorError: the Kubernetes API does not answer.
        """
        now = time.time()
        nodes = {str(node.node): node for node in await self._placement.nodes() if node.alive}
        seen = await self._houses({name: node.draining for name, node in nodes.items()})
        seen |= await self._astray(set(nodes), set(seen))
        await self._all(seen, lambda name: self._look_at(name, seen[name], now))
        waiting = self._index.waiting(now + _LONGEST_START_S + AHEAD_S)
        due = [each.name for each in waiting if each.retry_at <= now]
        await self._all(due, lambda name: self._find_room(name, now))
        await self._heed_pools(now)

    async def review(self) -> None:
        """Ends meetings whose objects are gone; those that ended elsewhere are Ended; those whose
        address is another one now, or that signaling has lost, are to be registered again.

        Raises:
            SignalingAway, OperatorError, RedisError: it is to be tried again.
        """
        known = [
            entry
            for entry in self._index
            if entry.is_registered and entry.phase != MeetingPhase.ENDED
        ]
        listed = {each.id: each for each in await self._signaling.declared()}
        await self._end_strangers(listed)
        for each in listed.values():
            entry = self._index.of_id(each.id)
            if entry is None or entry.phase == MeetingPhase.ENDED:
                continue
            if each.ended_at:
                await self._ended(entry.name, each.ended_at)
            elif entry.is_registered and each.join_url not in ("", entry.status.get("joinURL")):
                entry.again = True
        missing = [entry for entry in known if entry.id not in listed]
        found = await self._placement.whereabouts([entry.id for entry in missing])
        for entry in missing:
            if found[entry.id].over:  # somebody deleted it
                await self._ended(entry.name, datetime.now(UTC))
            else:  # signaling has lost it
                entry.again = True

    async def _houses(self, draining: dict[str, bool]) -> dict[str, Where]:
        """Where declared meetings are, by name; of one that moves, its home. Those who are in its
        breakout rooms are in the meeting."""
        survey = await self._placement.survey([NodeName(name) for name in draining])
        seen: dict[str, Where] = {}
        inside: Counter[str] = Counter()
        for node, meetings in survey.items():
            for each in meetings:
                main, colon, _ = each.meeting_id.partition(":")
                entry = self._index.of_id(MeetingId(main))
                if entry is None:
                    continue
                if colon:
                    inside[entry.name] += each.people
                    continue
                here = Where(node, each.epoch, each.people, True, draining[node])
                other = seen.get(entry.name)
                if other is not None:  # it has two homes: the newer one is where it moves to
                    first = other if other.epoch < here.epoch else here
                    here = first._replace(migrating=True)
                seen[entry.name] = here
        for name in inside.keys() & seen.keys():
            seen[name] = seen[name]._replace(people=seen[name].people + inside[name])
        return seen

    async def _astray(self, nodes: set[str], seen: set[str]) -> dict[str, Where]:
        """What placement says of meetings that should be on a node and are on none that lives."""
        entries = [*self._index.active(), *self._index.ready_beyond(nodes)]
        entries = [entry for entry in entries if entry.name not in seen]
        found = await self._placement.whereabouts([entry.id for entry in entries])
        return {entry.name: _where(found[entry.id]) for entry in entries}

    async def _look_at(self, name: str, where: Where, now: float) -> None:
        entry = self._index.get(name)
        if entry is None:
            return
        lost = self._is_lost(entry, where, now)
        if where.alive and _is_said(entry, where):
            return
        if where.alive and where.people == 0 and _can_wait(entry, now):
            entry.held = True
            return
        if lost and self._keeps_room(entry, now):
            entry.retry_at = 0.0
            await self._alone(name, lambda entry: self._place(entry, now))
            return
        await self._alone(name, lambda entry: self._project(entry, where, now, lost))

    async def _project(self, entry: Entry, where: Where, now: float, lost: bool) -> None:
        before = MeetingStatus.model_validate(entry.status)
        after = decide.projected(before, where, now, lost=lost)
        since_s = time.monotonic() - entry.written_at
        if decide.due_in(before, after, since_s, self._least_s) <= 0:
            await self._steps.write(entry, after)

    def _is_lost(self, entry: Entry, where: Where, now: float) -> bool:
        if where.alive or where.over:
            entry.lost_since = None
            return False
        if entry.lost_since is None:
            entry.lost_since = now
        return now - entry.lost_since >= _LOST_AFTER_S

    @staticmethod
    def _keeps_room(entry: Entry, now: float) -> bool:
        """Nobody has come yet, and room was promised lately."""
        if entry.phase != MeetingPhase.READY:
            return False
        placed = entry.condition("Placed").get("lastTransitionTime")
        since = datetime.fromisoformat(placed).timestamp() if placed else 0.0
        return now < max(entry.starts_at, since) + _RESERVED_S

    async def _find_room(self, name: str, now: float) -> None:
        entry = self._index.get(name)
        if entry is not None and entry.starts_at - self.ahead_s(entry) <= now:
            await self._alone(name, lambda entry: self._place(entry, now))

    async def _place(self, entry: Entry, now: float) -> None:
        """Room for a Meeting whose time has come, or why there is none."""
        entry.retry_at = now + AGAIN_S
        await self._tell(entry, await self._placing(entry, now), now)

    async def _placing(self, entry: Entry, now: float) -> Placing:
        if entry.ends_at is not None and entry.ends_at <= now:
            return decide.IN_THE_PAST
        if entry.pool and entry.pool not in self._steps.pools():
            return decide.no_such_pool(entry.pool)
        return await self._steps.find_room(entry)

    async def _tell(self, entry: Entry, placing: Placing, now: float) -> None:
        before = MeetingStatus.model_validate(entry.status)
        if placing == decide.OVER:
            after = decide.over_status(before, now, now)
        else:
            after = decide.with_placing(before, placing, now)
        entry.held = placing.status == "True"
        if entry.held and _can_wait(entry, now):
            return
        if placing == decide.NO_CAPACITY and now < entry.starts_at - _TELL_S:
            return  # a pod may come until then
        since_s = time.monotonic() - entry.written_at
        if decide.due_in(before, after, since_s, self._least_s) <= 0:
            await self._steps.write(entry, after)

    async def _heed_pools(self, now: float) -> None:
        """Pools came or went: what names them has another answer, long before it starts."""
        pools = frozenset(self._steps.pools())
        if pools == self._pools:
            return
        for entry in self._index:
            if entry.waits and entry.pool:
                await self._alone(entry.name, lambda entry: self._heed_pool(entry, now))
        self._pools = pools

    async def _heed_pool(self, entry: Entry, now: float) -> None:
        missing = entry.pool not in self._steps.pools()
        said = entry.condition("Placed").get("reason") == "NoSuchPool"
        if missing == said:
            return
        if missing:
            await self._tell(entry, decide.no_such_pool(entry.pool), now)
        elif entry.starts_at - self.ahead_s(entry) > now:
            await self._tell(entry, decide.NOT_YET, now)

    async def _end_strangers(self, listed: Iterable[MeetingId]) -> None:
        """Ends what is declared at signaling and nowhere else.

        The list of objects is asked for after signaling's: what is in that had an object before.
        """
        strangers = {each for each in listed if self._index.of_id(each) is None}
        if not strangers:
            return
        there = await self._cluster.list("meetings")
        strangers -= {meeting_id_of(body["metadata"]["uid"]) for body in there}
        for each in sorted(strangers):
            await self._steps.end(each)

    async def _ended(self, name: str, ended_at: datetime) -> None:
        async def write(entry: Entry) -> None:
            before = MeetingStatus.model_validate(entry.status)
            after = decide.over_status(before, ended_at.timestamp(), time.time())
            await self._steps.write(entry, after)

        await self._alone(name, write)

    async def _all(self, names: Iterable[str], work: Callable[[str], Awaitable[None]]) -> None:
        """Some at a time; when one fails, no more are begun, and that is raised."""
        todo, failures = iter(list(names)), list[Exception]()

        async def go_on() -> None:
            for name in todo:
                if failures:
                    return
                try:
                    await work(name)
                except Exception as error:
                    failures.append(error)

        await asyncio.gather(*(go_on() for _ in range(_AT_ONCE)))
        if failures:
            raise failures[0]


def _can_wait(entry: Entry, now: float) -> bool:
    """That room is kept is said at the start: mostly people come before it, and then one write
    says both."""
    said = entry.condition("Placed").get("reason")
    return entry.waits and said == decide.NOT_YET.reason and now < entry.starts_at


def _where(found: Whereabouts) -> Where:
    return Where(found.node, found.epoch, found.people, found.alive, over=found.over)


def _is_said(entry: Entry, where: Where) -> bool:
    """Whether the status says so already: most meetings, most of the time."""
    status = entry.status
    if where.migrating != (entry.condition("Migrating").get("status") == "True"):
        return False
    if (status.get("node"), status.get("epoch")) != (where.node, where.epoch):
        return False
    begun = where.people == 0 or entry.phase == MeetingPhase.ACTIVE
    return begun and status.get("participants", 0) == where.people
