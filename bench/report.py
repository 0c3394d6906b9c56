"""Writes the results table of docs/performance.md from bench/results/*.json.

    python bench/report.py

What stands between the two markers is generated; the rest of the page is written by people.
"""

from typing import Any

import orjson
from run import NAMES

from kcs_dev.measure import RESULTS
from kcs_dev.stack import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- results: written by bench/report.py, do not edit -->"
END = "<!-- end of results -->"
_MET = {True: "met", False: "**missed**", None: ""}


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _row(figure: dict[str, Any]) -> str:
    note = f" ({figure['note']})" if figure["note"] else ""
    value = f"{_number(figure['value'])} {figure['unit']}"
    goal = f"{figure['goal']}{note}" if figure["goal"] else note.strip(" ()")
    return f"| {figure['name']} | {value} | {goal} | {_MET[figure['met']]} |"


def _section(run: dict[str, Any]) -> str:
    machine = run["machine"]
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
    head = [
        f"### {run['name']}",
        "",
        f"{run['date']}, {machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB,"
        f" Linux {machine['kernel']}, load average {machine['load_average_at_start']} before.",
        "",
        f"Method: {run['method']}",
        "",
        f"Versions: {versions}.",
        "",
        "| figure | value | goal | |",
        "| --- | ---: | --- | --- |",
    ]
    return "\n".join([*head, *(_row(figure) for figure in run["figures"])])


def _verdict(runs: list[dict[str, Any]]) -> str:
    missed = [
        f"- {run['name']}: {figure['name']} is {_number(figure['value'])} {figure['unit']},"
        f" goal {figure['goal']}"
        for run in runs
        for figure in run["figures"]
        if figure["met"] is False
    ]
    if missed:
        return "\n".join(["Goals that are missed:", "", *missed])
    absent = sorted(set(NAMES) - {run["name"] for run in runs})
    met = "All goals are met" + (", of what was measured" if absent else "")
    return f"{met}." + (f" Not measured yet: {', '.join(absent)}." if absent else "")


def main() -> None:
    """The entry point."""
    runs = [orjson.loads(path.read_bytes()) for path in sorted(RESULTS.glob("*.json"))]
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    parts = [_verdict(runs), *map(_section, runs)]
    PAGE.write_text("\n\n".join([f"{before}{BEGIN}", *parts, f"{END}{after}"]))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
