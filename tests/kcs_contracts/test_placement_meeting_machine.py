"""A meeting and its breakout rooms against a model, in any order of calls, on a real Redis.

After each step: what placement holds is what the model says; a replica that follows the bus event
by event has the same; nobody is in who was removed or has to wait; no limit is exceeded; and
whatever is empty is idle and forgotten within a day.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis
from tests.support.follower import Follower
from tests.support.placement_meeting import LIMIT, MAIN, PLACES, ROLES, Person, Stream
from tests.support.placement_meeting_rules import (
    HAL,
    MeetingRules,
    anybody,
    anything,
    places,
    switched,
    users,
)

from kcs_contracts.events import ChatPosted
from kcs_contracts.ids import Generation, MeetingId, NodeName, ParticipantId, ProducerId, SessionId
from kcs_contracts.live import Acting, Live
from kcs_contracts.placement import (
    MayNotSend,
    MeetingIsLocked,
    MeetingIsOver,
    NodeLease,
    Presence,
    ScreensTaken,
)
from kcs_contracts.protocol.roles import senders
from kcs_contracts.rooms import Participant, Producer, RoomSnapshot, Source
from kcs_signaling.rooms.state import RoomState

T = TypeVar("T")

DAY_MS = 24 * 3600 * 1000
KINDS = ["home", "people", "producers", "sources", "waiting", "live", "screens", "inside", "log"]
NODE = NodeName("a")


class MeetingMachine(MeetingRules):
    """The rules are what people and hosts do, and bad luck."""

    # What people do --------------------------------------------------------------------------

    @precondition(anybody)
    @rule(data=st.data(), what=st.sampled_from(["hand", "quality"]), on=st.booleans())
    def somebody_shows_something(self, data: st.DataObject, what: str, on: bool) -> None:
        place, who = self.draw_person(data)
        person = self.model.places[place].people[who]
        if what == "hand":
            assert self.run(self.placement.hand(place, who, on))
            person.hand = on
        else:
            person.quality = "good" if on else "poor"
            assert self.run(self.placement.report_stats(place, who, {}, person.quality))

    @precondition(anybody)
    @rule(data=st.data(), source=switched, on=st.booleans())
    def somebody_toggles(self, data: st.DataObject, source: Source, on: bool) -> None:
        place, who = self.draw_person(data)
        person, kind = self.model.places[place].people[who], source.kind
        session = SessionId(person.session)
        assert self.run(self.placement.toggle_media(place, who, session, kind, on))
        person.show(source, on)

    @precondition(anybody)
    @rule(data=st.data(), source=st.sampled_from(Source), paused=st.booleans())
    def somebody_sends(self, data: st.DataObject, source: Source, paused: bool) -> None:
        place, who = self.draw_person(data)
        stream = Stream(f"p{next(self.numbers)}", paused)
        producer = Producer(
            id=ProducerId(stream.id), participant_id=who, source=source, paused=paused
        )
        state = self.run(self.placement.snapshot(place))
        call = self.placement.open_producer(
            place,
            producer,
            epoch=state.assignment.epoch,
            generation=state.generation,
            roles=senders(source),
        )
        if self.model.places[place].people[who].role not in senders(source):
            with pytest.raises(MayNotSend):
                self.run(call)
        elif source is Source.SCREEN and self.model.take_screen(place, who):
            with pytest.raises(ScreensTaken):
                self.run(call)
        else:
            older = self.model.places[place].streams.get((who, source))
            assert self.run(call) == (older.id if older else None)
            self.model.send(place, who, source, stream)

    @precondition(anything)
    @rule(data=st.data(), what=st.sampled_from(["pause", "resume", "close"]))
    def a_stream_changes(self, data: st.DataObject, what: str) -> None:
        streams = [(p, *key) for p in PLACES for key in sorted(self.model.places[p].streams)]
        place, who, source = data.draw(st.sampled_from(streams))
        here = self.model.places[place]
        which = ProducerId(here.streams[who, source].id)
        if what == "close":
            assert self.run(self.placement.close_producer(place, which, who))
            del here.streams[who, source]
            here.people[who].show(source, False)
        else:
            paused = what == "pause"
            assert self.run(self.placement.pause_producer(place, which, who, paused))
            self.model.pause(place, who, source, paused)

    @precondition(anybody)
    @rule(data=st.data(), on=st.sampled_from([True, True, False]))
    def a_screen_is_begun_or_ended(self, data: st.DataObject, on: bool) -> None:
        place, who = self.draw_person(data)
        person = self.model.places[place].people[who]
        if not on:
            assert self.run(self.placement.stop_screen(place, who))
            person.screen = False
            return
        call = self.placement.start_screen(place, who, SessionId(person.session))
        if self.model.take_screen(place, who):
            with pytest.raises(ScreensTaken):
                self.run(call)
        else:
            self.run(call)

    @precondition(anybody)
    @rule()
    def somebody_says_something(self) -> None:
        said = ChatPosted(message_id="m", sender_id=HAL, sender_name="Hal", text="hi", at_ms=1)
        self.chat.append(self.run(self.placement.publish(MAIN, said)))
        kept = self.run(self.placement.kept_news(MAIN, self.chat[-3:][0] - 1))
        assert [each.version for each in kept] == self.chat[-3:]

    # Bad luck --------------------------------------------------------------------------------

    @precondition(anything)
    @rule(place=places)
    def a_worker_dies(self, place: MeetingId) -> None:
        state = self.run(self.placement.snapshot(place))
        generation = Generation(state.generation + 1)
        self.run(self.placement.reset_media(place, NODE, state.assignment.epoch, generation))
        self.model.places[place].streams.clear()

    @precondition(lambda self: self.calm > 10)
    @rule(who=users)
    def somebody_is_erased(self, who: ParticipantId) -> None:
        self.calm = 0
        for place in PLACES:
            self.run(self.placement.forget_person(place, who))
            self.model.forget(place, who)
        self.chat.clear()

    @precondition(lambda self: self.calm > 10)
    @rule(order=st.permutations(PLACES))
    def redis_loses_everything(self, order: list[MeetingId]) -> None:
        """The replicas put back whom they have sockets of; whoever waits asks again later."""
        self.calm = 0
        states = {place: follower.state for place, follower in self.followers.items()}
        self.run(self.redis.flushall())
        self.run(asyncio.sleep(0.02))  # versions are ahead of the clock by a few ms
        self.followers = {place: Follower(place) for place in PLACES}
        self.chat.clear()
        self.run(self.placement.renew(self.lease("a"), []))
        for place, who, done in self.model.lose_everything(order):
            self.run(self.put_back(states[place], states[place].participants[who], done))
        for place in PLACES:
            self.run(self.placement.assign(place, warmup_ms=0))

    async def put_back(self, state: RoomState, participant: Participant, done: bool) -> None:
        presence = Presence(state.meeting_id, participant.id, participant.session)
        assert await self.placement.touch([presence]) == [presence]
        for _ in range(2):  # the second changes nothing
            call = self.placement.restore(
                state.meeting_id,
                participant,
                state.producers_of(participant.id),
                epoch=state.epoch,
                generation=state.generation,
                live=state.live.fields,
            )
            if done:
                assert await call
            else:
                with pytest.raises(MeetingIsLocked):
                    await call

    # What holds after every step -------------------------------------------------------------

    @invariant()
    def placement_and_whoever_hears_the_bus_know_what_the_model_says(self) -> None:
        self.calm += 1
        for published in self.run(self.ear.new()):
            self.followers[published.meeting_id].hear(published)
        for place, snapshot in zip(PLACES, self.run(self.all_snapshots()), strict=True):
            self.followers[place].agrees_with(snapshot)
            here = self.model.places[place]
            assert {p.id: _person(p) for p in snapshot.participants} == {
                who: _expected(person) for who, person in here.people.items()
            }
            assert {w.id: (w.session, w.display_name) for w in snapshot.waiting} == here.waiting
            assert {(p.participant_id, p.source): (p.id, p.paused) for p in snapshot.producers} == {
                key: (stream.id, stream.paused) for key, stream in here.streams.items()
            }
            self.is_bounded(place, snapshot)

    def is_bounded(self, place: MeetingId, snapshot: RoomSnapshot) -> None:
        people = {p.id for p in snapshot.participants}
        assert len(people) <= LIMIT
        assert sum(p.screen_sharing for p in snapshot.participants) <= 2
        assert not people & {w.id for w in snapshot.waiting}
        elsewhere = {who for who in people if self.model.inside.get(who, place) != place}
        assert not (people - elsewhere) & self.model.removed
        marks = {field for field in snapshot.live if ":" in field}
        assert place == MAIN or not marks, "they are the main meeting's"
        if place == MAIN:
            assert len(people | snapshot.inside.keys()) <= LIMIT or self.model.overfull
            self.holds(snapshot)

    def holds(self, snapshot: RoomSnapshot) -> None:
        live, model = Live(snapshot.live), self.model
        marks = {
            *(f"removed:{who}" for who in model.removed),
            *(f"admitted:{who}" for who in model.admitted),
            *(f"role:{who}" for who in model.given),
            *(f"muted_{kind}:{who}" for who, kind in model.muted),
        }
        assert {field for field in live.fields if ":" in field} == marks
        assert {who: live.role_of(who) for who in model.given} == model.given
        acting = Acting(id=model.acting[0], was=model.acting[1]) if model.acting else None
        assert (live.acting, live.spotlight) == (acting, model.spotlight)
        assert live.settings == model.settings
        assert (live.breakouts.open if live.breakouts else None) == model.rooms_open
        assert snapshot.inside == model.inside

    @invariant()
    def whatever_is_empty_is_idle_and_forgotten_within_a_day(self) -> None:
        idle, present, left = self.run(self.kept())
        for place in PLACES:
            lasts = {kind: ms for kind, ms in left[place].items() if ms != -2}
            if self.model.is_empty(place):
                assert lasts.keys() <= {"home", "live", "log"}
                assert all(0 < ms <= DAY_MS for ms in lasts.values())
                assert place in idle or not self.model.places[place].was_used
            else:
                assert place not in idle
                assert {lasts.get("home"), lasts.get("live")} <= {-1, None}
        expected = {
            f"{place}/{who}"
            for place, here in self.model.places.items()
            for who in here.people.keys() | here.waiting.keys()
        }
        assert expected <= present
        assert present - expected <= {f"{MAIN}/{who}" for who in self.model.called_back}

    async def kept(self) -> tuple[set[str], set[str], dict[MeetingId, dict[str, int]]]:
        """Who is idle, who is present, and how long each key is kept, in ms."""
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.zrange("kcs:idle", 0, -1)
        pipeline.zrange("kcs:presence", 0, -1)
        for place in PLACES:
            for kind in KINDS:
                pipeline.pttl(f"kcs:{kind}:{place}")
        idle, present, *left = await pipeline.execute()
        rows = zip(*[iter(left)] * len(KINDS), strict=True)
        lasts = {
            place: dict(zip(KINDS, row, strict=True))
            for place, row in zip(PLACES, rows, strict=True)
        }
        return {m.decode() for m in idle}, {m.decode() for m in present}, lasts

    async def all_snapshots(self) -> list[RoomSnapshot]:
        return await asyncio.gather(*(self.placement.snapshot(place) for place in PLACES))

    def teardown(self) -> None:
        """The meeting ends: nothing of it is kept but that it is over, whatever comes late."""
        self.run(self.the_meeting_ends())

    async def the_meeting_ends(self) -> None:
        for place in PLACES:
            assert await self.placement.end(place, "ended_by_host")
        for place in PLACES:
            for who in ROLES:
                assert not await self.placement.leave(place, who, SessionId("s1"))
                assert not await self.placement.expel(place, who, absent=True)
                assert not await self.placement.hand(place, who, True)
                await self.placement.forget_person(place, who)
            with pytest.raises(MeetingIsOver):
                await self.placement.welcome(place, [HAL])
            assert await self.placement.admit(place) == []
        left = {key.decode() async for key in self.redis.scan_iter("*main*")}
        assert left == {f"kcs:ended:{place}" for place in PLACES}
        assert await self.redis.zcard("kcs:idle") == 0
        called_back = {f"{MAIN}/{who}" for who in self.model.called_back}
        assert {m.decode() for m in await self.redis.zrange("kcs:presence", 0, -1)} <= called_back


def _person(p: Participant) -> tuple[object, ...]:
    shows = p.audio_enabled, p.video_enabled, p.screen_sharing, p.audio_muted, p.video_muted
    return p.session, p.display_name, p.role, *shows, p.hand_raised_at_ms is not None, p.quality


def _expected(p: Person) -> tuple[object, ...]:
    shows = p.audio, p.video, p.screen, p.audio_muted, p.video_muted
    return p.session, p.name, p.role, *shows, p.hand, p.quality


def test_a_meeting_keeps_its_promises_in_any_order_of_calls(
    redis_url: str,
    new_ear: Callable[[Redis], Awaitable[Any]],
    lease: Callable[..., NodeLease],
) -> None:
    with asyncio.Runner() as runner:

        def run(call: Awaitable[T]) -> T:
            async def awaited() -> T:
                return await call

            return runner.run(awaited())

        redis = Redis.from_url(redis_url)
        ear = run(new_ear(redis))
        run_state_machine_as_test(
            lambda: MeetingMachine(run, redis, ear, lease),
            settings=settings(
                max_examples=40,
                stateful_step_count=50,
                derandomize=True,
                deadline=None,
                phases=[Phase.generate],  # as in test_placement_machine
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        run(redis.aclose())
