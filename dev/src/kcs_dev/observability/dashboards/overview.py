"""KCS / Overview: is everything fine, and how much is going on? The first page to open."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from kcs_dev.observability.dashboards.panels import (
    WINDOW,
    Bound,
    Panel,
    Query,
    graph,
    number,
    of,
    page,
    rate,
    row,
    up,
)
from kcs_dev.observability.rules import recording as rules
from kcs_dev.observability.scrape import JOBS, SFU, SIGNALING

_CREATED = of("kcs_signaling_meetings_created_total")
_USERS = "kcs_signaling_users"
_MEETINGS = "kcs_signaling_meeting_seconds"


def overview() -> Dashboard:
    """The dashboard."""
    made = page("kcs-overview", "Overview", "Is everything fine, and how much is going on?")
    row(made, "Now", *_now())
    row(made, "People", *_people())
    row(made, "How it is for them", *_quality())
    row(made, "What it runs on", *_machines())
    row(made, "Business", *_business())
    return made


def _now() -> list[Panel]:
    firing = of("ALERTS", 'alertname=~"Kcs.+"', 'alertstate="firing"')
    return [
        number(
            "Alerts",
            "short",
            f"count({firing}) or vector(0)",
            help_text="That fire now. Each has a runbook.",
            bound=Bound(1),
        ),
        number(
            "People",
            "short",
            f"sum({of('kcs_signaling_participants')})",
            help_text="In meetings, with a socket now.",
        ),
        number(
            "Meetings",
            "short",
            f"sum({of('kcs_sfu_rooms')})",
            help_text="Rooms open on SFU nodes; a breakout room is one of its own.",
        ),
        number(
            "SFU nodes",
            "short",
            f"max({of('kcs_signaling_nodes')})",
            help_text="Alive, as placement knows.",
            bound=Bound(1, low=True),
        ),
        number(
            "Signaling replicas",
            "short",
            f"sum({up(SIGNALING)})",
            help_text="That answer Prometheus.",
            bound=Bound(1, low=True),
        ),
        number(
            "Refused, last hour",
            "short",
            f"sum(increase({of('kcs_signaling_no_capacity_total')}[1h]))",
            help_text="Times that a meeting found no SFU node with room (NO_CAPACITY).",
            bound=Bound(1),
        ),
    ]


def _people() -> list[Panel]:
    return [
        graph(
            "People",
            "short",
            Query(f"sum({of('kcs_signaling_participants')})", "in meetings"),
            Query(f"sum({of('kcs_signaling_waiting')})", "in waiting rooms"),
            help_text="With a socket now.",
        ),
        graph(
            "Coming and going",
            "cpm",
            Query(f"60 * {rate(of('kcs_signaling_participants_joined_total'))}", "joined"),
            Query(
                f"60 * {rate(of('kcs_signaling_participants_left_total'), 'reason')}",
                "gone: {{reason}}",
            ),
            help_text="People per minute. Many timeouts at once: a part failed, or a network.",
        ),
        graph(
            "Meetings",
            "cpm",
            Query(f"60 * {rate(_CREATED)}", "created"),
            Query(
                f"60 * {rate(of('kcs_signaling_meetings_ended_total'), 'reason')}",
                "ended: {{reason}}",
            ),
            help_text="Per minute.",
        ),
    ]


def _quality() -> list[Panel]:
    by_pool = "{{namespace}} {{pool}}"
    return [
        graph(
            "Connections that succeed",
            "percentunit",
            Query(of(rules.CONNECTED), by_pool),
            help_text="Of the transports whose client tried; the guide's target is 99 %.",
            bound=Bound(0.99, low=True),
        ),
        graph(
            "Round trips",
            "s",
            Query(of(rules.RTT), by_pool),
            help_text="Mean; the guide's target is 100 ms.",
            bound=Bound(0.1),
        ),
        graph(
            "Packet loss",
            "percentunit",
            Query(of(rules.LOSS), by_pool),
            help_text="Mean; the guide's target is 1 %.",
            bound=Bound(0.01),
        ),
        graph(
            "Commands that fail",
            "percentunit",
            Query(of(rules.FAILED), "{{namespace}}"),
            help_text="Answered with UNAVAILABLE or INTERNAL_ERROR.",
            bound=Bound(0.05),
        ),
        graph(
            "Time to answer",
            "s",
            Query(of(rules.SLOW), "{{namespace}}"),
            help_text="Of 95 % of all commands.",
            bound=Bound(1),
        ),
        graph(
            "Refused for want of room",
            "short",
            Query(
                f"sum by (namespace) (increase({of('kcs_signaling_no_capacity_total')}[{WINDOW}]))",
                "{{namespace}}",
            ),
            help_text="Times that a meeting found no SFU node with room.",
            bound=Bound(1),
        ),
    ]


def _machines() -> list[Panel]:
    return [
        graph(
            "Parts that answer",
            "short",
            Query(f"sum by (job) ({up(*JOBS)})", "{{job}}"),
            help_text="Pods that Prometheus can read.",
        ),
        graph(
            "Busiest thread of each pod",
            "percentunit",
            Query(f"max by (pod) ({of(rules.CPU)})", "{{pod}}"),
            help_text="Of one core; the guide's target is below 80 %.",
            bound=Bound(0.8),
        ),
        graph(
            "Memory",
            "percentunit",
            Query(f"max by (pod) ({of(rules.MEMORY)})", "{{pod}}"),
            help_text="Of the pod's limit; the guide's target is below 85 %.",
            bound=Bound(0.85),
        ),
        graph(
            "Traffic of the SFU nodes",
            "Bps",
            Query(rate(of("kcs_sfu_network_bytes_total"), "direction"), "{{direction}}"),
            help_text="in: from browsers, out: to them.",
        ),
        graph(
            "Fullness of the SFU nodes",
            "percentunit",
            Query(of(rules.FULLNESS), "{{pod}}"),
            help_text="Streams that go out, of those that the node carries.",
            bound=Bound(0.7),
        ),
        graph(
            "What the parts need",
            "short",
            Query(
                f"min by (dependency) ({of('kcs_signaling_dependency_up')})",
                "{{dependency}}, as signaling sees it",
            ),
            Query(f"min({up(SFU)})", "SFU nodes, as Prometheus sees them"),
            help_text="1: all reach it; 0: one does not.",
        ),
    ]


def _business() -> list[Panel]:
    stay, ended = of("kcs_signaling_stay_seconds_sum"), of(f"{_MEETINGS}_count")
    return [
        number(
            "Meeting minutes, last day",
            "short",
            f"sum(increase({stay}[1d])) / 60",
            help_text="Of all people, of the stays that ended.",
        ),
        number(
            "Length of a meeting",
            "s",
            f"sum(increase({of(f'{_MEETINGS}_sum')}[1d])) / sum(increase({ended}[1d]))",
            help_text="Mean of the last day.",
        ),
        number(
            "Meetings that took place",
            "percentunit",
            f"sum(increase({ended}[7d])) / sum(increase({_CREATED}[7d]))",
            help_text="Of those that were made within the last 7 days.",
        ),
        *(
            number(
                f"People, {name}",
                "short",
                f"max({of(_USERS, period)})",
                help_text="Different ones; counted once per sweep.",
            )
            for name, period in (
                ("one day", 'period="day"'),
                ("7 days", 'period="week"'),
                ("30 days", 'period="month"'),
            )
        ),
    ]
