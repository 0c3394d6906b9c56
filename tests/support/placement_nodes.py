"""Nodes and the homes of meetings, as rules of a state machine with a model in plain Python.

The model knows the nodes' processes (which boot hosts what, alive or hung), each meeting's home,
and every epoch ever given out. `test_placement_machine` adds people, streams and bad luck.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from redis.asyncio import Redis
from tests.support.follower import Follower

from kcs_contracts.ids import Epoch, Generation, MeetingId, NodeName, ParticipantId
from kcs_contracts.placement import (
    Hosted,
    MeetingIsOver,
    NoCapacity,
    NodeLease,
    Placement,
    StaleEpoch,
)
from kcs_contracts.rooms import Assignment, Participant

T = TypeVar("T")

NODES = [NodeName(name) for name in ("a", "b", "c")]
MEETINGS = [MeetingId(name) for name in ("m1", "m2", "m3")]
CAPACITY = 300

nodes = st.sampled_from(NODES)
meetings = st.sampled_from(MEETINGS)
loads = st.sampled_from([0, 0, 50, 100, 250])


@dataclass
class Process:
    """One life of a node: what it hosts, by meeting, as (epoch, generation)."""

    boot: str
    consumers: int = 0
    hosted: dict[MeetingId, tuple[int, int]] = field(default_factory=dict)


class NodesMachine(RuleBasedStateMachine):
    """The rules are what nodes and the operator do, and replicas that place meetings."""

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
        self.moves: dict[MeetingId, Assignment] = {}
        """The next homes of meetings that move."""
        self.promised: dict[MeetingId, tuple[NodeName, int]] = {}
        """What is reserved there."""
        self.crossed: dict[MeetingId, set[ParticipantId]] = {m: set() for m in MEETINGS}
        self.last: dict[MeetingId, int] = {}
        """The highest epoch that Redis knows of."""
        self.over: set[MeetingId] = set()
        self.replicas = {m: Follower(m) for m in MEETINGS}
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
        return self.is_alive(self.homes[meeting][0])

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
            for promises in (self.reserved, self.promised)
            for meeting, (node, people) in promises.items()
            if node == name
        ]
        return sum(to_come) * 10 / CAPACITY

    def is_empty_now(self, meeting: MeetingId) -> None:
        if not self.people[meeting]:
            self.reserved.pop(meeting, None)
            self.promised.pop(meeting, None)

    def stays(self, meeting: MeetingId) -> None:
        """Whatever move there was is over, and came to nothing."""
        self.moves.pop(meeting, None)
        self.promised.pop(meeting, None)
        self.crossed[meeting].clear()

    def has_moved(self, meeting: MeetingId) -> None:
        """The next home is the home."""
        self.homes[meeting] = self.moves.pop(meeting), 0
        promised = self.promised.pop(meeting, None)
        self.reserved.pop(meeting, None)
        if promised:
            self.reserved[meeting] = promised
        self.crossed[meeting].clear()

    def is_alive(self, home: Assignment) -> bool:
        return self.leased[home.node] and self.current[home.node].boot == home.boot

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
        moving = self.moves.get(meeting)
        if home is not None and home.epoch == epoch:
            assert (home.node, home.boot) == (name, process.boot), "an epoch in two places"
            if generation > current:
                self.stays(meeting)
            generation = max(current, generation)
        elif moving is not None and moving.epoch == epoch:
            assert (moving.node, moving.boot) == (name, process.boot), "an epoch in two places"
            if generation > 0:
                self.stays(meeting)
            return generation == 0
        elif home is not None and epoch <= self.last[meeting]:
            return False
        elif home is not None:
            self.reserved.pop(meeting, None)
            self.stays(meeting)
        claimed = Assignment(
            meeting_id=meeting,
            node=name,
            boot=process.boot,
            epoch=Epoch(epoch),
            control_url=f"http://{name}:1",
        )
        self.homes[meeting] = claimed, generation
        self.last[meeting] = max(self.last.get(meeting, 0), epoch)
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
        self,
        meeting: MeetingId,
        expected: int,
        besides: Assignment | None,
        call: Awaitable[T],
        *,
        moves: bool = False,
    ) -> T | None:
        """A call that has to find a node: checks the choice, or that there was none.

        A meeting that is moving anyhow needs none, while where it moves to lives.
        """
        moving = self.moves.get(meeting)
        if moving is not None and self.is_alive(moving):
            assert self.run(call) == moving
            if not moves:
                self.has_moved(meeting)
            return moving
        if moves:
            self.stays(meeting)
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
        self.last[meeting] = home.epoch
        promise = home.node, people + len(self.people[meeting])
        if moves and self.people[meeting]:
            self.moves[meeting], self.promised[meeting] = home, promise
            return home
        self.stays(meeting)
        self.homes[meeting] = home, 0
        self.expected[meeting] = expected
        self.reserved[meeting] = promise
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

    # Moving ----------------------------------------------------------------------------------

    @precondition(lambda self: any(self.people[m] for m in self.homes))
    @rule(data=st.data(), is_stale=st.sampled_from([False, False, False, True]))
    def somebody_migrates(self, data: st.DataObject, is_stale: bool) -> None:
        meeting = data.draw(st.sampled_from(sorted(m for m in self.homes if self.people[m])))
        self.migrate(meeting, is_stale=is_stale)

    def migrate(self, meeting: MeetingId, *, is_stale: bool) -> None:
        home, _ = self.homes[meeting]
        epoch = Epoch(home.epoch - is_stale)
        call = self.placement.migrate(meeting, home.node, epoch, move_ms=3_600_000)
        if is_stale:
            assert self.run(call) is None
            return
        moving = self.placed(meeting, self.expected.get(meeting, 0), home, call, moves=True)
        if moving is not None:
            self.current[moving.node].hosted[meeting] = moving.epoch, 0

    @precondition(lambda self: self.moves)
    @rule(data=st.data(), is_stale=st.sampled_from([False, False, True]))
    def somebody_crosses(self, data: st.DataObject, is_stale: bool) -> None:
        meeting = data.draw(st.sampled_from(sorted(self.moves)))
        everybody = sorted(self.people[meeting])
        who = data.draw(st.lists(st.sampled_from(everybody), unique=True)) if everybody else []
        epoch = Epoch(self.last[meeting] + is_stale)
        call = self.placement.cross(meeting, epoch, who)
        if is_stale:
            with pytest.raises(StaleEpoch):
                self.run(call)
        else:
            self.run(call)
            self.crossed[meeting] |= set(who)

    @precondition(lambda self: self.moves)
    @rule()
    def replicas_tend_moves(self) -> None:
        self.tend()

    def tend(self) -> None:
        due = {}
        for meeting, moving in self.moves.items():
            if not self.is_alive(moving):
                due[meeting] = "abandoned", moving.epoch
            elif self.people[meeting].keys() <= self.crossed[meeting]:
                due[meeting] = "moved", moving.epoch
        ended = self.run(self.placement.tend_moves())
        assert {meeting: (outcome, epoch) for meeting, outcome, epoch in ended} == due
        for meeting, (outcome, _) in due.items():
            (self.has_moved if outcome == "moved" else self.stays)(meeting)

    @precondition(lambda self: self.moves)
    @rule(data=st.data())
    def a_move_is_given_up(self, data: st.DataObject) -> None:
        self.give_up(data.draw(st.sampled_from(sorted(self.moves))))

    def give_up(self, meeting: MeetingId) -> None:
        moving = self.moves[meeting]
        assert self.run(self.placement.abandon_move(meeting, moving.epoch))
        self.stays(meeting)
        if self.is_alive(moving):  # and still has a room of that epoch
            self.renew(moving.node, self.current[moving.node])

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
        moving = self.moves.get(meeting)
        if home is None:
            self.run(call)
        elif moving is not None and (moving.node, moving.epoch) == (name, epoch):
            self.run(call)
            self.stays(meeting)
        elif (home.node, home.epoch) != (name, epoch):
            with pytest.raises(StaleEpoch):
                self.run(call)
        else:
            self.run(call)
            if generation + 1 > self.homes[meeting][1]:
                self.stays(meeting)
            self.homes[meeting] = home, max(self.homes[meeting][1], generation + 1)
