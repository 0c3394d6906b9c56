"""What happens to a pool's pods: single cases, and a whole pool that is left to the planner."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcs_contracts.ids import Epoch, MeetingId
from kcs_contracts.labels import DRAIN_REQUESTED, Role
from kcs_contracts.placement.models import Housed
from kcs_contracts.resources.v1alpha1 import Drain, PodState, Update
from kcs_operator.decisions.observed import History, ObservedPod, observe
from kcs_operator.decisions.pods import (
    POOL_DELETED,
    SCALED_DOWN,
    TEMPLATE_CHANGED,
    Goal,
    plan,
)
from kcs_operator.manifests.names import DRAINING_SINCE

NOW = 1_000_000.0
OLD, NEW = "old", "new"


def pod(name: str, people: int = 0, **more: object) -> ObservedPod:
    housed = (Housed(MeetingId(f"m-{name}"), Epoch(1), people),) if people else ()
    fields: dict[str, object] = {
        "name": name,
        "uid": f"uid-{name}",
        "role": Role.SFU,
        "template_hash": NEW,
        "slot": 0,
        "created_at": NOW - 1000,
        "ready": True,
        "ready_at": NOW - 990,
        "alive": True,
        "capacity": 50,
        "housed": housed,
        "served": True,
    }
    return ObservedPod(**{**fields, **more})  # type: ignore[arg-type]


def goal(desired: int, **more: object) -> Goal:
    fields: dict[str, object] = {"desired": desired, "template_hash": NEW, "slots": 20}
    return Goal(**{**fields, **more})  # type: ignore[arg-type]


def drained(people: int = 0, age: float = 60, **more: object) -> ObservedPod:
    fields = {"drain_reason": SCALED_DOWN, "draining_since": NOW - age, "marked": True, **more}
    (found,) = History().noted([pod("d", people, **fields)], NOW - age)
    return found


def test_missing_pods_are_made_in_free_places() -> None:
    found = plan([pod("a", slot=0), pod("b", slot=2)], goal(4), NOW)
    assert found.create_slots == (1, 3)


def test_a_lost_pod_is_deleted_and_replaced_at_once() -> None:
    lost = pod("a", ready=False, alive=False, missing_since=NOW - 41)
    found = plan([lost], goal(1), NOW)
    assert found.delete == (lost,)
    assert found.create_slots == (1,)


def test_a_pod_that_is_missing_for_a_moment_is_left_alone_then_replaced_and_may_come_back() -> None:
    missing = {"ready": False, "alive": False}
    found = plan([pod("a", missing_since=NOW - 9, **missing)], goal(1), NOW)
    assert not found.delete
    assert not found.create_slots
    found = plan([pod("a", missing_since=NOW - 11, **missing)], goal(1), NOW)
    assert not found.delete
    assert found.create_slots == (1,)
    pods = [pod("a"), pod("b", slot=1)]
    assert [reason for _, reason in plan(pods, goal(1), NOW).drain] == [SCALED_DOWN]


def test_a_missing_pod_with_people_may_carry_media_and_has_as_long_as_one_that_drains() -> None:
    missing = {"alive": False, "ready": False}
    lost = pod("a", 3, missing_since=NOW - 41, **missing)
    assert not plan([lost, pod("b", slot=1)], goal(2), NOW).delete
    late = pod("a", 3, missing_since=NOW - 3700, **missing)
    assert plan([late, pod("b", slot=1)], goal(2), NOW).delete == (late,)
    ended = pod("a", 3, ended=True, missing_since=NOW - 41, **missing)
    assert plan([ended], goal(1), NOW).delete == (ended,)


def test_places_whose_ports_another_template_uses_are_not_taken() -> None:
    wide = [pod("a", slot=0, ports=frozenset({100, 101})), pod("b", slot=1, ports=frozenset({102}))]
    found = plan(wide, goal(4, ports_of=lambda slot: range(100 + slot, 101 + slot)), NOW)
    assert found.create_slots == (3, 4)


def test_old_pods_that_lost_their_leases_for_a_moment_are_not_taken_for_new_ones() -> None:
    pods = [
        pod(name, template_hash=OLD, slot=slot, alive=False, missing_since=NOW - 2)
        for slot, name in enumerate("abc")
    ]
    assert not plan(pods, goal(3), NOW).drain


def test_the_victim_has_the_fewest_participants() -> None:
    pods = [pod("a", 5), pod("b", 2), pod("c", 9)]
    assert plan(pods, goal(2), NOW).drain == ((pods[1], SCALED_DOWN),)


def test_a_pod_that_is_not_ready_goes_before_one_that_serves() -> None:
    starting = pod("z", ready=False, alive=False)
    pods = [pod("a"), starting]
    assert plan(pods, goal(1), NOW).drain == ((starting, SCALED_DOWN),)


def test_occupied_pods_drain_a_few_at_a_time_and_empty_ones_hold_up_nobody() -> None:
    pods = [pod("a", 5), pod("b", 2), pod("c", 9), pod("e")]
    found = plan(pods, goal(1), NOW)
    assert [each.name for each, _ in found.drain] == ["e", "b"]
    busy = [*pods, drained(people=3)]
    assert [each.name for each, _ in plan(busy, goal(1), NOW).drain] == ["e"]


def test_an_occupied_pod_is_not_deleted_before_its_deadline() -> None:
    hour = Drain(deadline="1h", migrate_after="1h")
    for age in (0, 60, 3599, 3605):
        assert not plan([drained(people=1, age=age)], goal(0, drain=hour), NOW).delete
    late = plan([drained(people=1, age=3611)], goal(0, drain=hour), NOW)
    assert [each.name for each in late.delete] == ["d"]


def test_meetings_move_after_the_time_that_was_set_and_by_force_at_the_deadline() -> None:
    wait = Drain(deadline="1h", migrate_after="5m")
    assert not plan([drained(people=1, age=299)], goal(0, drain=wait), NOW).move
    (move,) = plan([drained(people=1, age=300)], goal(0, drain=wait), NOW).move
    assert not move.forced
    (move,) = plan([drained(people=1, age=3600)], goal(0, drain=wait), NOW).move
    assert move.forced


def test_meetings_leave_a_pod_at_once_that_somebody_deleted() -> None:
    (move,) = plan([pod("a", 3, deleting=True)], goal(1), NOW).move
    assert move.pod.name == "a"


def test_an_empty_pod_is_deleted_once_placement_knows_its_mark_for_a_while() -> None:
    assert not plan([drained(marked=False)], goal(0), NOW).delete
    assert not plan([drained(age=1)], goal(0), NOW).delete
    assert [each.name for each in plan([drained()], goal(0), NOW).delete] == ["d"]


def test_a_draining_pod_that_redis_has_forgotten_is_not_taken_for_empty() -> None:
    history = History()
    forgotten = replace(drained(), alive=False, marked=False, housed=())
    (found,) = history.noted([forgotten], NOW - 100)
    (found,) = history.noted([forgotten], NOW)
    assert found.ready
    assert not plan([found], goal(0), NOW).delete
    history = History()
    (dead,) = history.noted([replace(forgotten, ready=False)], NOW)
    assert not plan([dead], goal(0), NOW).delete
    (dead,) = history.noted([replace(forgotten, ready=False)], NOW + 4)
    assert plan([dead], goal(0), NOW + 4).delete == (dead,)


def test_a_draining_pod_is_taken_back_before_a_new_one_is_made() -> None:
    leaving = drained(people=2)
    found = plan([pod("a"), leaving], goal(2), NOW)
    assert found.undrain == (leaving,)
    assert not found.create_slots
    assert not found.delete


@pytest.mark.parametrize("reason", [TEMPLATE_CHANGED, "Evicted", "by hand"])
def test_a_pod_that_drains_for_another_reason_is_not_taken_back(reason: str) -> None:
    found = plan([pod("a"), drained(people=2, drain_reason=reason, slot=1)], goal(2), NOW)
    assert not found.undrain
    assert found.create_slots == (2,)


def test_an_update_makes_a_new_pod_first_and_takes_the_least_busy_old_one() -> None:
    pods = [pod("a", 9, template_hash=OLD), pod("b", 1, template_hash=OLD, slot=1)]
    first = plan(pods, goal(2), NOW)
    assert first.create_slots == (2,)
    assert not first.drain
    second = plan([*pods, pod("c", slot=2)], goal(2), NOW)
    assert not second.create_slots
    assert second.drain == ((pods[1], TEMPLATE_CHANGED),)


def test_without_surge_an_update_drains_first() -> None:
    pods = [pod("a", template_hash=OLD), pod("b", template_hash=OLD, slot=1)]
    found = plan(pods, goal(2, update=Update(max_surge=0, max_unavailable=1)), NOW)
    assert not found.create_slots
    assert len(found.drain) == 1


def test_nothing_happens_when_nothing_differs() -> None:
    found = plan([pod("a", 3), pod("b", slot=1)], goal(2), NOW)
    assert found == plan([], goal(0), NOW)


def test_a_deleted_pool_drains_everything() -> None:
    pods = [pod("a", 3), pod("b", slot=1)]
    found = plan(pods, goal(2, deleted=True), NOW)
    assert [reason for _, reason in found.drain] == [POOL_DELETED] * 2
    assert not found.create_slots


@pytest.mark.parametrize("deleted", [False, True])
def test_meetings_leave_their_pool_only_when_it_is_deleted(deleted: bool) -> None:
    (move,) = plan([drained(people=1, age=300)], goal(0, deleted=deleted), NOW).move
    assert move.anywhere is deleted


class World:
    """A pool whose pods do as they are told, and whose meetings move as they are asked to."""

    def __init__(self, pods: list[ObservedPod]):
        self.pods, self.now, self._ids = pods, NOW, count()
        self._history = History()

    def step(self, aim: Goal) -> None:
        told = {each.uid: each.missing_since for each in self.pods}
        noted = self._history.noted(self.pods, self.now)
        # what was missing before the operator came was missing then too
        self.pods = [
            each
            if each.missing_since is None
            else replace(each, missing_since=told[each.uid] or each.missing_since)
            for each in noted
        ]
        found = plan(self.pods, aim, self.now)
        for gone in found.delete:
            dead = gone.state(self.now) is PodState.FAILED
            late = gone.draining_since is not None and self.now - gone.draining_since >= 600
            assert not gone.occupied or dead or late, "an occupied pod was deleted"
        ready = self.ready()
        by = {each.uid: each for each in self.pods}
        for each in found.delete:
            del by[each.uid]
        for each, reason in found.drain:
            changes = {"drain_reason": reason, "draining_since": self.now, "marked": True}
            by[each.uid] = replace(each, **changes)  # type: ignore[arg-type]
        for each in found.undrain:
            by[each.uid] = replace(each, drain_reason=None, draining_since=None, marked=False)
        for move in found.move:
            if move.pod.uid in by:
                by[move.pod.uid] = replace(by[move.pod.uid], housed=())
        for slot in found.create_slots:
            assert slot not in {each.slot for each in by.values()}, "two pods have one place"
            name = f"n{next(self._ids)}"
            by[name] = pod(
                name,
                uid=name,
                slot=slot,
                ready=False,
                alive=False,
                created_at=self.now,
                served=False,
            )
        self.pods = list(by.values())
        if any(each.template_hash == OLD for each in self.pods):
            lowest = aim.desired - aim.update.max_unavailable
            assert self.ready() >= min(ready, lowest), "too few pods were left"
        self.now += 10
        self.pods = [
            replace(each, ready=True, alive=True, served=True)
            if not each.served and self.now - each.created_at >= 20
            else each
            for each in self.pods
        ]

    def ready(self) -> int:
        return sum(each.state(self.now) is PodState.READY for each in self.pods)


pods_strategy = st.lists(
    st.tuples(st.integers(0, 40), st.booleans(), st.booleans(), st.booleans()), max_size=8
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(pods_strategy, st.integers(0, 8), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))
def test_whatever_there_is_becomes_what_is_wanted(
    rows: list[tuple[int, bool, bool, bool]], desired: int, surge: int, away: int, busy: int
) -> None:
    pods = []
    for slot, (people, old, leaving, lost) in enumerate(rows):
        more: dict[str, object] = {"slot": slot, "template_hash": OLD if old else NEW}
        if leaving:
            more |= {"drain_reason": SCALED_DOWN, "draining_since": NOW - 10, "marked": True}
        if lost:
            more |= {"ready": False, "alive": False, "missing_since": NOW - 60}
        pods.append(pod(f"p{slot}", people, **more))
    aim = goal(
        desired,
        slots=30,
        drain=Drain(deadline="10m", migrate_after="1m", max_concurrent=busy),
        update=Update(max_surge=surge, max_unavailable=max(away, 1 - surge)),
    )
    world = World(pods)
    for _ in range(400):
        world.step(aim)
    assert len(world.pods) == world.ready() == desired
    assert {each.template_hash for each in world.pods} <= {NEW}


@pytest.mark.parametrize("written", ["", "soon", "0001-01-01", "2026-99-99T00:00:00Z"])
def test_a_time_of_a_drain_that_nobody_can_read_counts_as_none(written: str) -> None:
    notes = {DRAIN_REQUESTED: "by hand", DRAINING_SINCE: written}
    meta = {
        "name": "a",
        "uid": "uid-a",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": notes,
    }
    (seen,) = observe([{"metadata": meta}])
    assert seen.draining
    assert seen.draining_since is None
