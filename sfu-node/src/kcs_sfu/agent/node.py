"""The node: its rooms, who may open them, and what happens to them when a worker dies.

`operations` comes here with a verified ticket. Whoever holds a `Room` from here checks nothing
more about epochs: a room has one, and a higher one replaces the room.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry

from kcs_contracts.ids import BootId, Epoch, Generation, MeetingId, NodeName
from kcs_contracts.placement import Hosted, NodeLease, Placement, Renewal
from kcs_sfu.agent.detail import Detail
from kcs_sfu.agent.errors import BatchRefused
from kcs_sfu.agent.lease import Lease
from kcs_sfu.agent.load import CpuLoad
from kcs_sfu.agent.participant import Participant
from kcs_sfu.agent.quality import Quality
from kcs_sfu.agent.reporter import Reporter
from kcs_sfu.agent.room import Room
from kcs_sfu.agent.settings import Settings
from kcs_sfu.agent.sweep import Sweep
from kcs_sfu.agent.workers import WorkerPool, WorkerSlot
from kcs_sfu.mediasoup.worker import WorkerSettings

_log = structlog.get_logger(__name__)
_TEND_EVERY_S = 1.0
_LINGER_S = 5.0
"""How long a room stays whose meeting moved away: clients hear of it, and build anew, meanwhile."""
_REMEMBER_S = 24 * 3600.0
"""How long a meeting's epoch and generation are kept after its room closed."""


@dataclass(slots=True)
class _Known:
    epoch: Epoch
    generation: Generation
    seen_at: float
    detail: Detail


