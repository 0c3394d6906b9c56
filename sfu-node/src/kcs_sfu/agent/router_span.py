"""A room's router on one worker, and the producers that are piped to it from the room's home.

A room starts on one worker, its home: everybody sends there. When that worker carries as many
consumers as it should, further receivers get their transport on another worker's router; a
producer crosses to it by a pipe that opens for the first consumer there and closes after the
last.
"""

import asyncio

from kcs_contracts.ids import ProducerId
from kcs_sfu.agent.codecs import MEDIA_CODECS
from kcs_sfu.agent.workers import WorkerSlot
from kcs_sfu.mediasoup.pipes import PipeToRouterResult
from kcs_sfu.mediasoup.router import Router
from kcs_sfu.mediasoup.webrtc_server import WebRtcServer


class _Pipe:
    def __init__(self, opening: "asyncio.Task[PipeToRouterResult]"):
        self.opening = opening
        self.users = 0


class RouterSpan:
    """One router of a room; counts its consumers towards its worker's load."""

    def __init__(self, slot: WorkerSlot, router: Router, server: WebRtcServer):
        self.slot, self.router, self.server = slot, router, server
        self._pipes: dict[ProducerId, _Pipe] = {}

    @classmethod
    async def open(cls, slot: WorkerSlot) -> "RouterSpan":
        """A new router on the slot's worker.

        Raises:
            MediasoupError: the worker is dead or does not answer.
        """
        worker, server = slot.live()
        slot.routers += 1  # before the await, so that rooms opened at once spread over workers
        try:
            router = await worker.create_router(media_codecs=MEDIA_CODECS)
        except BaseException:
            slot.routers -= 1
            raise
        return cls(slot, router, server)

    def close(self) -> None:
        """Closes the router and all on it: transports, producers, consumers, pipes."""
        self.slot.routers -= 1
        self.router.close()
        for pipe in self._pipes.values():
            pipe.opening.add_done_callback(_close_pipe)  # fails by itself: the router is closed
        self._pipes.clear()

    async def pipe_in(self, home: Router, producer_id: ProducerId) -> None:
        """Brings the home's producer to this router for one more user; `pipe_out` for each.

        Raises:
            MediasoupError: the producer is gone, or a worker died.
        """
        pipe = self._pipes.get(producer_id)
        if pipe is None:
            opening = asyncio.ensure_future(
                home.pipe_to_router(router=self.router, producer_id=producer_id, enable_sctp=False)
            )
            pipe = self._pipes[producer_id] = _Pipe(opening)
        pipe.users += 1
        try:
            await asyncio.shield(pipe.opening)
        except BaseException:
            self.pipe_out(producer_id)
            raise

    def pipe_out(self, producer_id: ProducerId) -> None:
        """One user less; the last closes the pipe."""
        pipe = self._pipes.get(producer_id)
        if pipe is None:
            return
        pipe.users -= 1
        if pipe.users == 0:
            del self._pipes[producer_id]
            pipe.opening.add_done_callback(_close_pipe)


def _close_pipe(opened: "asyncio.Task[PipeToRouterResult]") -> None:
    if opened.cancelled() or opened.exception() is not None:
        return
    consumer = opened.result().pipe_consumer
    if consumer is not None:
        consumer.close()  # closes the producer at the other end too
