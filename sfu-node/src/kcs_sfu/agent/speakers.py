"""Who speaks in a room, and how loudly: mediasoup's two audio observers, slowed and made truthful.

The active speaker observer names the dominant producer, but it starts with somebody who may be
silent and never says that all are; the audio level observer knows who can be heard. A room tells
a change of the speaker, and new levels, at most twice a second each.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from kcs_contracts.ids import ParticipantId, ProducerId
from kcs_sfu.mediasoup.active_speaker_observer import ActiveSpeakerObserver
from kcs_sfu.mediasoup.audio_level_observer import AudioLevelObserver
from kcs_sfu.mediasoup.errors import MediasoupError
from kcs_sfu.mediasoup.events import DominantSpeaker, Silence, Volume, Volumes
from kcs_sfu.mediasoup.router import Router

_THRESHOLD_DBOV = -60
_INTERVAL_MS = 500
_AUDIBLE = 10
_TOLD_LEVELS = 5
_SPACING_S = 0.5

Levels = Mapping[ParticipantId, int]
"""In dBov, -127 to 0; only who is above the threshold."""


class SpeakerWatch:
    """Watches the microphones of one router.

    `speaks` maps a producer to its participant, or None when it is gone; `tell` gets each change
    of the speaker, `tell_levels` how loud the five loudest are while anybody is, and once that
    nobody is.
    """

    def __init__(
        self,
        speaks: Callable[[str], ParticipantId | None],
        tell: Callable[[ParticipantId | None], None],
        tell_levels: Callable[[Levels], None],
    ):
        self._speaks, self._tell, self._tell_levels = speaks, tell, tell_levels
        self._dominant: ParticipantId | None = None
        self._audible: dict[ParticipantId, int] = {}
        """The loudest first."""
        self._current: ParticipantId | None = None
        self._told: ParticipantId | None = None
        self._heard = False
        """The levels that were told last are not empty."""
        self._speaker, self._levels = _Paced(self._say), _Paced(self._say_levels)
        self._observers: tuple[ActiveSpeakerObserver, AudioLevelObserver] | None = None

    async def open(self, router: Router) -> None:
        """Starts watching; the observers close with the router."""
        dominant = await router.create_active_speaker_observer()
        levels = await router.create_audio_level_observer(
            max_entries=_AUDIBLE, threshold=_THRESHOLD_DBOV, interval_ms=_INTERVAL_MS
        )
        dominant.on(DominantSpeaker, self._on_dominant)
        levels.on(Volumes, lambda event: self._on_audible(event.volumes))
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
        self._speaker.cancel()
        self._levels.cancel()

    def _on_dominant(self, event: DominantSpeaker) -> None:
        self._dominant = self._speaks(event.producer.id)
        self._choose()

    def _on_audible(self, volumes: Iterable[Volume]) -> None:
        self._audible = {}
        for volume in volumes:
            who = self._speaks(volume.producer.id)
            if who is not None:
                self._audible.setdefault(who, volume.volume)
        self._choose()
        if self._observers is not None:
            self._levels.want()

    def _choose(self) -> None:
        """The dominant speaker if audible, else whoever was told already, else the loudest."""
        for who in (self._dominant, self._current, *self._audible):
            if who in self._audible:
                self._current = who
                break
        else:
            self._current = None
        if self._observers is not None and self._current != self._told:
            self._speaker.want()

    def _say(self) -> bool:
        if self._current == self._told:
            return False
        self._told = self._current
        self._tell(self._current)
        return True

    def _say_levels(self) -> bool:
        if not self._audible and not self._heard:
            return False
        self._heard = bool(self._audible)
        self._tell_levels(dict(list(self._audible.items())[:_TOLD_LEVELS]))
        return True


class _Paced:
    """Calls `say` soon after somebody wants it, yet only `_SPACING_S` after it said something."""

    def __init__(self, say: Callable[[], bool]):
        self._say = say
        self._pending: asyncio.TimerHandle | None = None
        self._next_at = 0.0

    def want(self) -> None:
        """There is something to say, at the time of saying perhaps not any more."""
        if self._pending is None:
            loop = asyncio.get_running_loop()
            self._pending = loop.call_at(max(loop.time(), self._next_at), self._run)

    def cancel(self) -> None:
        """Says nothing that is waiting."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _run(self) -> None:
        self._pending = None
        if self._say():
            self._next_at = asyncio.get_running_loop().time() + _SPACING_S
