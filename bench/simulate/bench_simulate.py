"""A pool of 100 pods and 10,000 people over a day, and lectures that all begin at nine.

    python -m bench.simulate.bench_simulate

Simulated with the operator's own decisions (see `simulation`); it draws docs/images/*.svg.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import orjson
from bench.simulate.demand import HOUR_S, Gathering, lectures, office_day
from bench.simulate.plot import Line, Panel, chart
from bench.simulate.simulation import Conditions, Outcome, Simulation

from kcs_contracts.resources.v1alpha1 import SFUPoolSpec
from kcs_dev.measure import RESULTS, Figure, save
from kcs_dev.stack import ROOT

METHOD = (
    "Not measured: computed, event by event, with the operator's own functions for how many pods"
    " there shall be and what becomes of each, and with placement's choice of a node (held against"
    " the Redis library by a test). A pod has 4 workers (200 people), a person counts as 10"
    " consumers, the pool has 4 to 100 pods; the operator looks every 5 s. A pod takes"
    " {start:.1f} s to start ({source}), {slow:.0f} s where a machine comes first (assumed), a"
    " third more or less. People come between 3 minutes before and 7 after the start, most of them"
    " sharp; who is refused asks again each 5 s, for 2 minutes. Office day: meetings of 2 to 60"
    " people of whom nobody told anything. Lectures: 40 of 150 people at 09:00 on a day with 1,500"
    " others, from 06:00 to 12:00: nobody told their size ('untold'), whoever made them by REST did"
    " ('told'), the pool has a schedule for 55 pods from 08:45 to 09:15 besides ('on schedule'), or"
    " they are Meeting objects ('declared'). 'Slow start': a machine has to come first."
)
IMAGES = ROOT / "docs" / "images"
DRAWN = (
    "office day",
    "lectures untold",
    "lectures told, slow start",
    "lectures declared, slow start",
)
ASSUMED_START_S = 8.0
MACHINE_S = 120.0
PEAK = 10_000
_PODS = 100
_LECTURES, _LISTENERS = 40, 150


@dataclass(frozen=True)
class Scenario:
    """What is played."""

    name: str
    gatherings: Sequence[Gathering]
    start_s: float
    spec: SFUPoolSpec
    begin: float = 0.0
    end: float = 24 * HOUR_S
    nobody_refused: bool = False
    """That is the goal."""


def pool(**autoscaling: object) -> SFUPoolSpec:
    """A pool of up to 100 pods."""
    return SFUPoolSpec.model_validate(
        {
            "replicas": {"min": 4, "max": _PODS},
            "capacity": {"workers": 4},
            "autoscaling": autoscaling,
        }
    )


def day_with_peak(people: int, seed: int) -> list[Gathering]:
    """An office day with so many people at its busiest moment, within some percent."""
    sized = people * people // _most_at_once(office_day(people, seed))
    return office_day(sized, seed)


def _most_at_once(gatherings: Sequence[Gathering]) -> int:
    moves = [
        (at, step)
        for g in gatherings
        for stay in g.people
        for at, step in zip(stay, (1, -1), strict=True)
    ]
    most = there = 0
    for _, step in sorted(moves):
        there += step
        most = max(most, there)
    return most


def scenarios(start_s: float) -> list[Scenario]:
    """All of them."""
    found = [Scenario("office day", day_with_peak(PEAK, 1), start_s, pool())]
    others = day_with_peak(1_500, 2)
    schedule = {"name": "lectures", "start": "08:45", "end": "09:15", "replicas": 55}
    for end, seconds in (("", start_s), (", slow start", MACHINE_S)):
        for name, spec, expected, declared in (
            ("untold", pool(), 0, False),
            ("told", pool(), _LISTENERS, False),
            ("on schedule", pool(schedules=[schedule]), _LISTENERS, False),
            ("declared", pool(), _LISTENERS, True),
        ):
            talks = lectures(_LECTURES, _LISTENERS, 3, expected=expected, declared=declared)
            found.append(
                Scenario(
                    f"lectures {name}{end}",
                    [*others, *talks],
                    seconds,
                    spec,
                    6 * HOUR_S,
                    12 * HOUR_S,
                    nobody_refused=declared or bool(spec.autoscaling.schedules),
                )
            )
    return found


def _start_s() -> tuple[float, str]:
    measured = RESULTS / "burst.json"
    if not measured.exists():
        return ASSUMED_START_S, "assumed"
    run = orjson.loads(measured.read_bytes())
    return float(run["samples"]["start_s"]), "measured, see burst"


def _figures(scenario: Scenario, out: Outcome) -> list[Figure]:
    hours = (scenario.end - scenario.begin) / HOUR_S
    people_s = sum(sample.people for sample in out.samples) * 60
    carried = out.pod_s * 200
    fullest = max(sample.fullest for sample in out.samples)
    name = scenario.name
    refused = Figure(
        f"{name}: people refused at first",
        out.refused,
        "people",
        "0 people" if scenario.nobody_refused else "",
        out.refused == 0 if scenario.nobody_refused else None,
        f"of {out.joined + out.gave_up}; longest wait {out.longest_wait_s:.0f} s",
    )
    return [
        refused,
        Figure(f"{name}: gave up", out.gave_up, "people"),
        Figure(f"{name}: cut off by a pod's end", out.cut, "people", "0 people", out.cut == 0),
        Figure(f"{name}: moved to another pod", out.moved, "people"),
        Figure(f"{name}: load of the fullest pod", fullest, "x", note="1 is full"),
        Figure(f"{name}: most pods at once", out.most_pods, "pods"),
        Figure(
            f"{name}: pod hours, of {_PODS} pods all the time",
            out.pod_s / 36 / (_PODS * hours),
            "%",
            note=f"{people_s / carried:.0%} of what they carry was used",
        ),
    ]


def _picture(scenario: Scenario, out: Outcome) -> str:
    def line(
        label: str, color: str, what: str, *, dashed: bool = False, filled: bool = False
    ) -> Line:
        points = [(each.at / HOUR_S, float(getattr(each, what))) for each in out.samples]
        return Line(label, color, points, dashed, filled)

    panels = [
        Panel(
            "people",
            [
                line("in meetings", "blue", "people", filled=True),
                line("what ready pods carry", "green", "capacity"),
            ],
        ),
        Panel(
            "pods",
            [
                line("wanted", "orange", "desired", dashed=True),
                line("ready", "green", "ready"),
                line("all", "grey", "pods"),
            ],
        ),
        Panel("people refused in each minute", [line("refused", "orange", "refused", filled=True)]),
        Panel("load of the fullest pod (1 is full)", [line("load", "blue", "fullest")]),
    ]
    return chart(scenario.name, panels)


def _slug(name: str) -> str:
    return "simulation-" + name.replace(",", "").replace(" ", "-")


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="scenarios with this in their name; kept nowhere"
    )
    arguments = parser.parse_args()
    start_s, source = _start_s()
    IMAGES.mkdir(exist_ok=True)
    figures: list[Figure] = []
    kept = {}
    for scenario in scenarios(start_s):
        if arguments.only not in scenario.name:
            continue
        print(f"  {scenario.name}", flush=True)
        run = Simulation(scenario.gatherings, Conditions(scenario.spec, scenario.start_s))
        out = run.run(scenario.begin, scenario.end)
        figures += _figures(scenario, out)
        if scenario.name in DRAWN:
            (IMAGES / f"{_slug(scenario.name)}.svg").write_text(_picture(scenario, out))
        kept[scenario.name] = asdict(replace(out, samples=[]))
    method = METHOD.format(start=start_s, source=source, slow=MACHINE_S)
    if arguments.only:
        print(*figures, sep="\n")
    else:
        save("simulate", method, figures, kept)


if __name__ == "__main__":
    main()
