"""Who speaks in a room: mediasoup's two audio observers, turned into one slow, truthful signal.

The active speaker observer names the dominant producer, but it starts with somebody who may be
silent and never says that all are; the audio level observer knows who can be heard. A room tells
a change at most twice a second.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from kcs_contracts.ids import ParticipantId, ProducerId
from kcs_sfu.mediasoup.active_speaker_observer import ActiveSpeakerObserver
from kcs_sfu.mediasoup.audio_level_observer import AudioLevelObserver
from kcs_sfu.mediasoup.errors import MediasoupError
from kcs_sfu.mediasoup.events import DominantSpeaker, Silence, Volumes
from kcs_sfu.mediasoup.router import Router

_THRESHOLD_DBOV = -60
_INTERVAL_MS = 500
_AUDIBLE = 10
_SPACING_S = 0.5


class SpeakerWatch:
    """Watches the microphones of one router.

    `speaks` maps a producer to its participant, or None when it is gone; `tell` gets each change.
    """

    def __init__(
        self,
        speaks: Callable[[str], ParticipantId | None],
        tell: Callable[[ParticipantId | None], None],
    ):
        self._speaks, self._tell = speaks, tell
        self._dominant: ParticipantId | None = None
        self._audible: list[ParticipantId] = []
        """The loudest first."""
        self._current: ParticipantId | None = None
        self._told: ParticipantId | None = None
        self._pending: asyncio.TimerHandle | None = None
        self._next_at = 0.0
        self._observers: tuple[ActiveSpeakerObserver, AudioLevelObserver] | None = None

    async def open(self, router: Router) -> None:
        """Starts watching; the observers close with the router."""
        dominant = await router.create_active_speaker_observer()
        levels = await router.create_audio_level_observer(
            max_entries=_AUDIBLE, threshold=_THRESHOLD_DBOV, interval_ms=_INTERVAL_MS
        )
        dominant.on(DominantSpeaker, self._on_dominant)
        levels.on(Volumes, lambda event: self._on_audible(v.producer.id for v in event.volumes))
        levels.on(Silence, lambda _: self._on_audible(()))
        self._observers = dominant, levels

    async def add(self, producer_id: ProducerId) -> None:
        """Watches one more microphone, until it closes; best effort."""
        with suppress(MediasoupError):
            for observer in self._observers or ():
                await observer.add_producer(producer_id=producer_id)

    def close(self) -> None:
        """Tells nothing any more."""
        self._observers = None
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _on_dominant(self, event: DominantSpeaker) -> None:
        self._dominant = self._speaks(event.producer.id)
        self._choose()

    def _on_audible(self, producers: Iterable[str]) -> None:
        found = (self._speaks(producer_id) for producer_id in producers)
        self._audible = [who for who in found if who is not None]
        self._choose()

    def _choose(self) -> None:
        """The dominant speaker if audible, else whoever was told already, else the loudest."""
        for who in (self._dominant, self._current, *self._audible):
            if who in self._audible:
                self._current = who
                break
        else:
            self._current = None
        if self._pending is None and self._observers is not None and self._current != self._told:
            loop = asyncio.get_running_loop()
            self._pending = loop.call_at(max(loop.time(), self._next_at), self._say)

    def _say(self) -> None:
        self._pending = None
        if self._current != self._told:
            self._told = self._current
            self._next_at = asyncio.get_running_loop().time() + _SPACING_S
            self._tell(self._current)
