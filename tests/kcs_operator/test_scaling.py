"""How many SFU pods there should be: the design's formula, schedules, stabilisation."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcs_contracts.resources.v1alpha1 import SFUPoolSpec
from kcs_operator.decisions.scaling import (
    Demand,
    Growth,
    Stabiliser,
    is_on,
    start_seconds,
    wanted,
)

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)  # a Monday
POOL = {"replicas": {"min": 1, "max": 10}}  # a pod of one worker carries 50, 35 at the target


def spec(**more: object) -> SFUPoolSpec:
    return SFUPoolSpec.model_validate({**POOL, **more})


@pytest.mark.parametrize(
    ("demand", "start_s", "pods", "reason"),
    [
        (Demand(0, 0), 30, 1, "Minimum"),
        (Demand(35, 0), 30, 1, "Load"),
        (Demand(36, 0), 30, 2, "Load"),
        (Demand(20, 30), 30, 2, "Reserved"),
        (Demand(0, 0, scheduled=100), 30, 3, "Scheduled"),
        (Demand(10, 0, growth_per_s=2), 30, 2, "Growth"),
        (Demand(10, 0, growth_per_s=2), 90, 6, "Growth"),
        (Demand(10, 60, growth_per_s=2), 30, 2, "Reserved"),  # they are the growth
        (Demand(1000, 0), 30, 10, "Load"),
        (Demand(0, 0, unmet=70), 30, 2, "Refused"),
        (Demand(0, 0, scheduled=70, unmet=70), 30, 2, "Scheduled"),
    ],
)
def test_the_number_follows_what_is_used_reserved_scheduled_and_growing(
    demand: Demand, start_s: float, pods: int, reason: str
) -> None:
    found = wanted(spec(), demand, start_s, NOON)
    assert (found.pods, found.reason) == (pods, reason)
    assert found.limited == (demand.used > 350)


def test_the_buffer_comes_on_top() -> None:
    found = wanted(spec(autoscaling={"buffer": 2}), Demand(36, 0), 30, NOON)
    assert found.pods == 4
    assert found.sentence == "participants: 36 in use, 2 pods kept ready"
    found = wanted(spec(autoscaling={"buffer": 1}), Demand(0, 0), 30, NOON)
    assert found.sentence == "participants: none, 1 pod kept ready"


@pytest.mark.parametrize(
    ("workers", "demand", "pods", "says"),
    [
        (1, Demand(0.4, 0), 0, "participants: none"),
        (1, Demand(0.6, 0), 1, "participants: 1 in use"),
        (1, Demand(0.3, 0.3), 1, "participants: a few, with hardly any load"),
        (1, Demand(0, 0, occupied=True), 1, "participants: a few, with hardly any load"),
        (1, Demand(0.4, 0, occupied=True), 1, "participants: a few, with hardly any load"),
        (8, Demand(3.9, 0), 0, "participants: none"),
        (8, Demand(3.9, 0, occupied=True), 1, "participants: 4 in use"),
        (8, Demand(0, 15), 1, "participants: 15 reserved"),
    ],
)
def test_what_idle_pods_use_keeps_none_and_one_person_does(
    workers: int, demand: Demand, pods: int, says: str
) -> None:
    pool = spec(replicas={"min": 0, "max": 3}, capacity={"workers": workers})
    found = wanted(pool, demand, 30, NOON)
    assert (found.pods, found.sentence) == (pods, says)


def test_a_requested_number_holds_instead_of_the_load_but_within_the_limits() -> None:
    replicas = {"min": 2, "max": 5, "desired": 3}
    assert wanted(spec(replicas=replicas), Demand(500, 0), 30, NOON).pods == 3
    replicas["desired"] = 9
    most = wanted(spec(replicas=replicas), Demand(0, 0), 30, NOON)
    assert (most.pods, most.limited) == (5, True)
    replicas["desired"] = 0
    assert wanted(spec(replicas=replicas), Demand(0, 0), 30, NOON).pods == 2


def schedule(**more: object) -> dict[str, object]:
    return {"name": "lectures", "start": "08:00", "end": "18:00", "replicas": 4, **more}


def test_a_schedule_keeps_pods_ready_while_it_runs() -> None:
    pool = spec(autoscaling={"schedules": [schedule()]})
    assert wanted(pool, Demand(0, 0), 30, NOON).pods == 4
    assert wanted(pool, Demand(0, 0), 30, NOON).reason == "Schedule"
    assert wanted(pool, Demand(200, 0), 30, NOON).pods == 6
    assert wanted(pool, Demand(0, 0), 30, NOON.replace(hour=18)).pods == 1
    assert wanted(pool, Demand(0, 0), 30, NOON.replace(day=6)).pods == 1  # a Saturday


def test_a_schedule_may_pass_midnight_and_has_a_time_zone() -> None:
    night = spec(autoscaling={"schedules": [schedule(start="22:00", end="02:00", days=["Mon"])]})
    (one,) = night.autoscaling.schedules
    assert is_on(one, NOON.replace(hour=23))
    assert is_on(one, NOON.replace(day=2, hour=1))
    assert not is_on(one, NOON.replace(hour=1))
    berlin = spec(autoscaling={"schedules": [schedule(timeZone="Europe/Berlin")]})
    (one,) = berlin.autoscaling.schedules
    assert is_on(one, NOON.replace(hour=7))  # 8 o'clock in Berlin
    assert not is_on(one, NOON.replace(hour=17))


def test_fewer_pods_come_only_when_fewer_were_enough_all_the_time() -> None:
    stabiliser = Stabiliser(now=0)
    assert stabiliser.settle(5, current=1, window_s=600, now=0) == 5
    assert stabiliser.settle(2, current=5, window_s=600, now=300) == 5
    assert stabiliser.settle(4, current=5, window_s=600, now=500) == 5
    assert stabiliser.settle(2, current=5, window_s=600, now=601) == 4
    assert stabiliser.settle(2, current=4, window_s=600, now=1101) == 2


def test_an_operator_that_has_just_started_shrinks_nothing_for_one_window() -> None:
    stabiliser = Stabiliser(now=0)
    assert stabiliser.settle(1, current=7, window_s=600, now=599) == 7
    assert stabiliser.settle(1, current=7, window_s=600, now=600) == 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 20))
def test_stabilised_is_never_less_than_wanted_and_equals_the_highest_in_the_window(
    numbers: list[int], window: int
) -> None:
    stabiliser, current = Stabiliser(now=-1000), numbers[0]
    for at, number in enumerate(numbers):
        before = current
        current = stabiliser.settle(number, current, window, at)
        highest = max(numbers[max(0, at - window + 1) : at + 1])
        assert current == (number if number >= before else min(before, highest))


def test_growth_is_what_came_in_the_last_minute_and_never_negative() -> None:
    growth = Growth()
    assert growth.add(0, now=0) == 0
    assert growth.add(60, now=30) == 1
    assert growth.add(120, now=60) == 2
    assert growth.add(120, now=119) == 0
    assert growth.add(20, now=121) == 0


def test_a_pod_is_expected_to_take_as_long_as_the_slowest_of_the_last_ten() -> None:
    assert start_seconds([]) == 30
    assert start_seconds([99, *[3.0] * 9]) == 99
    assert start_seconds([99, *[3.0] * 10]) == 3
