"""Alerts of signaling and of what it needs: who joins, chats or comes back feels it."""

from kcs_dev.observability.rules.model import Alert, Group
from kcs_dev.observability.rules.recording import DESIRED, FAILED, SLOW
from kcs_dev.observability.scrape import OPERATOR, SIGNALING

_UP = f'up{{job="{SIGNALING}"}}'
_NO_CAPACITY = "sum by (namespace) (increase(kcs_signaling_no_capacity_total[5m]))"


def _unreachable(name: str, dependency: str, what: str, meaning: str) -> Alert:
    return Alert(
        name,
        "critical",
        value=f'min by (namespace) (kcs_signaling_dependency_up{{dependency="{dependency}"}})',
        when="== 0",
        hold="1m",
        summary=f"Signaling in {{{{ $labels.namespace }}}} cannot reach {what}.",
        description=f"{meaning} First: `kubectl -n {{{{ $labels.namespace }}}} get pods`, and "
        "/readyz of each signaling pod.",
    )


SIGNALING_ALERTS = Group(
    "kcs-signaling",
    [
        Alert(
            "KcsSignalingDown",
            "critical",
            # without any pod it has no `up`: its namespace is known from the operator beside it
            value=f"sum by (namespace) ({_UP}) "
            f'or 0 * count by (namespace) (up{{job="{OPERATOR}"}})',
            when="== 0",
            hold="1m",
            summary="No signaling replica in {{ $labels.namespace }} answers.",
            description="Nobody can join, chat or come back; those who talk keep talking. First: "
            "`kubectl -n {{ $labels.namespace }} get pods -l "
            "app.kubernetes.io/component=signaling`.",
        ),
        Alert(
            "KcsSignalingReplicaDown",
            "warning",
            value=f"max by (namespace, pod) ({_UP})",
            when="== 0",
            hold="5m",
            summary="Signaling replica {{ $labels.pod }} does not answer.",
            description="Its people have gone to the other replicas. First: `kubectl -n {{ "
            "$labels.namespace }} describe pod {{ $labels.pod }}`.",
        ),
        _unreachable(
            "KcsDatabaseUnavailable",
            "database",
            "the database",
            "Calls go on and meeting links still work; chat, REST, new meetings and logins fail.",
        ),
        _unreachable(
            "KcsRedisUnavailable",
            "redis",
            "Redis",
            "Who talks keeps talking; nobody can join, mute others, or recover from a lost node.",
        ),
        Alert(
            "KcsNoSfuNode",
            "critical",
            value="max by (namespace) (kcs_signaling_nodes)",
            when="== 0",
            hold="1m",
            # a pool that idles with `min: 0` wants none; without an operator nobody says so
            only_if="on (namespace) (max by (namespace) "
            '(kcs_signaling_dependency_up{dependency="redis"}) == 1 unless on (namespace) '
            f'sum by (namespace) ({DESIRED}{{role="sfu"}}) == 0)',
            summary="No SFU node in {{ $labels.namespace }} is alive.",
            description="No meeting can begin, and those that ran have no media. First: `kubectl "
            "get -A sfupool`.",
        ),
        Alert(
            "KcsNoCapacity",
            "warning",
            value=_NO_CAPACITY,
            when="> 0",
            hold="0s",
            summary="Meetings in {{ $labels.namespace }} found no SFU node with room.",
            description="{{ $value | humanize }} times within 5 minutes; people were told to try "
            "again. First: does the pool grow? `kubectl get -A sfupool`.",
        ),
        Alert(
            "KcsNoCapacityPersists",
            "critical",
            value=_NO_CAPACITY,
            when="> 0",
            hold="10m",
            summary="Meetings in {{ $labels.namespace }} find no SFU node with room, still.",
            description="For more than 10 minutes people are refused: the pool does not grow, or "
            "not far enough. First: `kubectl describe -A sfupool`.",
        ),
        Alert(
            "KcsJournalLost",
            "warning",
            value="sum by (namespace, kind) (increase(kcs_signaling_journal_lost_total[10m]))",
            when="> 0",
            hold="0s",
            summary="Records of calls in {{ $labels.namespace }} are lost.",
            description="{{ $value | humanize }} {{ $labels.kind }} did not reach the database in "
            "time and are gone. First: is the database slow or away?",
        ),
        Alert(
            "KcsRetentionFailing",
            "warning",
            value="max by (namespace) (sum by (namespace, step) "
            "(increase(kcs_signaling_retention_failed_total[1d])))",
            when="> 2.5",
            hold="0s",
            summary="What is too old is not deleted in {{ $labels.namespace }}.",
            description="A step of retention failed {{ $value | humanize }} times within a day. "
            "First: `kubectl -n {{ $labels.namespace }} logs -l "
            "app.kubernetes.io/component=signaling --since=1d | grep retention`.",
        ),
        Alert(
            "KcsCommandsFailing",
            "critical",
            value=FAILED,
            when="> 0.05",
            hold="5m",
            summary="{{ $value | humanizePercentage }} of what people do in "
            "{{ $labels.namespace }} fails.",
            description="Their commands are answered with UNAVAILABLE or INTERNAL_ERROR. First: "
            "the dashboard KCS / Signaling, which events and which code.",
        ),
        Alert(
            "KcsCommandsSlow",
            "warning",
            value=SLOW,
            when="> 1",
            hold="10m",
            summary="Signaling in {{ $labels.namespace }} answers slowly.",
            description="One command in twenty takes longer than {{ $value | humanizeDuration }}. "
            "First: CPU of the signaling pods, then Redis and the nodes.",
        ),
    ],
)
