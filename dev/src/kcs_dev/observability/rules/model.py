"""What a rule is, and how it is written in a rules file of Prometheus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

RUNBOOKS = "docs/runbooks"
"""Where the pages are in the sources; the chart's `metrics.runbookURL` makes it an address."""

Severity = Literal["critical", "warning"]
"""critical: people suffer now or soon, somebody is woken; warning: it can wait for the morning."""


@dataclass(frozen=True)
class Recording:
    """A series that is worked out once for dashboards and alerts."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self) -> dict[str, Any]:
        """As a rules file has it."""
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.name, "expr": self.expr, **labels}


@dataclass(frozen=True)
class Alert:
    """Fires when `value` stands as `when` says for as long as `hold`.

    The value is kept apart from its bound, so that a test can ask a healthy system for it.
    """

    name: str
    """Also the name of its page in docs/runbooks/."""
    severity: Severity
    value: str
    when: str
    """A comparison: `> 0.9`."""
    hold: str
    """Prometheus' duration, `0s`: at once."""
    summary: str
    description: str
    """What it means and where to look first; `$value` is the value's."""
    only_if: str = ""
    """Another query: it fires only where that one has a result with the same labels."""

    @property
    def expr(self) -> str:
        """The whole query."""
        bounded = f"({self.value}) {self.when}"
        return f"{bounded}\nand {self.only_if}" if self.only_if else bounded

    def rule(self) -> dict[str, Any]:
        """As a rules file has it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"{RUNBOOKS}/{self.name}.md",
            },
        }


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, in order."""

    name: str
    rules: Sequence[Recording | Alert]

    def group(self) -> dict[str, Any]:
        """As a rules file has it."""
        return {"name": self.name, "rules": [rule.rule() for rule in self.rules]}


def share(part: str, whole: str, by: str) -> str:
    """A part of a counter over the whole, by rate; 0 when the part has no series yet."""
    parts, all_of_them = f"sum by ({by}) (rate({part}))", f"sum by ({by}) (rate({whole}))"
    return f"({parts} or 0 * {all_of_them}) / {all_of_them}"


def mean(histogram: str, window: str, by: str) -> str:
    """The mean of what a histogram saw within the window."""
    seen = (f"sum by ({by}) (rate({histogram}_{end}[{window}]))" for end in ("sum", "count"))
    return " / ".join(seen)


def quantile(of: float, histogram: str, window: str, by: str, labels: str = "") -> str:
    """A quantile of what a histogram saw within the window."""
    buckets = f"{histogram}_bucket{{{labels}}}" if labels else f"{histogram}_bucket"
    return f"histogram_quantile({of}, sum by ({by}, le) (rate({buckets}[{window}])))"
