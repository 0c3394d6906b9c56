"""Placement against a model of it in plain Python, in any order of calls, on a real Redis.

The model knows the nodes' processes (which boot hosts what, alive or hung), each meeting's home,
people and producers, and every epoch ever given out. After each step a replica that knows only
what the bus told it has to agree with Redis's own snapshot. What hosts and people do in one
meeting and its breakout rooms has a machine of its own, `test_placement_meeting_machine`.
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
from tests.support.placement_nodes import MEETINGS, NodesMachine, meetings

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, ProducerId
from kcs_contracts.placement import MeetingFull, MeetingIsOver, NodeLease, Presence, StaleEpoch
from kcs_contracts.rooms import Participant, Producer, RoomSnapshot, Source

T = TypeVar("T")

USERS = [ParticipantId(f"u{n}") for n in range(3)]
LIMIT = 2
FLAGS = {Source.MIC: "audio_enabled", Source.CAMERA: "video_enabled"}

users = st.sampled_from(USERS)
sessions = st.sampled_from(["s1", "s2"])
sources = st.sampled_from([Source.MIC, Source.CAMERA])


class PlacementMachine(NodesMachine):
    """The rules are what nodes, replicas, the operator and bad luck do."""

    @precondition(lambda self: self.calm > 8)
    @rule(meeting=meetings)
    def a_meeting_ends(self, meeting: MeetingId) -> None:
        self.calm = 0
        assert self.run(self.placement.end(meeting, "expired")) == (meeting not in self.over)
        self.over.add(meeting)
        self.homes.pop(meeting, None)
        self.expected.pop(meeting, None)
        self.people[meeting].clear()
        self.is_empty_now(meeting)
        self.stays(meeting)

    @rule(
        meeting=meetings,
        who=st.sets(users, min_size=1, max_size=LIMIT),
        source=sources,
        expected=st.sampled_from([0, 20]),
    )
    def people_meet(
        self, meeting: MeetingId, who: set[ParticipantId], source: Source, expected: int
    ) -> None:
        self.somebody_assigns(meeting, expected, "packed", True)
        for user in sorted(who):
            self.somebody_joins(meeting, user, "s1")
        for user in sorted(who & set(self.people[meeting])):
            self.send(meeting, user, source, is_paused=False, lag=0)

    @precondition(lambda self: len(self.current) > 1)
    @rule(
        meeting=meetings,
        after=st.sampled_from(["nothing", "all cross", "given up", "the node renews"]),
    )
    def a_meeting_moves(self, meeting: MeetingId, after: str) -> None:
        """With all that it needs, which seldom comes about by itself."""
        for process in self.current.values():
            process.consumers = 0
        for name in sorted(self.current):
            self.leased[name] = True
            self.renew(name, self.current[name])
        self.people_meet(meeting, {USERS[0]}, Source.MIC, 0)
        if not self.people[meeting] or meeting not in self.homes or not self.is_live(meeting):
            return
        self.migrate(meeting, is_stale=False)
        if meeting not in self.moves:
            return
        moving = self.moves[meeting]
        if after == "all cross":
            everybody = sorted(self.people[meeting])
            self.run(self.placement.cross(meeting, moving.epoch, everybody))
            self.crossed[meeting] |= set(everybody)
            self.tend()
        elif after == "given up":
            self.give_up(meeting)
        elif after == "the node renews" and self.is_alive(moving):
            self.renew(moving.node, self.current[moving.node])

    # People and streams ----------------------------------------------------------------------

    @rule(meeting=meetings, user=users, session=sessions)
    def somebody_joins(self, meeting: MeetingId, user: ParticipantId, session: str) -> None:
        inside = self.people[meeting]
        call = self.placement.join(meeting, self.person(user, session), limit=LIMIT)
        if meeting in self.over:
            with pytest.raises(MeetingIsOver):
                self.run(call)
        elif user not in inside and len(inside) >= LIMIT:
            with pytest.raises(MeetingFull):
                self.run(call)
        else:
            joined = self.run(call)
            before = inside.get(user)
            assert joined.resumed == (before is not None)
            assert joined.replaced == (before if before != session else None)
            inside[user] = session
            assert joined.count == len(inside)

    @precondition(lambda self: any(self.people.values()))
    @rule(data=st.data(), session=sessions)
    def somebody_leaves(self, data: st.DataObject, session: str) -> None:
        meeting, user = self.draw_person(data)
        is_theirs = self.people[meeting][user] == session
        assert self.run(self.placement.leave(meeting, user, session)) == is_theirs
        if is_theirs:
            del self.people[meeting][user]
            self.crossed[meeting].discard(user)
            self.is_empty_now(meeting)

    @precondition(lambda self: any(self.people.values()))
    @rule(data=st.data())
    def somebody_is_lost(self, data: st.DataObject) -> None:
        meeting, user = self.draw_person(data)
        session = self.people[meeting].pop(user)
        self.crossed[meeting].discard(user)
        self.is_empty_now(meeting)
        assert self.run(self.placement.away(meeting, user, session, 0))
        self.run(asyncio.sleep(0.002))
        assert self.run(self.placement.sweep()) == [(meeting, user)]

    @precondition(lambda self: any(self.people.values()))
    @rule(data=st.data(), source=sources, is_paused=st.booleans(), lag=st.sampled_from([0, 0, 1]))
    def somebody_sends(
        self, data: st.DataObject, source: Source, is_paused: bool, lag: int
    ) -> None:
        meeting, user = self.draw_person(data)
        self.send(meeting, user, source, is_paused=is_paused, lag=lag)

    def send(
        self, meeting: MeetingId, user: ParticipantId, source: Source, *, is_paused: bool, lag: int
    ) -> None:
        home, generation = self.homes.get(meeting, (None, 0))
        epoch = Epoch((home.epoch if home else 1) - lag)
        producer = Producer(
            id=ProducerId(f"p{next(self.streams)}"),
            participant_id=user,
            source=source,
            paused=is_paused,
        )
        call = self.placement.open_producer(
            meeting, producer, epoch=epoch, generation=Generation(generation)
        )
        if not self.is_media(meeting, epoch, generation):
            with pytest.raises(StaleEpoch):
                self.run(call)
            return
        self.run(call)
        found = self.run(self.placement.snapshot(meeting))
        assert producer in found.producers
        flags = {p.id: getattr(p, FLAGS[source]) for p in found.participants}
        assert flags[user] == (not is_paused)

    @precondition(lambda self: any(self.people[m] for m in self.moves))
    @rule(data=st.data(), source=sources)
    def somebody_sends_to_the_next_home(self, data: st.DataObject, source: Source) -> None:
        moving = sorted(m for m in self.moves if self.people[m])
        meeting = data.draw(st.sampled_from(moving))
        user = data.draw(st.sampled_from(sorted(self.people[meeting])))
        producer = Producer(
            id=ProducerId(f"p{next(self.streams)}"), participant_id=user, source=source
        )
        before = self.run(self.placement.snapshot(meeting))
        epoch = self.moves[meeting].epoch
        call = self.placement.open_producer(
            meeting, producer, epoch=epoch, generation=Generation(0)
        )
        self.run(call)
        after = self.run(self.placement.snapshot(meeting))
        assert after.producers == before.producers
        assert after.next is not None
        mine = [p for p in after.next.producers if p.participant_id == user]
        assert [p for p in mine if p.source is source] == [producer], "one of each source"

    @precondition(lambda self: any(one.producers for one in self.replicas.values()))
    @rule(data=st.data(), what=st.sampled_from(["pause", "resume", "close"]))
    def a_stream_changes(self, data: st.DataObject, what: str) -> None:
        streams = [(m, p) for m in MEETINGS for p in self.replicas[m].producers]
        meeting, producer = data.draw(st.sampled_from(streams))
        place, owner = self.placement, producer.participant_id
        if what == "close":
            assert self.run(place.close_producer(meeting, producer.id, owner))
        else:
            assert self.run(place.pause_producer(meeting, producer.id, owner, what == "pause"))

    def draw_person(self, data: st.DataObject) -> tuple[MeetingId, ParticipantId]:
        everybody = [(m, user) for m in MEETINGS for user in sorted(self.people[m])]
        return data.draw(st.sampled_from(everybody))

    # Bad luck --------------------------------------------------------------------------------

    @precondition(lambda self: self.calm > 12)
    @rule()
    def redis_loses_everything(self) -> None:
        """All nodes that hold a lease renew before anybody assigns: what the warm-up is for."""
        self.calm = 0
        remembered = self.replicas
        self.run(self.redis.flushall())
        self.run(asyncio.sleep(0.02))  # far less than the warm-up: epochs are ahead by a few ms
        for meeting in MEETINGS:
            self.stays(meeting)
        for state in (
            *(self.homes, self.drained, self.over, self.expected, self.reserved, self.last),
        ):
            state.clear()
        self.leased = dict.fromkeys(self.leased, False) | {
            name: True for name, leased in self.leased.items() if leased
        }
        self.older.clear()
        self.seen.clear()
        for name, leased in self.leased.items():
            if leased:
                self.renew(name, self.current[name])
        self.replicas = {m: Follower(m) for m in MEETINGS}
        for meeting, replica in remembered.items():
            self.replicas_restore(meeting, replica)

    def replicas_restore(self, meeting: MeetingId, replica: Follower) -> None:
        presences = [Presence(meeting, p.id, p.session) for p in replica.participants.values()]
        assert self.run(self.placement.touch(presences)) == presences
        home, generation = self.homes.get(meeting, (None, 0))
        for participant in replica.participants.values():
            mine = [p for p in replica.producers if p.participant_id == participant.id]
            assert self.run(
                self.placement.restore(
                    meeting,
                    participant,
                    mine,
                    epoch=home.epoch if home else Epoch(0),
                    generation=Generation(generation),
                )
            )

    # What holds after every step -------------------------------------------------------------

    @invariant()
    def a_replica_that_hears_the_bus_knows_what_redis_knows(self) -> None:
        self.calm += 1
        for published in self.run(self.ear.new()):
            self.replicas[published.meeting_id].hear(published)
        for meeting, snapshot in zip(MEETINGS, self.run(self.all_snapshots()), strict=True):
            self.replicas[meeting].agrees_with(snapshot)
            assert {p.id: p.session for p in snapshot.participants} == self.people[meeting]
            assert len(snapshot.participants) <= LIMIT
            home, generation = self.homes.get(meeting, (None, 0))
            assert (snapshot.assignment, snapshot.generation) == (home, generation)
            moving = snapshot.next.assignment if snapshot.next else None
            assert moving == self.moves.get(meeting)

    async def all_snapshots(self) -> list[RoomSnapshot]:
        return await asyncio.gather(*(self.placement.snapshot(m) for m in MEETINGS))

    @invariant()
    def nobody_hosts_the_same_epoch_of_a_meeting_elsewhere(self) -> None:
        for meeting, (home, _) in self.homes.items():
            assert self.issued[meeting][home.epoch] == (home.node, home.boot)

    @invariant()
    def what_is_reserved_is_what_was_promised_and_has_not_come(self) -> None:
        for view in self.run(self.placement.nodes()):
            assert view.reserved == pytest.approx(self.reserved_on(view.node), abs=0.01)

    @invariant()
    def the_lost_meetings_are_those_without_a_live_node(self) -> None:
        lost = self.run(self.placement.lost_meetings(MEETINGS))
        assert {one.meeting_id for one in lost} == {m for m in self.homes if not self.is_live(m)}


def test_placement_keeps_its_promises_in_any_order_of_calls(
    redis_url: str,
    new_ear: Callable[[Redis], Awaitable[Any]],
    lease: Callable[..., NodeLease],
    person: Callable[..., Participant],
) -> None:
    with asyncio.Runner() as runner:

        def run(call: Awaitable[T]) -> T:
            async def awaited() -> T:
                return await call

            return runner.run(awaited())

        redis = Redis.from_url(redis_url)
        ear = run(new_ear(redis))
        run_state_machine_as_test(
            lambda: PlacementMachine(run, redis, ear, lease, person),
            settings=settings(
                max_examples=50,
                stateful_step_count=40,
                derandomize=True,
                deadline=None,
                phases=[
                    Phase.generate
                ],  # to look into a failure add Phase.shrink: it takes minutes
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        run(redis.aclose())
