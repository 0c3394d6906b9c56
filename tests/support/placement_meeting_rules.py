"""What people and hosts do in a meeting, as rules of a state machine over `MeetingModel`.

`test_placement_meeting_machine` adds what people send, bad luck, and what has to hold.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from redis.asyncio import Redis
from tests.support.follower import Follower
from tests.support.placement_meeting import LIMIT, MAIN, PLACES, ROLES, ROOMS, MeetingModel, Person

from kcs_contracts.ids import MeetingId, ParticipantId, SessionId
from kcs_contracts.live import as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import NodeLease, Placement, Waits
from kcs_contracts.rooms import BreakoutRoom, Breakouts, Participant, Role, Source

HAL = ParticipantId("hal")

places = st.sampled_from([MAIN, MAIN, *ROOMS])
users = st.sampled_from(sorted(ROLES))
sessions = st.sampled_from(["s1", "s1", "s2"])
switched = st.sampled_from([Source.MIC, Source.CAMERA])


def anybody(machine: "MeetingRules") -> bool:
    return any(place.people for place in machine.model.places.values())


def somebody_waits(machine: "MeetingRules") -> bool:
    return bool(machine.model.main.waiting)


def anything(machine: "MeetingRules") -> bool:
    return any(place.streams for place in machine.model.places.values())


class MeetingRules(RuleBasedStateMachine):
    """The rules are what people and hosts do."""

    def __init__(
        self,
        run: Callable[[Awaitable[Any]], Any],
        redis: Redis,
        ear: Any,
        lease: Callable[..., NodeLease],
    ):
        super().__init__()
        self.run, self.redis, self.ear, self.lease = run, redis, ear, lease
        self.placement = Placement(redis)
        self.model = MeetingModel()
        self.followers = {place: Follower(place) for place in PLACES}
        self.numbers = itertools.count(1)
        self.chat: list[int] = []
        """Versions of what was said in the main meeting and is kept."""
        self.calm = 0

    @initialize()
    def a_meeting_has_a_home(self) -> None:
        self.run(self.redis.flushall())
        self.run(self.ear.new())
        self.run(self.placement.renew(self.lease("a"), []))
        for place in PLACES:
            self.run(self.placement.assign(place, warmup_ms=0))

    # Coming and going ------------------------------------------------------------------------

    @precondition(lambda self: sum(len(here.people) for here in self.model.places.values()) < 3)
    @rule(who=st.permutations(sorted(ROLES)), place=places)
    def people_come(self, who: list[ParticipantId], place: MeetingId) -> None:
        """A meeting with nobody in it is soon understood."""
        for each in who[:4]:
            self.somebody_joins(MAIN, each, "s1", "A")
        for each in who[:2]:
            self.somebody_joins(place, each, "s1", "A")

    @rule(place=places, who=users, session=sessions, name=st.sampled_from(["A", "A", "B"]))
    def somebody_joins(self, place: MeetingId, who: ParticipantId, session: str, name: str) -> None:
        model = self.model
        live = {"settings": as_json(RoomSettings()), "host_id": as_json(HAL)}
        if place != MAIN:
            live["parent"] = as_json(MAIN)
        participant = Participant(
            id=who,
            display_name=name,
            role=model.role_by_token(who),
            session=SessionId(session),
            joined_at_ms=1,
        )
        self.run(asyncio.sleep(0.001))  # two who join at the same moment are heirs alike
        call = self.placement.join(place, participant, limit=LIMIT, live=live)
        known = model.places[place].people.get(who)
        if known is not None:
            joined = self.run(call)
            assert joined.resumed
            assert joined.replaced == (known.session if known.session != session else None)
            known.session, known.name = session, name
        elif why := model.refusal(place, who):
            with pytest.raises(why):
                self.run(call)
        elif model.has_to_wait(place, who):
            assert isinstance(self.run(call), Waits)
            model.places[place].waiting[who] = session, name
            model.places[place].was_used = True
        else:
            joined = self.run(call)
            role = model.role_of(who)
            assert (joined.resumed, joined.participant.role) == (False, role)
            person = Person(session, name, role, joined=next(self.numbers))
            model.come_in(place, who, person)
            assert joined.count == len(model.places[place].people)

    @precondition(anybody)
    @rule(who=users)
    def somebody_comes_who_has_to_ask(self, who: ParticipantId) -> None:
        settings = self.model.settings.model_copy(
            update={"require_host_approval": True, "locked": False}
        )
        self.run(self.placement.update_settings(MAIN, settings, HAL))
        self.model.settings = settings
        self.somebody_joins(MAIN, who, "s1", "A")

    @precondition(somebody_waits)
    @rule(data=st.data(), session=sessions, approval=st.booleans())
    def somebody_who_waits_asks_again(
        self, data: st.DataObject, session: str, approval: bool
    ) -> None:
        settings = RoomSettings(require_host_approval=approval)
        self.run(self.placement.update_settings(MAIN, settings))
        self.model.settings = settings
        who = data.draw(st.sampled_from(sorted(self.model.main.waiting)))
        self.somebody_joins(MAIN, who, session, "A")

    @precondition(lambda self: len(self.model.main.people) > 1)
    @rule()
    def the_host_goes(self) -> None:
        for who, person in sorted(self.model.main.people.items()):
            if person.role is Role.HOST:
                session = SessionId(person.session)
                assert self.run(self.placement.leave(MAIN, who, session))
                self.model.go(MAIN, who)
                return

    @precondition(lambda self: self.model.acting and self.calm % 4 == 0)
    @rule()
    def the_host_comes_back(self) -> None:
        self.somebody_joins(MAIN, HAL, "s1", "A")

    @precondition(anybody)
    @rule(data=st.data(), session=sessions)
    def somebody_leaves(self, data: st.DataObject, session: str) -> None:
        place, who = self.draw_person(data)
        is_theirs = self.model.places[place].people[who].session == session
        assert self.run(self.placement.leave(place, who, SessionId(session))) == is_theirs
        if is_theirs:
            self.model.go(place, who)

    @precondition(anybody)
    @rule(data=st.data(), to=places)
    def somebody_goes_elsewhere(self, data: st.DataObject, to: MeetingId) -> None:
        """As signaling does it: into the other place first, then out of the one before."""
        place, who = self.draw_person(data)
        session = self.model.places[place].people[who].session
        self.somebody_joins(to, who, session, "A")
        if to != place and who in self.model.places[to].people:
            assert self.run(self.placement.leave(place, who, SessionId(session)))
            self.model.go(place, who)

    @precondition(anybody)
    @rule(data=st.data())
    def some_are_lost(self, data: st.DataObject) -> None:
        everybody = [
            (place, who, session)
            for place, here in self.model.places.items()
            for who, session in [
                *((who, person.session) for who, person in here.people.items()),
                *((who, session) for who, (session, _) in here.waiting.items()),
            ]
        ]
        lost = data.draw(st.lists(st.sampled_from(everybody), min_size=1, max_size=2, unique=True))
        for place, who, session in lost:
            assert self.run(self.placement.away(place, who, SessionId(session), 0))
        self.run(asyncio.sleep(0.002))
        there = {(p, who) for p, who, _ in lost if who in self.model.places[p].people}
        assert set(self.run(self.placement.sweep())) == there
        self.model.sweep([(place, who) for place, who, _ in lost])

    # What hosts do ---------------------------------------------------------------------------

    @precondition(anybody)
    @rule(
        approval=st.booleans(),
        locked=st.sampled_from([False, False, True]),
        several=st.booleans(),
        succession=st.sampled_from([True, True, False]),
    )
    def a_host_changes_the_settings(
        self, approval: bool, locked: bool, several: bool, succession: bool
    ) -> None:
        self.model.settings = RoomSettings(
            require_host_approval=approval,
            locked=locked,
            several_screens=several,
            host_succession=succession,
        )
        self.run(self.placement.update_settings(MAIN, self.model.settings, HAL))

    @precondition(somebody_waits)
    @rule(who=users, named=st.booleans())
    def a_host_admits(self, who: ParticipantId, named: bool) -> None:
        waiting = self.model.main.waiting
        expected = {who} & waiting.keys() if named else set(waiting)
        assert set(self.run(self.placement.admit(MAIN, [who] if named else []))) == expected
        self.model.admitted |= expected
        self.model.let_in |= expected
        for each in expected:
            del waiting[each]

    @precondition(somebody_waits)
    @rule(who=users)
    def a_host_turns_away(self, who: ParticipantId) -> None:
        waits = self.model.main.waiting.pop(who, None) is not None
        assert self.run(self.placement.deny(MAIN, who, "no")) == waits

    @precondition(anybody)
    @rule(who=users)
    def a_host_adds(self, who: ParticipantId) -> None:
        self.run(self.placement.welcome(MAIN, [who]))
        self.model.removed.discard(who)
        self.model.admitted.add(who)
        if self.model.main.waiting.pop(who, None):
            self.model.let_in.add(who)

    @precondition(lambda self: self.calm > 6 and anybody(self))
    @rule(who=users, absent=st.booleans())
    def a_host_removes(self, who: ParticipantId, absent: bool) -> None:
        self.calm = 0
        main = self.model.main
        there = any(who in where for where in (main.people, main.waiting, self.model.inside))
        done = self.run(self.placement.expel(MAIN, who, "out", absent=absent))
        assert done == (there or absent)
        if done:
            self.model.expel(who)

    @precondition(anybody)
    @rule(data=st.data(), role=st.sampled_from(Role))
    def a_host_changes_a_role(self, data: st.DataObject, role: Role) -> None:
        place, who = self.draw_person(data)
        where = self.run(self.placement.change_role(place, who, role, HAL))
        assert where == self.model.places_of(who, place)
        self.model.change_role(place, who, role)

    @precondition(anybody)
    @rule(data=st.data(), source=switched, on=st.booleans())
    def a_host_mutes(self, data: st.DataObject, source: Source, on: bool) -> None:
        place, who = self.draw_person(data)
        where = self.run(self.placement.mute(place, who, source.kind, on, HAL))
        assert where == self.model.places_of(who, place)
        self.model.mute(place, who, source, on)

    @precondition(anybody)
    @rule(on=st.booleans())
    def a_host_opens_or_closes_the_rooms(self, on: bool) -> None:
        rooms = tuple(BreakoutRoom(id=room, name=room) for room in ROOMS)
        breakouts = Breakouts(open=on, rooms=rooms, choose=True)
        self.run(self.placement.change_live(MAIN, "breakouts", breakouts, HAL))
        self.model.rooms_open = on
        for room in ROOMS:
            if on:
                self.run(self.placement.change_live(room, "parent", MAIN))
            else:
                self.run(self.placement.end(room, "breakout_closed"))
                self.model.close_room(room)
                self.run(self.placement.assign(room, warmup_ms=0))

    @precondition(anybody)
    @rule(who=users, guess=users, guesses=st.booleans())
    def a_host_lights_somebody(
        self, who: ParticipantId, guess: ParticipantId, guesses: bool
    ) -> None:
        if guesses:
            call = self.placement.change_live(MAIN, "spotlight", who, expected=guess)
            done = self.model.spotlight in (guess, who)
        else:
            call, done = self.placement.change_live(MAIN, "spotlight", who, HAL), True
        assert self.run(call) == done
        self.model.spotlight = who if done else self.model.spotlight

    def draw_person(self, data: st.DataObject) -> tuple[MeetingId, ParticipantId]:
        everybody = [(p, who) for p in PLACES for who in sorted(self.model.places[p].people)]
        return data.draw(st.sampled_from(everybody))
