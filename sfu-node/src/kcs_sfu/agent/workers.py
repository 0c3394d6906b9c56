"""The node's mediasoup workers: one process and one WebRtcServer per core, restarted on death.

`WorkerPool` owns the processes. Rooms take a slot by `pick` and put routers on its worker; when
a worker dies, the pool starts another at once and tells its owner, which rebuilds the rooms.
A slot's worker is replaced, the slot is not: look at it through `live`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from kcs_sfu.agent.settings import MediaSettings
from kcs_sfu.mediasoup.errors import ChannelClosed, MediasoupError
from kcs_sfu.mediasoup.events import Died
from kcs_sfu.mediasoup.transport_types import ListenInfo, TransportProtocol
from kcs_sfu.mediasoup.webrtc_server import WebRtcServer
from kcs_sfu.mediasoup.worker import Worker, WorkerSettings

_log = structlog.get_logger(__name__)
_HEALTHY_S = 10.0
"""A worker that lived so long is restarted without delay."""
_BACKOFF_S = (0.1, 5.0)
"""Shortest and longest delay of a restart."""
_PATIENCE_S = 0.5
"""How long `pick` waits for a worker that is just being restarted, rather than crowd the others."""
_CLOSE_S = 2.0


class WorkerSlot:
    """A worker's place: its media port, what it carries now, and the process, when there is one."""

    def __init__(self, index: int):
        self.index = index
        self.worker: Worker | None = None
        self.server: WebRtcServer | None = None
        self.restarts = 0
        self.starting = True
        """Its first try to start (again) is under way."""
        self.routers = 0
        self.consumers = 0

    def live(self) -> tuple[Worker, WebRtcServer]:
        """The worker and its WebRtcServer.

        Raises:
            ChannelClosed: it is dead, and not yet restarted.
        """
        if self.worker is None or self.server is None or self.worker.closed:
            raise ChannelClosed(f"worker {self.index} is not running")
        return self.worker, self.server

    @property
    def alive(self) -> bool:
        """Whether `live` answers."""
        return self.worker is not None and self.server is not None and not self.worker.closed


class WorkerPool:
    """Starts the workers, keeps them alive, and ends them.

    `on_death` is called at once when a worker died, after the driver closed all its objects.
    """

    def __init__(
        self,
        count: int,
        settings: WorkerSettings,
        media: MediaSettings,
        on_death: Callable[[WorkerSlot], None],
    ):
        self.slots: Sequence[WorkerSlot] = tuple(WorkerSlot(i) for i in range(count))
        self._settings, self._media, self._on_death = settings, media, on_death
        self._supervisors: list[asyncio.Task[None]] = []
        self._any_alive, self._settled = asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """Starts all workers.

        Raises:
            MediasoupError: one did not start: no binary, wrong version, a port that is taken.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for slot in self.slots:
                    group.create_task(self._spawn(slot))
        except ExceptionGroup as errors:
            await self.close()
            raise errors.exceptions[0] from errors
        self._supervisors = [asyncio.create_task(self._supervise(slot)) for slot in self.slots]

    async def close(self) -> None:
        """Ends the workers, whose rooms are closed; returns when the processes are gone."""
        for task in self._supervisors:
            task.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        workers = [slot.worker for slot in self.slots if slot.worker is not None]
        for worker in workers:
            worker.close()
        for worker in workers:
            with suppress(TimeoutError):
                await asyncio.wait_for(worker.wait_closed(), _CLOSE_S)

    async def pick(self) -> WorkerSlot:
        """The least loaded live slot; waits for one when none is alive."""
        if not self._settled.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), _PATIENCE_S)
        while True:
            await self._any_alive.wait()
            slot = self.least_loaded()
            if slot is not None:
                return slot
            self._note_change()

    def least_loaded(self) -> WorkerSlot | None:
        """The live slot with the fewest consumers, then the fewest routers."""
        alive = [slot for slot in self.slots if slot.alive]
        return min(alive, key=lambda slot: (slot.consumers, slot.routers), default=None)

    async def _supervise(self, slot: WorkerSlot) -> None:
        """Restarts the slot's worker whenever it died; one that dies young waits ever longer."""
        delay = 0.0
        while True:
            started = time.monotonic()
            await self._death(slot)
            slot.restarts += 1
            healthy = time.monotonic() - started > _HEALTHY_S
            delay = 0.0 if healthy else _longer(delay)
            _log.error("worker_died", worker=slot.index, restart_in_s=delay)
            slot.starting = delay < _PATIENCE_S
            self._note_change()
            self._on_death(slot)
            while not await self._restarted(slot, delay):
                delay = _longer(delay)

    async def _restarted(self, slot: WorkerSlot, delay: float) -> bool:
        await asyncio.sleep(delay)
        try:
            await self._spawn(slot)
        except (MediasoupError, OSError) as error:
            slot.starting = False
            self._note_change()
            _log.error("worker_start_failed", worker=slot.index, error=str(error))
            return False
        return True

    async def _spawn(self, slot: WorkerSlot) -> None:
        slot.worker, slot.server = None, None
        worker = await Worker.create(self._settings)
        try:
            server = await worker.create_webrtc_server(listen_infos=list(self._listen(slot.index)))
        except BaseException:
            worker.close()
            raise
        slot.worker, slot.server, slot.starting = worker, server, False
        self._note_change()
        _log.info("worker_started", worker=slot.index, pid=worker.pid)

    async def _death(self, slot: WorkerSlot) -> None:
        worker = slot.worker
        if worker is None:
            return
        died = asyncio.Event()
        unsubscribe = worker.on(Died, lambda _: died.set())
        try:
            if not worker.closed:
                await died.wait()
        finally:
            unsubscribe()

    def _listen(self, index: int) -> Iterable[ListenInfo]:
        port = self._media.port + index if self._media.port else 0
        protocols: tuple[TransportProtocol, ...] = ("udp", "tcp") if self._media.tcp else ("udp",)
        for protocol in protocols:
            info: ListenInfo = {"protocol": protocol, "ip": self._media.listen_ip, "port": port}
            if self._media.announced_address is not None:
                info["announcedAddress"] = self._media.announced_address
            yield info

    def _note_change(self) -> None:
        self._set(self._any_alive, any(slot.alive for slot in self.slots))
        self._set(self._settled, not any(slot.starting for slot in self.slots))

    @staticmethod
    def _set(event: asyncio.Event, value: bool) -> None:
        if value:
            event.set()
        else:
            event.clear()


def _longer(delay: float) -> float:
    shortest, longest = _BACKOFF_S
    return min(max(shortest, delay * 2), longest)
