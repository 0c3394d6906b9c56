"""Placement against a model of it in plain Python, in any order of calls, on a real Redis.

The model knows the nodes' processes (which boot hosts what, alive or hung), each meeting's home,
people and producers, and every epoch ever given out. After each step a replica that knows only
what the bus told it has to agree with Redis's own snapshot.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from kcs_contracts.events import (
    MediaReset,
    MediaToggled,
    MeetingEnded,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    ProducerPaused,
    Published,
    SessionReplaced,
)
from kcs_contracts.ids import Epoch, Generation, MeetingId, NodeName, ParticipantId, ProducerId
from kcs_contracts.placement import (
    Hosted,
    MeetingFull,
    MeetingIsOver,
    NoCapacity,
    NodeLease,
    Placement,
    Presence,
    StaleEpoch,
)
from kcs_contracts.rooms import Assignment, Participant, Producer, RoomSnapshot, Source

T = TypeVar("T")

NODES = [NodeName(name) for name in ("a", "b", "c")]
MEETINGS = [MeetingId(name) for name in ("m1", "m2", "m3")]
USERS = [ParticipantId(f"u{n}") for n in range(3)]
LIMIT = 2
CAPACITY = 300
FLAGS = {Source.MIC: "audio_enabled", Source.CAMERA: "video_enabled"}

nodes = st.sampled_from(NODES)
meetings = st.sampled_from(MEETINGS)
users = st.sampled_from(USERS)
sessions = st.sampled_from(["s1", "s2"])
sources = st.sampled_from([Source.MIC, Source.CAMERA])
loads = st.sampled_from([0, 0, 50, 100, 250])


@dataclass
class Process:
    """One life of a node: what it hosts, by meeting, as (epoch, generation)."""

    boot: str
    consumers: int = 0
    hosted: dict[MeetingId, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Replica:
    """A signaling replica's picture of one meeting, made from events alone."""

    version: int = 0
    participants: dict[str, Participant] = field(default_factory=dict)
    producers: dict[str, Producer] = field(default_factory=dict)

    def hear(self, published: Published) -> None:
        assert self.version in (0, published.version - 1), "a gap in the versions"
        self.version = published.version
        event, people, streams = published.event, self.participants, self.producers
        match event:
            case ParticipantJoined(participant=participant):
                people[participant.id] = participant
                assert event.count == len(people)
            case ParticipantLeft(participant_id=who):
                del people[who]
                self.producers = {k: p for k, p in streams.items() if p.participant_id != who}
                assert event.count == len(people)
            case SessionReplaced(participant_id=who, new_session=session):
                assert people[who].session == event.old_session
                people[who] = people[who].model_copy(update={"session": session})
            case MediaToggled(participant_id=who, kind=kind, enabled=enabled):
                change = {f"{kind}_enabled": enabled}
                people[who] = people[who].model_copy(update=change)
            case ProducerOpened(producer=producer):
                streams[producer.id] = producer
            case ProducerPaused(producer_id=stream, paused=paused):
                streams[stream] = streams[stream].model_copy(update={"paused": paused})
            case ProducerClosed(producer_id=stream):
                del streams[stream]
            case MediaReset():
                streams.clear()
            case MeetingEnded():
                people.clear()
                streams.clear()
                self.version = 0

    def agrees_with(self, snapshot: RoomSnapshot) -> None:
        assert self.version == snapshot.version
        assert set(self.participants.values()) == set(snapshot.participants)
        assert set(self.producers.values()) == set(snapshot.producers)


