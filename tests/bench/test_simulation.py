"""What must hold in a simulated day, whatever the load is: the operator's decisions, end to end."""

from dataclasses import replace

import pytest
from bench.simulate.demand import HOUR_S, Gathering, lectures, office_day
from bench.simulate.plot import Line, Panel, chart
from bench.simulate.simulation import Conditions, Outcome, Simulation

from kcs_contracts.resources.v1alpha1 import SFUPoolSpec

_MOST = 12


def simulated(
    gatherings: list[Gathering], *, start_s: float = 20.0, **autoscaling: object
) -> Outcome:
    spec = SFUPoolSpec.model_validate(
        {
            "replicas": {"min": 1, "max": _MOST},
            "capacity": {"workers": 2},
            "autoscaling": autoscaling,
        }
    )
    conditions = Conditions(spec, start_s, tick_s=15)
    return Simulation(gatherings, conditions).run(7 * HOUR_S, 20 * HOUR_S)


def a_day(seed: int = 1) -> list[Gathering]:
    return [each for each in office_day(300, seed) if each.starts_at > 7.1 * HOUR_S]


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_is_lost_and_no_pod_goes_under_people(seed: int) -> None:
    day = a_day(seed)
    out = simulated(day)
    assert out.cut == 0
    assert out.joined + out.gave_up == sum(len(each.people) for each in day)
    assert out.left_in == 0
    assert all(each.people >= 0 for each in out.samples)


def test_pods_follow_the_load_up_and_down_again() -> None:
    out = simulated(a_day())
    busiest = max(out.samples, key=lambda each: each.people)
    assert busiest.ready >= busiest.people / 100
    assert out.most_pods <= _MOST
    assert out.samples[-1].pods == 1
    assert out.moved > 0  # what is left on a pod that drains goes on elsewhere


def test_the_same_seed_gives_the_same_day() -> None:
    assert simulated(a_day()) == simulated(a_day())
    assert simulated(a_day()) != simulated(a_day(seed=2))


def test_a_schedule_has_pods_ready_before_a_rush() -> None:
    rush = lectures(5, 80, 1, expected=80, declared=False)
    schedule = {"name": "rush", "start": "08:40", "end": "09:20", "replicas": 6}
    alone, prepared = simulated(rush), simulated(rush, schedules=[schedule])
    assert alone.refused > 0
    assert prepared.refused == 0
    before = next(each for each in prepared.samples if each.at == 8.9 * HOUR_S)
    assert (before.people, before.ready) == (0, 6)


def test_declared_meetings_have_room_before_they_start() -> None:
    punctual = [
        replace(each, people=tuple((each.starts_at + 1, goes) for _, goes in each.people))
        for each in lectures(5, 70, 1, expected=70, declared=True)
    ]
    assert simulated(punctual).refused == 0
    unknown = [replace(each, declared=False) for each in punctual]
    assert simulated(unknown).refused > 0


def test_a_full_pool_refuses_and_never_overloads_who_told_their_size() -> None:
    crowd = lectures(40, 80, 1, expected=80, declared=False)
    out = simulated(crowd)
    assert out.gave_up > 0
    assert max(each.fullest for each in out.samples) <= 1.1
    assert max(each.pods for each in out.samples) == _MOST


def test_a_chart_shows_every_line_with_its_scale() -> None:
    flat = Line("level", "blue", [(hour, 2.0) for hour in range(24)])
    drawn = chart("A & B", [Panel("pods", [flat, replace(flat, label="wish", dashed=True)])])
    assert drawn.startswith("<svg ")
    assert "A &amp; B" in drawn
    assert drawn.count("stroke-dasharray") == 2  # the curve, and in the legend
    assert ">21:00<" in drawn
    assert simulated(a_day()).samples
