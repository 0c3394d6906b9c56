"""Which streams a client-guide socket is told of, one at a time.

The guide's sample client waits for `subscribed` with `once(...)` and no correlation, and needs
its receive transport first. So a stream is announced when that transport exists and the one
announced before has been taken up: its consumer resumed, refused, or a second gone by.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from kcs_contracts.ids import ConsumerId, ParticipantId, ProducerId
from kcs_contracts.rooms import MediaKind, Producer

TAKE_UP_S = 1.0


class Announcements:
    """The streams that one socket has been told of, and those that wait their turn."""

    def __init__(self, announce: Callable[[Producer], None]):
        self._announce = announce
        self._waiting: OrderedDict[ProducerId, Producer] = OrderedDict()
        self._announced: OrderedDict[ProducerId, Producer] = OrderedDict()
        """Told and not consumed yet, the last one last."""
        self._current: ProducerId | None = None
        self._consumer: ConsumerId | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._open = False

    def add(self, producer: Producer) -> None:
        """A stream to announce in its turn."""
        self._waiting[producer.id] = producer
        if self._current is None:
            self._next()

    def remove(self, producer_id: ProducerId) -> None:
        """The stream is gone."""
        self._waiting.pop(producer_id, None)
        self._announced.pop(producer_id, None)
        if self._current == producer_id:
            self._next()

    def open(self, producers: Iterable[Producer]) -> None:
        """The receive transport is (again) new: all of them are to be announced."""
        self.clear()
        self._open = True
        for producer in producers:
            self.add(producer)

    def clear(self) -> None:
        """There is no receive transport: nothing is announced until the next one."""
        self._open = False
        self._waiting.clear()
        self._announced.clear()
        self._settle()

    def find(self, participant_id: ParticipantId, kind: MediaKind) -> Producer | None:
        """What a `consume` means that names a participant and a kind: the last one announced."""
        for producer in reversed(self._announced.values()):
            if producer.participant_id == participant_id and producer.kind == kind:
                return producer
        return None

    def consumed(self, producer_id: ProducerId, consumer_id: ConsumerId) -> None:
        """The stream has a consumer; its turn lasts until that is resumed."""
        self._announced.pop(producer_id, None)
        if self._current == producer_id:
            self._consumer = consumer_id

    def resumed(self, consumer_id: str) -> None:
        """A consumer was resumed: if it was the current stream's, the next one's turn comes."""
        if self._consumer == consumer_id:
            self._next()

    def refused(self, producer_id: ProducerId) -> None:
        """The stream could not be consumed."""
        if self._current == producer_id:
            self._next()

    def _settle(self) -> None:
        self._current = self._consumer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        self._settle()
        if not self._open or not self._waiting:
            return
        self._current, producer = self._waiting.popitem(last=False)
        self._announced[producer.id] = producer
        self._timer = asyncio.get_running_loop().call_later(TAKE_UP_S, self._next)
        self._announce(producer)
