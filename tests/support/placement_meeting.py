"""A model, in plain Python, of a meeting and its breakout rooms as placement is to keep them.

It says what each call answers and what holds afterwards, with no thought of how Redis does it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import (
    MeetingFull,
    MeetingIsLocked,
    NotInMeeting,
    PlacementError,
    ScreensTaken,
    WasRemoved,
)
from kcs_contracts.rooms import MediaKind, Quality, Role, Source

MAIN = MeetingId("main")
ROOMS = (MeetingId("main:1"), MeetingId("main:2"))
PLACES = (MAIN, *ROOMS)
LIMIT = 4
ROLES: dict[ParticipantId, Role] = {
    ParticipantId("hal"): Role.HOST,
    ParticipantId("cora"): Role.CO_HOST,
    ParticipantId("pia"): Role.PRESENTER,
    ParticipantId("pat"): Role.PRESENTER,
    ParticipantId("ann"): Role.ATTENDEE,
    ParticipantId("gus"): Role.GUEST,
}
"""What people are by their tokens."""
_HEIRS = {Role.CO_HOST: 2, Role.PRESENTER: 1}


@dataclass
class Person:
    """Somebody in a place."""

    session: str
    name: str
    role: Role
    joined: int = 0
    audio: bool = False
    video: bool = False
    screen: bool = False
    audio_muted: bool = False
    video_muted: bool = False
    hand: bool = False
    quality: Quality | None = None

    @property
    def mutes(self) -> set[MediaKind]:
        """What a host muted."""
        return {
            kind
            for kind, muted in (("audio", self.audio_muted), ("video", self.video_muted))
            if muted
        }

    def holds(self, source: Source) -> bool:
        """Whether a host's mute keeps that source off."""
        return {Source.MIC: self.audio_muted, Source.CAMERA: self.video_muted}.get(source, False)

    def show(self, source: Source, on: bool) -> None:
        """Sets the flag of that source."""
        match source:
            case Source.MIC:
                self.audio = on and not self.audio_muted
            case Source.CAMERA:
                self.video = on and not self.video_muted
            case Source.SCREEN:
                self.screen = on


@dataclass
class Stream:
    """What somebody sends of one source."""

    id: str
    paused: bool


@dataclass
class Place:
    """The main meeting, or a breakout room."""

    people: dict[ParticipantId, Person] = field(default_factory=dict)
    waiting: dict[ParticipantId, tuple[str, str]] = field(default_factory=dict)
    """Session and name."""
    streams: dict[tuple[ParticipantId, Source], Stream] = field(default_factory=dict)
    was_used: bool = False
    """Somebody came since it was unknown: it is idle now, if it is empty."""

    @property
    def screens(self) -> int:
        return sum(person.screen for person in self.people.values())


