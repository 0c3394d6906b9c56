"""KCS / Signaling: sockets, commands, and what the replicas need."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from kcs_dev.observability.dashboards.panels import (
    WINDOW,
    Bound,
    Panel,
    Query,
    graph,
    of,
    page,
    rate,
    row,
    up,
)
from kcs_dev.observability.rules import recording as rules
from kcs_dev.observability.rules.model import quantile
from kcs_dev.observability.scrape import SIGNALING

_POD = "{{pod}}"
_COMMANDS = "kcs_signaling_commands_total"
_JOB = f'job="{SIGNALING}"'


def signaling() -> Dashboard:
    """The dashboard."""
    made = page("kcs-signaling", "Signaling", "Sockets, commands, and what the replicas need.")
    row(made, "Replicas", *_replicas())
    row(made, "Sockets", *_sockets())
    row(made, "Commands", *_commands())
    row(made, "Records", *_records())
    return made


def _replicas() -> list[Panel]:
    return [
        graph(
            "Replicas that answer",
            "short",
            Query(up(SIGNALING), _POD),
            help_text="1: Prometheus can read it.",
            width=6,
        ),
        graph(
            "What they need",
            "short",
            Query(of("kcs_signaling_dependency_up"), "{{dependency}}, {{pod}}"),
            help_text="1: the replica reaches it.",
            width=6,
        ),
        graph(
            "CPU",
            "percentunit",
            Query(of(rules.CPU, _JOB), _POD),
            help_text="Of one core, which is all that its event loop can use.",
            bound=Bound(0.8),
            width=6,
        ),
        graph(
            "Memory",
            "percentunit",
            Query(of(rules.MEMORY, _JOB), _POD),
            help_text="Of the pod's limit.",
            bound=Bound(0.85),
            width=6,
        ),
    ]


def _sockets() -> list[Panel]:
    # the series' own label `namespace` gives way to the one that the scrape sets
    sockets = f"sum by (exported_namespace) ({of('kcs_signaling_sockets')})"
    return [
        graph(
            "Sockets",
            "short",
            Query(sockets, "{{exported_namespace}}"),
            help_text="Connected, by Socket.IO namespace: /meeting and / are the two dialects.",
        ),
        graph(
            "Rooms by replica",
            "short",
            Query(of("kcs_signaling_rooms"), _POD),
            help_text="Meetings with sockets there; a meeting on two replicas counts on each.",
            stacked=True,
        ),
        graph(
            "Sockets refused",
            "cpm",
            Query(
                f"60 * {rate(of('kcs_signaling_sockets_refused_total'), 'reason')}", "{{reason}}"
            ),
            help_text="Refused or closed for what they did.",
        ),
        graph(
            "Events to sockets",
            "ops",
            Query(rate(of("kcs_signaling_events_delivered_total")), "written to sockets"),
            Query(rate(of("kcs_signaling_bus_events_total")), "read from Redis"),
            help_text="Their relation is how many hear of each change.",
            width=12,
        ),
        graph(
            "People",
            "short",
            Query(of("kcs_signaling_participants"), _POD),
            help_text="By the replica that has their socket.",
            stacked=True,
            width=12,
        ),
    ]


def _commands() -> list[Panel]:
    return [
        graph(
            "Commands",
            "ops",
            Query(f"topk(10, {rate(of(_COMMANDS), 'event')})", "{{event}}"),
            help_text="The ten most frequent.",
        ),
        graph(
            "Commands that were not done",
            "ops",
            Query(
                rate(of(_COMMANDS, 'result!="ok"'), "event, result"),
                "{{event}}: {{result}}",
            ),
            help_text="UNAVAILABLE and INTERNAL_ERROR are ours; the others tell people something.",
        ),
        graph(
            "Share that fails",
            "percentunit",
            Query(of(rules.FAILED), "{{namespace}}"),
            help_text="Answered with UNAVAILABLE or INTERNAL_ERROR.",
            bound=Bound(0.05),
        ),
        graph(
            "Time to answer, all",
            "s",
            Query(of(rules.SLOW), "95 %, {{namespace}}"),
            help_text="Of 95 % of the commands.",
            bound=Bound(1),
        ),
        graph(
            "Time to answer, by event",
            "s",
            Query(
                "topk(10, "
                + quantile(
                    0.95,
                    "kcs_signaling_command_seconds",
                    WINDOW,
                    "event",
                    'namespace=~"$namespace"',
                )
                + ")",
                "{{event}}",
            ),
            help_text="Of 95 %; the ten slowest events.",
        ),
        graph(
            "Refused for want of room",
            "short",
            Query(
                f"sum by (pod) (increase({of('kcs_signaling_no_capacity_total')}[{WINDOW}]))",
                _POD,
            ),
            help_text="Times that a meeting found no SFU node with room.",
            bound=Bound(1),
        ),
    ]


def _records() -> list[Panel]:
    lost = of("kcs_signaling_journal_lost_total")
    return [
        graph(
            "Records lost",
            "short",
            Query(f"sum by (kind) (increase({lost}[{WINDOW}]))", "{{kind}}"),
            help_text="That the database did not take in time; any is one too many.",
            bound=Bound(1),
            width=12,
        ),
        graph(
            "Chat messages",
            "cpm",
            Query(f"60 * {rate(of('kcs_signaling_chat_messages_total'))}", "messages"),
            help_text="On record, per minute.",
            width=12,
        ),
    ]
