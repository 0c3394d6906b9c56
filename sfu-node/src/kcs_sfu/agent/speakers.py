"""Who speaks in a room: mediasoup's two audio observers, turned into one slow, truthful signal.

The active speaker observer names the dominant producer but never says that all are silent; the
audio level observer does. A room tells a change at most twice a second.
"""

import asyncio
from collections.abc import Callable

from kcs_contracts.ids import ParticipantId, ProducerId
from kcs_sfu.mediasoup.active_speaker_observer import ActiveSpeakerObserver
from kcs_sfu.mediasoup.audio_level_observer import AudioLevelObserver
from kcs_sfu.mediasoup.events import DominantSpeaker, Silence, Volumes
from kcs_sfu.mediasoup.router import Router

_THRESHOLD_DBOV = -60
_INTERVAL_MS = 800
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
        self._current: ParticipantId | None = None
        self._told: ParticipantId | None = None
        self._pending: asyncio.TimerHandle | None = None
        self._next_at = 0.0
        self._observers: tuple[ActiveSpeakerObserver, AudioLevelObserver] | None = None

    async def open(self, router: Router) -> None:
        """Starts watching; the observers close with the router."""
        dominant = await router.create_active_speaker_observer()
        levels = await router.create_audio_level_observer(
            threshold=_THRESHOLD_DBOV, interval_ms=_INTERVAL_MS
        )
        dominant.on(DominantSpeaker, lambda event: self._set(self._speaks(event.producer.id)))
        levels.on(Silence, lambda _: self._set(None))
        levels.on(Volumes, self._on_volumes)
        self._observers = dominant, levels

    async def add(self, producer_id: ProducerId) -> None:
        """Watches one more microphone, until it closes."""
        for observer in self._observers or ():
            await observer.add_producer(producer_id=producer_id)

    def close(self) -> None:
        """Tells nothing any more."""
        self._observers = None
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _on_volumes(self, event: Volumes) -> None:
        # After a silence the same person may speak on: then the dominant speaker has not changed.
        if self._current is None and event.volumes:
            self._set(self._speaks(event.volumes[0].producer.id))

    def _set(self, participant_id: ParticipantId | None) -> None:
        self._current = participant_id
        if self._pending is None and self._observers is not None:
            loop = asyncio.get_running_loop()
            self._pending = loop.call_at(max(loop.time(), self._next_at), self._say)

    def _say(self) -> None:
        self._pending = None
        if self._current != self._told:
            self._told = self._current
            self._next_at = asyncio.get_running_loop().time() + _SPACING_S
            self._tell(self._current)