class MeetingModel:
    """The main meeting and its rooms."""

    def __init__(self) -> None:
        self.places = {place: Place() for place in PLACES}
        self.settings = RoomSettings()
        self.removed: set[ParticipantId] = set()
        self.admitted: set[ParticipantId] = set()
        self.given: dict[ParticipantId, Role] = {}
        """Roles that a host gave somebody, in whichever place."""
        self.muted: set[tuple[ParticipantId, MediaKind]] = set()
        """Who was muted when they went, and will be when they come again."""
        self.let_in: set[ParticipantId] = set()
        """Whom a host has just let in: they pass the lock, once."""
        self.acting: tuple[ParticipantId, Role] | None = None
        """Who is host in the host's place, and what they were before."""
        self.inside: dict[ParticipantId, MeetingId] = {}
        self.called_back: set[ParticipantId] = set()
        """Whose room closed: they may still be expected in the main meeting."""
        self.rooms_open: bool | None = None
        self.spotlight: ParticipantId | None = None
        self.overfull = False
        """More were put back than may come in."""

    @property
    def main(self) -> Place:
        return self.places[MAIN]

    def is_empty(self, place: MeetingId) -> bool:
        here = self.places[place]
        return not (here.people or here.waiting or (place == MAIN and self.inside))

    def role_of(self, who: ParticipantId) -> Role:
        """What somebody is who comes in now, wherever."""
        return Role.HOST if self.acts(who) else self.given.get(who, ROLES[who])

    def places_of(self, who: ParticipantId, place: MeetingId = MAIN) -> list[MeetingId]:
        """Where somebody is whom a host of that place names; the main meeting first."""
        named = dict.fromkeys([MAIN, self.inside.get(who, MAIN), place])
        return [each for each in named if who in self.places[each].people]

    def role_by_token(self, who: ParticipantId) -> Role:
        """What signaling says that they are: whoever is host in the host's place is it in rooms."""
        return Role.HOST if self.acts(who) else ROLES[who]

    def acts(self, who: ParticipantId) -> bool:
        """Whether they are host in the host's place."""
        return self.acting is not None and self.acting[0] == who

    # --- coming in ---------------------------------------------------------------------------

    def refusal(self, place: MeetingId, who: ParticipantId) -> type[PlacementError] | None:
        """Why somebody who is not there may not come in."""
        leads = self.role_of(who) in (Role.HOST, Role.CO_HOST)
        if who in self.removed:
            return WasRemoved
        if place == MAIN:
            return None if who in self.inside else self._main_refusal(who, leads)
        if who not in self.main.people and who not in self.inside:
            if why := self._main_refusal(who, leads):
                return why
            if self.has_to_wait(MAIN, who):
                return NotInMeeting
        if self.rooms_open is False and not leads:
            return MeetingIsLocked
        return MeetingFull if len(self.places[place].people) >= LIMIT else None

    def _main_refusal(self, who: ParticipantId, leads: bool) -> type[PlacementError] | None:
        if self.settings.locked and not leads and who not in self.let_in:
            return MeetingIsLocked
        if len(self.main.people) + len(self.inside) >= LIMIT:
            return MeetingFull
        return None

    def has_to_wait(self, place: MeetingId, who: ParticipantId) -> bool:
        """Whether a host has to let them in first."""
        leads = self.role_of(who) in (Role.HOST, Role.CO_HOST)
        asks = place == MAIN and self.settings.require_host_approval
        return asks and not leads and who not in self.admitted and who not in self.inside

    def come_in(self, place: MeetingId, who: ParticipantId, person: Person) -> None:
        """Somebody new is let in."""
        here, stands_in = self.places[place], self.acts(who)
        here.was_used = True
        here.waiting.pop(who, None)
        elsewhere = self.places_of(who)
        mutes = {kind for each, kind in self.muted if each == who}
        if elsewhere:
            mutes = self.places[elsewhere[0]].people[who].mutes
        here.people[who] = person
        person.audio_muted, person.video_muted = "audio" in mutes, "video" in mutes
        if place != MAIN:
            self.inside[who] = place
            return
        self.let_in.discard(who)
        if who in self.inside and who not in self.places[self.inside[who]].people:
            del self.inside[who]
        if person.role is Role.HOST and not stands_in:
            self._give_back()

    def _give_back(self) -> None:
        if self.acting is None:
            return
        (deputy, was), self.acting = self.acting, None
        for place in {MAIN, self.inside.get(deputy, MAIN)}:
            found = self.places[place].people.get(deputy)
            if found and found.role is Role.HOST:
                found.role = was

    # --- going -------------------------------------------------------------------------------

    def go(self, place: MeetingId, who: ParticipantId, *, removed: bool = False) -> None:
        """Somebody is there no more."""
        here = self.places[place]
        gone = here.people.pop(who)
        if not removed:
            self._keep_mutes(who, gone)
        here.streams = {key: stream for key, stream in here.streams.items() if key[0] != who}
        if place == MAIN and self.spotlight == who:
            self.spotlight = None
        if place != MAIN:
            self.main.was_used = True
            if self.inside.get(who) == place:
                del self.inside[who]
        if gone.role is Role.HOST and who not in self.main.people and who not in self.inside:
            self._hand_over(who)

    def _keep_mutes(self, who: ParticipantId, gone: Person) -> None:
        self.muted -= {(who, "audio"), (who, "video")}
        self.muted |= {(who, kind) for kind in gone.mutes}

    def _hand_over(self, left: ParticipantId) -> None:
        if self.acts(left):
            self.acting = None
        visits = [self.places[room].people.get(who) for who, room in self.inside.items()]
        hosts = [p for p in (*visits, *self.main.people.values()) if p and p.role is Role.HOST]
        heirs = [who for who, person in self.main.people.items() if person.role in _HEIRS]
        if hosts or not heirs or not self.settings.host_succession:
            return

        def claim(who: ParticipantId) -> tuple[int, int]:
            return -_HEIRS[self.main.people[who].role], self.main.people[who].joined

        heir = min(heirs, key=claim)
        self.acting = heir, self.main.people[heir].role
        self.main.people[heir].role = Role.HOST

    def sweep(self, gone: list[tuple[MeetingId, ParticipantId]]) -> None:
        """All of these are gone at once, hosts last: none of them takes another's place."""
        for place, who in gone:
            self.places[place].waiting.pop(who, None)
        there = [(place, who) for place, who in gone if who in self.places[place].people]
        for place, who in sorted(
            there, key=lambda each: self.places[each[0]].people[each[1]].role is Role.HOST
        ):
            self.go(place, who)

    def close_room(self, room: MeetingId) -> None:
        """The breakout room ends; those in it may come back."""
        for who, person in self.places[room].people.items():
            self.called_back.add(who)
            self._keep_mutes(who, person)
        self.places[room] = Place()

    def lose_everything(
        self, order: Sequence[MeetingId]
    ) -> list[tuple[MeetingId, ParticipantId, bool]]:
        """Redis forgets all, and replicas put back whom they have, place by place.

        What held in a place where nobody was is lost, and so is who waited. Answers whom they try
        to put back, in order, and whether that is done: not into a room that is known as closed.
        """
        told, tries = False, []
        for place in order:
            for who, person in list(self.places[place].people.items()):
                closed = place != MAIN and told and self.rooms_open is False
                done = not closed or person.role in (Role.HOST, Role.CO_HOST)
                tries.append((place, who, done))
                told = told or self.rooms_open is not None
                if not done:
                    self._lose(place, who)
        self.rooms_open = self.rooms_open if told else None
        for here in self.places.values():
            here.waiting.clear()
            here.was_used = bool(here.people)
        if not self.main.people:
            self.given, self.muted = {}, set()
            self.settings, self.acting, self.spotlight = RoomSettings(), None, None
            self.removed, self.admitted = set(), set()
        self.inside = {
            who: room for room in order if room != MAIN for who in self.places[room].people
        }
        self.called_back.clear()
        self.let_in.clear()
        self.overfull = len(self.main.people.keys() | self.inside.keys()) > LIMIT
        return tries

    def _lose(self, place: MeetingId, who: ParticipantId) -> None:
        here = self.places[place]
        del here.people[who]
        here.streams = {key: stream for key, stream in here.streams.items() if key[0] != who}

    # --- what hosts do -----------------------------------------------------------------------

    def expel(self, who: ParticipantId) -> None:
        """Out of the main meeting, and of the room that they are in or come back from."""
        self.removed.add(who)
        self.admitted.discard(who)
        self.let_in.discard(who)
        self.main.waiting.pop(who, None)
        room = self.inside.get(who)
        if room is not None and who in self.places[room].people:
            self.go(room, who, removed=True)
        elif room is not None:
            del self.inside[who]
            self.main.was_used = True
        if who in self.main.people:
            self.go(MAIN, who, removed=True)

    def change_role(self, place: MeetingId, who: ParticipantId, role: Role) -> None:
        self.given[who] = role
        if self.acts(who):
            self.acting = None
        for each in self.places_of(who, place):
            self.places[each].people[who].role = role

    def mute(self, place: MeetingId, who: ParticipantId, source: Source, on: bool) -> None:
        for each in self.places_of(who, place):
            here = self.places[each]
            person, stream = here.people[who], here.streams.get((who, source))
            if source is Source.MIC:
                person.audio_muted = on
            else:
                person.video_muted = on
            if on:
                person.show(source, False)
            if on and stream:
                stream.paused = True

    def forget(self, place: MeetingId, who: ParticipantId) -> None:
        """Every trace of somebody goes."""
        if who in self.places[place].people:
            self.go(place, who, removed=True)
        self.places[place].waiting.pop(who, None)
        if place != MAIN:
            return
        self.given.pop(who, None)
        self.muted -= {(who, "audio"), (who, "video")}
        self.removed.discard(who)
        self.admitted.discard(who)
        self.let_in.discard(who)
        self.spotlight = None if self.spotlight == who else self.spotlight
        self.acting = None if self.acts(who) else self.acting
        self.inside.pop(who, None)

    # --- streams -----------------------------------------------------------------------------

    def take_screen(self, place: MeetingId, who: ParticipantId) -> type[PlacementError] | None:
        """Takes a place for screens, or says that there is none."""
        several = self.settings.several_screens if place == MAIN else True
        here = self.places[place]
        if not here.people[who].screen and here.screens >= (2 if several else 1):
            return ScreensTaken
        here.people[who].screen = True
        return None

    def send(self, place: MeetingId, who: ParticipantId, source: Source, stream: Stream) -> None:
        person = self.places[place].people[who]
        stream.paused = stream.paused or person.holds(source)
        self.places[place].streams[who, source] = stream
        person.show(source, source is Source.SCREEN or not stream.paused)

    def pause(self, place: MeetingId, who: ParticipantId, source: Source, paused: bool) -> None:
        person, stream = self.places[place].people[who], self.places[place].streams[who, source]
        paused = paused or person.holds(source)
        if stream.paused != paused:
            stream.paused = paused
            if source is not Source.SCREEN:
                person.show(source, not paused)
