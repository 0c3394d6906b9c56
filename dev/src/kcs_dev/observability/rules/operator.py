"""Alerts of the operator, of pools and of TURN: whether capacity follows the load."""

from kcs_dev.observability.rules.model import Alert, Group, share
from kcs_dev.observability.rules.recording import DESIRED, PODS, POOL_FREE
from kcs_dev.observability.scrape import POD, POOL, SIGNALING, TURN

_ROLE = "namespace, pool, role"
_RECONCILES = "kcs_operator_reconciles_total"

OPERATOR_ALERTS = Group(
    "kcs-operator",
    [
        Alert(
            "KcsOperatorWithoutLeader",
            "critical",
            # when it is gone it tells nothing: its namespace is known from signaling beside it
            value="sum by (namespace) (kcs_operator_leader) "
            f'or 0 * count by (namespace) (up{{job="{SIGNALING}"}})',
            when="== 0",
            hold="5m",
            summary="The operator in {{ $labels.namespace }} has no leader.",
            description="Calls go on, but no pod is added, replaced or drained. First: `kubectl -n "
            "{{ $labels.namespace }} get lease,pods`.",
        ),
        Alert(
            "KcsOperatorErrors",
            "warning",
            value=share(
                f'{_RECONCILES}{{result!="ok"}}[15m]', f"{_RECONCILES}[15m]", "namespace, kind"
            ),
            when="> 0.2",
            hold="15m",
            summary="The operator in {{ $labels.namespace }} fails at {{ $labels.kind }} objects.",
            description="{{ $value | humanizePercentage }} of its attempts end in an error. "
            "First: the log of the operator's leader.",
        ),
        Alert(
            "KcsPoolPodsMissing",
            "warning",
            value=f"{DESIRED} - on ({_ROLE}) "
            f'(sum by ({_ROLE}) ({PODS}{{state="ready"}}) or 0 * {DESIRED})',
            when="> 0",
            hold="15m",
            summary="Pool {{ $labels.pool }} lacks {{ $value }} {{ $labels.role }} pods.",
            description="They are wanted and do not become ready. First: `kubectl get -A pods -l "
            "meetings.kcs.dev/pool={{ $labels.pool }}`.",
        ),
        Alert(
            "KcsPoolCapacityLow",
            "warning",
            value=POOL_FREE,
            when="< 0.1",
            hold="10m",
            summary="Pool {{ $labels.pool }} is almost full.",
            description="{{ $value | humanizePercentage }} of its room is free for more than 10 "
            "minutes. First: is it at its maximum? `kubectl get -A sfupool`.",
        ),
        Alert(
            "KcsDrainStuck",
            "warning",
            value=f'sum by ({_ROLE}) ({PODS}{{state="draining"}})',
            when="> 0",
            hold="3h",
            summary="Pods of pool {{ $labels.pool }} drain for more than three hours.",
            description="{{ $value }} {{ $labels.role }} pods still have people, or do not end. "
            "First: `kubectl describe -A sfupool`.",
        ),
        Alert(
            "KcsTurnDown",
            "critical",
            value=f'max by ({POD}) (up{{job="{TURN}"}})',
            when="== 0",
            hold="2m",
            summary="TURN server {{ $labels.pod }} does not answer.",
            description="People behind strict firewalls who came in through it have lost the "
            "call. First: `kubectl -n {{ $labels.namespace }} get pod {{ $labels.pod }} -o wide`.",
        ),
        Alert(
            "KcsTurnRefused",
            "warning",
            value=f'sum by ({POD}) (increase(kcs_turn_refused_total{{code=~"486|508"}}[5m]))',
            when="> 5",
            hold="0s",
            summary="TURN server {{ $labels.pod }} refuses people.",
            description="{{ $value | humanize }} requests within 5 minutes found no port (508) or "
            "more relays than one person may have (486). First: the dashboard KCS / TURN and "
            "cost, which code.",
        ),
        Alert(
            "KcsTurnAllocationsHigh",
            "warning",
            value=f"sum by ({POOL}) (kcs_turn_allocations)"
            f' / count by ({POOL}) (up{{job="{TURN}"}} == 1)',
            when="> 750",
            hold="10m",
            summary="The TURN servers of pool {{ $labels.pool }} have many relays.",
            description="{{ $value | humanize }} allocations each, where a pool wants 500 by "
            "default (turn.targetAllocations): they do not follow the load. First: are they at "
            "their maximum?",
        ),
    ],
)