class PlacementMachine(RuleBasedStateMachine):
    """The rules are what nodes, replicas, the operator and bad luck do."""

    def __init__(
        self,
        run: Callable[[Awaitable[Any]], Any],
        redis: Redis,
        ear: Any,
        lease: Callable[..., NodeLease],
        person: Callable[..., Participant],
    ):
        super().__init__()
        self.run, self.redis, self.ear = run, redis, ear
        self.lease, self.person = lease, person
        self.placement = Placement(redis)
        self.boots = itertools.count(1)
        self.streams = itertools.count(1)
        self.current: dict[NodeName, Process] = {}
        self.leased: dict[NodeName, bool] = {}
        self.seen: set[NodeName] = set()
        """Nodes that Redis has heard of since it lost everything: it can tell their old boots."""
        self.older: list[tuple[NodeName, Process]] = []
        self.drained: set[NodeName] = set()
        self.homes: dict[MeetingId, tuple[Assignment, int]] = {}
        self.issued: dict[MeetingId, dict[int, tuple[str, str]]] = {m: {} for m in MEETINGS}
        self.people: dict[MeetingId, dict[ParticipantId, str]] = {m: {} for m in MEETINGS}
        self.expected: dict[MeetingId, int] = {}
        self.reserved: dict[MeetingId, tuple[NodeName, int]] = {}
        self.over: set[MeetingId] = set()
        self.replicas = {m: Replica() for m in MEETINGS}
        self.calm = 0
        """Steps since the last blow that leaves little behind: without calm nothing builds up."""

    @initialize(names=st.sets(nodes, min_size=1))
    def a_day_begins(self, names: set[NodeName]) -> None:
        self.run(self.redis.flushall())
        self.run(self.ear.new())
        for name in sorted(names):
            self.start(name)

    # What the model derives ------------------------------------------------------------------

    def is_live(self, meeting: MeetingId) -> bool:
        home, _ = self.homes[meeting]
        return self.leased[home.node] and self.current[home.node].boot == home.boot

    def is_media(self, meeting: MeetingId, epoch: int, generation: int) -> bool:
        if meeting not in self.homes:
            return False
        home, current = self.homes[meeting]
        return (home.epoch, current) == (epoch, generation)

    def candidates(self, besides: Assignment | None) -> list[NodeName]:
        left = (besides.node, besides.boot) if besides else None
        return [
            name
            for name, process in self.current.items()
            if self.leased[name] and name not in self.drained and (name, process.boot) != left
        ]

    def reserved_on(self, name: NodeName) -> float:
        """Load of the reservations, but for their decay, which is little in a test's time."""
        to_come = [
            max(0, people - len(self.people[meeting]))
            for meeting, (node, people) in self.reserved.items()
            if node == name
        ]
        return sum(to_come) * 10 / CAPACITY

    def is_empty_now(self, meeting: MeetingId) -> None:
        if not self.people[meeting]:
            self.reserved.pop(meeting, None)

    # Nodes -----------------------------------------------------------------------------------

    def renew(self, name: NodeName, process: Process, lease_ms: int = 3_600_000) -> None:
        """One renewal, and what the process does with the answer."""
        hosted = [
            Hosted(meeting_id=m, epoch=Epoch(e), generation=Generation(g))
            for m, (e, g) in process.hosted.items()
        ]
        lease = self.lease(
            name,
            process.boot,
            consumer_capacity=CAPACITY,
            consumers=process.consumers,
            lease_ms=lease_ms,
        )
        renewal = self.run(self.placement.renew(lease, hosted))
        if process is not self.current[name]:
            assert renewal.superseded
            return
        self.seen.add(name)
        assert not renewal.superseded
        assert renewal.draining == (name in self.drained)
        stale = {m for m in process.hosted if not self.confirm(name, process, m)}
        assert set(renewal.stale) == stale
        for meeting in stale:
            del process.hosted[meeting]

    def confirm(self, name: NodeName, process: Process, meeting: MeetingId) -> bool:
        epoch, generation = process.hosted[meeting]
        if meeting in self.over:
            return False
        home, current = self.homes.get(meeting, (None, 0))
        if home is not None and home.epoch > epoch:
            return False
        if home is not None and home.epoch == epoch:
            assert (home.node, home.boot) == (name, process.boot), "an epoch in two places"
            generation = max(current, generation)
        elif home is not None:
            self.reserved.pop(meeting, None)
        claimed = Assignment(
            meeting_id=meeting,
            node=name,
            boot=process.boot,
            epoch=Epoch(epoch),
            control_url=f"http://{name}:1",
        )
        self.homes[meeting] = claimed, generation
        return True

    @precondition(lambda self: len(self.current) < len(NODES) or self.calm > 5)
    @rule(name=nodes)
    def a_node_starts(self, name: NodeName) -> None:
        self.start(name)

    def start(self, name: NodeName) -> None:
        if name in self.seen:
            self.older.append((name, self.current[name]))
        self.current[name] = Process(f"boot{next(self.boots)}")
        self.leased[name] = True
        self.renew(name, self.current[name])

    @precondition(lambda self: self.current)
    @rule(data=st.data(), consumers=loads)
    def a_node_renews(self, data: st.DataObject, consumers: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.current)))
        self.current[name].consumers = consumers
        self.leased[name] = True  # one that was hung for a while comes back like this
        self.renew(name, self.current[name])

    @precondition(lambda self: sum(self.leased.values()) > (self.calm < 8))
    @rule(data=st.data())
    def a_node_hangs_until_its_lease_is_over(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([n for n, leased in self.leased.items() if leased]))
        self.renew(name, self.current[name], lease_ms=1)
        self.leased[name] = False
        self.run(asyncio.sleep(0.003))

    @precondition(lambda self: self.older)
    @rule(data=st.data())
    def a_replaced_process_renews(self, data: st.DataObject) -> None:
        name, process = data.draw(st.sampled_from(self.older))
        self.renew(name, process)

    @precondition(lambda self: self.current and (len(self.drained) < 2 or self.calm > 4))
    @rule(data=st.data())
    def the_operator_drains_or_undrains(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.current)))
        if name in self.drained:
            self.run(self.placement.undrain(name))
            self.drained.remove(name)
        else:
            self.run(self.placement.drain(name))
            self.drained.add(name)

    # Meetings --------------------------------------------------------------------------------

    def placed(
        self, meeting: MeetingId, expected: int, besides: Assignment | None, call: Awaitable[T]
    ) -> T | None:
        """A call that has to find a node: checks the choice, or that there was none."""
        people = max(expected, 15)
        candidates = self.candidates(besides)
        room = {
            name: 1
            - (self.current[name].consumers + people * 10) / CAPACITY
            - self.reserved_on(name)
            for name in candidates
        }
        try:
            home = self.run(call)
        except NoCapacity:
            assert all(left < 0.01 for left in room.values())
            return None
        assert home.node in candidates
        assert room[home.node] > -0.01, "more than the node can carry"
        assert home.boot == self.current[home.node].boot
        epochs = self.issued[meeting]
        assert home.epoch > max(epochs, default=0), "an epoch fell or was given twice"
        epochs[home.epoch] = (home.node, home.boot)
        self.homes[meeting] = home, 0
        self.expected[meeting] = expected
        self.reserved[meeting] = home.node, people + len(self.people[meeting])
        return home

    @rule(
        meeting=meetings,
        expected=st.sampled_from([0, 0, 20]),
        strategy=st.sampled_from(["packed", "spread", "consistent_hash"]),
        is_hosted=st.booleans(),
    )
    def somebody_assigns(
        self, meeting: MeetingId, expected: int, strategy: Any, is_hosted: bool
    ) -> None:
        call = self.placement.assign(meeting, expected=expected, strategy=strategy, warmup_ms=0)
        if meeting in self.over:
            with pytest.raises(MeetingIsOver):
                self.run(call)
            return
        old, _ = self.homes.get(meeting, (None, 0))
        leaves = old is not None and old.node in self.drained and not self.people[meeting]
        if old is not None and self.is_live(meeting) and not leaves:
            assert self.run(call) == old
            home: Assignment | None = old
        else:
            home = self.placed(meeting, expected, old, call)
        if home is not None and is_hosted:
            self.current[home.node].hosted[meeting] = home.epoch, self.homes[meeting][1]

    @precondition(lambda self: self.homes)
    @rule(data=st.data(), is_stale=st.booleans())
    def somebody_evicts(self, data: st.DataObject, is_stale: bool) -> None:
        meeting = data.draw(st.sampled_from(sorted(self.homes)))
        home, _ = self.homes[meeting]
        epoch = Epoch(home.epoch - is_stale)
        call = self.placement.evict(meeting, home.node, epoch, "moved")
        if is_stale:
            assert self.run(call) is None
        else:
            self.placed(meeting, self.expected.get(meeting, 0), home, call)

    @precondition(lambda self: any(process.hosted for process in self.current.values()))
    @rule(data=st.data())
    def a_worker_dies(self, data: st.DataObject) -> None:
        rooms = [(n, m) for n, process in sorted(self.current.items()) for m in process.hosted]
        name, meeting = data.draw(st.sampled_from(rooms))
        hosted = self.current[name].hosted
        epoch, generation = hosted[meeting]
        hosted[meeting] = epoch, generation + 1
        call = self.placement.reset_media(meeting, name, Epoch(epoch), Generation(generation + 1))
        home, _ = self.homes.get(meeting, (None, 0))
        if home is None:
            self.run(call)
        elif (home.node, home.epoch) != (name, epoch):
            with pytest.raises(StaleEpoch):
                self.run(call)
        else:
            self.run(call)
            self.homes[meeting] = home, max(self.homes[meeting][1], generation + 1)

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
            self.is_empty_now(meeting)

    @precondition(lambda self: any(self.people.values()))
    @rule(data=st.data())
    def somebody_is_lost(self, data: st.DataObject) -> None:
        meeting, user = self.draw_person(data)
        session = self.people[meeting].pop(user)
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

    @precondition(lambda self: any(one.producers for one in self.replicas.values()))
    @rule(data=st.data(), what=st.sampled_from(["pause", "resume", "close"]))
    def a_stream_changes(self, data: st.DataObject, what: str) -> None:
        streams = [(m, p) for m in MEETINGS for p in self.replicas[m].producers.values()]
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
        for state in (self.homes, self.drained, self.over, self.expected, self.reserved):
            state.clear()
        self.leased = dict.fromkeys(self.leased, False) | {
            name: True for name, leased in self.leased.items() if leased
        }
        self.older.clear()
        self.seen.clear()
        for name, leased in self.leased.items():
            if leased:
                self.renew(name, self.current[name])
        self.replicas = {m: Replica() for m in MEETINGS}
        for meeting, replica in remembered.items():
            self.replicas_restore(meeting, replica)

    def replicas_restore(self, meeting: MeetingId, replica: Replica) -> None:
        presences = [Presence(meeting, p.id, p.session) for p in replica.participants.values()]
        assert self.run(self.placement.touch(presences)) == presences
        home, generation = self.homes.get(meeting, (None, 0))
        for participant in replica.participants.values():
            mine = [p for p in replica.producers.values() if p.participant_id == participant.id]
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
                max_examples=80,
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