class Node:
    """One life of an SFU node."""

    def __init__(self, settings: Settings, placement: Placement, boot: BootId):
        self.settings, self.boot = settings, boot
        self.name = NodeName(settings.node.name)
        self.control_url = ""
        self.rooms: dict[MeetingId, Room] = {}
        self.leaving = False
        """SIGTERM came: no new rooms; those that are there run on until the deadline."""
        self.empty = asyncio.Event()
        self.empty.set()
        binary = settings.node.worker_bin
        self.pool = WorkerPool(
            settings.node.workers,
            WorkerSettings(bin=str(binary) if binary else None),
            settings.media,
            self._worker_died,
        )
        self.reporter = Reporter(placement, self.name)
        self.lease = Lease(placement, self.name, boot, self._state, self._renewed)
        self.registry = CollectorRegistry()
        """Of its own, so that a process may hold several nodes."""
        self._quality = Quality(self.registry)
        self.sweep = Sweep(self.participants, self._quality)
        self._cpu = CpuLoad()
        self._known: dict[MeetingId, _Known] = {}

    # --- rooms -------------------------------------------------------------------------------

    def enter(self, meeting_id: MeetingId, epoch: Epoch) -> Room | None:
        """The meeting's room in that epoch, if it is open; a room of a lower epoch is closed.

        Raises:
            BatchRefused: STALE_EPOCH, the node has seen a higher one.
        """
        known = self._known.get(meeting_id)
        if known is None or known.epoch < epoch:
            known = self._known[meeting_id] = _Known(epoch, Generation(0), 0.0, Detail(meeting_id))
            self.close_room(meeting_id)
        elif known.epoch > epoch:
            raise BatchRefused(409, "STALE_EPOCH", f"the node knows epoch {known.epoch}")
        known.seen_at = time.monotonic()
        return self.rooms.get(meeting_id)

    def check_admission(self, *, new_room: bool) -> None:
        """Raises `BatchRefused` (NOT_ADMITTING) when no new people, or rooms, may come."""
        if not self.lease.held:
            raise BatchRefused(503, "NOT_ADMITTING", "the node could not renew its lease")
        if new_room and (self.leaving or self.lease.draining):
            raise BatchRefused(503, "NOT_ADMITTING", "the node is draining")

    def open_room(self, meeting_id: MeetingId) -> Room:
        """The meeting's room; a new one is usable when `Room.usable` returns."""
        room = self.rooms.get(meeting_id)
        if room is None:
            known = self._known[meeting_id]
            room = self.rooms[meeting_id] = Room(
                meeting_id,
                known.epoch,
                known.generation,
                self.pool,
                self.reporter,
                self.settings.node,
                self._quality,
                known.detail,
            )
            self.empty.clear()
            _log.info("room_opened", meeting_id=meeting_id, epoch=known.epoch)
        return room

    def close_room(self, meeting_id: MeetingId) -> None:
        """Closes the meeting's room and all in it, if there is one."""
        room = self.rooms.pop(meeting_id, None)
        if room is None:
            return
        room.close()
        _log.info("room_closed", meeting_id=meeting_id, epoch=room.epoch)
        if not self.rooms:
            self.empty.set()

    def participants(self) -> Iterator[Participant]:
        """Everybody in all rooms."""
        for room in self.rooms.values():
            yield from room.participants.values()

    def plane(self, meeting_id: MeetingId) -> tuple[Epoch, Generation]:
        """Which media plane the meeting has here now; `enter` was called for it."""
        known = self._known[meeting_id]
        return known.epoch, known.generation

    def detail(self, meeting_id: MeetingId) -> Detail:
        """The meeting's detailed log; `enter` was called for it."""
        return self._known[meeting_id].detail

    # --- life --------------------------------------------------------------------------------

    async def tend(self) -> None:
        """Closes what nobody uses any more, until cancelled."""
        node = self.settings.node
        while True:
            await asyncio.sleep(_TEND_EVERY_S)
            now = time.monotonic()
            for room in list(self.rooms.values()):
                room.close_idle_transports(node.idle_transport_seconds)
                if room.moved_at is not None and room.moved_at + _LINGER_S < now:
                    self.close_room(room.meeting_id)
                elif room.empty_since is not None:
                    if room.empty_since + node.idle_room_seconds < now:
                        self.close_room(room.meeting_id)
                else:
                    self._known[room.meeting_id].seen_at = now
            for meeting_id, known in list(self._known.items()):
                if meeting_id not in self.rooms and known.seen_at + _REMEMBER_S < now:
                    del self._known[meeting_id]

    async def close(self) -> None:
        """Closes all rooms, then the workers; returns when their processes are gone."""
        for meeting_id in list(self.rooms):
            self.close_room(meeting_id)
        await self.pool.close()

    def _worker_died(self, slot: WorkerSlot) -> None:
        for room in list(self.rooms.values()):
            if room.broken:
                room.rebuild()
                self._known[room.meeting_id].generation = room.generation
                _log.warning("room_rebuilding", meeting_id=room.meeting_id, worker=slot.index)

    def _renewed(self, renewal: Renewal) -> None:
        """Rooms of meetings that are over close at once. Those of meetings that live elsewhere stay
        a while for whoever is in them: what people still get here is better than nothing."""
        for meeting_id in renewal.over:
            _log.info("room_is_over", meeting_id=meeting_id)
            self.close_room(meeting_id)
        for room in [self.rooms[each] for each in renewal.moved if each in self.rooms]:
            if room.moved_at is None:
                _log.info("room_moved_away", meeting_id=room.meeting_id, epoch=room.epoch)
                room.moved_at = time.monotonic()
            if not room.participants:
                self.close_room(room.meeting_id)

    def _state(self) -> tuple[NodeLease, Sequence[Hosted]]:
        node = self.settings.node
        workers = [slot.worker.pid for slot in self.pool.slots if slot.alive and slot.worker]
        lease = NodeLease(
            node=self.name,
            boot=self.boot,
            control_url=self.control_url,
            region=node.region,
            pool=node.pool,
            consumer_capacity=node.consumers_per_worker * node.workers,
            cpu=self._cpu.sample([os.getpid(), *workers]),
            consumers=sum(slot.consumers for slot in self.pool.slots),
            egress_fraction=self._egress(node.egress_mbps),
        )
        hosted = [
            Hosted(meeting_id=room.meeting_id, epoch=room.epoch, generation=room.generation)
            for room in self.rooms.values()
        ]
        return lease, hosted

    def _egress(self, limit_mbps: float) -> float:
        return self.sweep.egress_bps / (limit_mbps * 1e6) if limit_mbps else 0.0
