"""Alerts of SFU nodes: those who are in meetings there feel it."""

from kcs_dev.observability.rules.model import Alert, Group, share
from kcs_dev.observability.scrape import POD, SFU

_OPERATIONS = "kcs_sfu_operations_total"

SFU_ALERTS = Group(
    "kcs-sfu",
    [
        Alert(
            "KcsSfuNodeDown",
            "critical",
            value=f'max by ({POD}) (up{{job="{SFU}"}})',
            when="== 0",
            hold="1m",
            summary="SFU node {{ $labels.pod }} does not answer.",
            description="Prometheus cannot read the node since a minute. Its meetings move to "
            "other nodes within seconds if its lease is gone too. First: `kubectl -n {{ "
            "$labels.namespace }} get pod {{ $labels.pod }} -o wide`.",
        ),
        Alert(
            "KcsSfuWorkerCrashed",
            "critical",
            value=f"sum by ({POD}) (increase(kcs_sfu_worker_restarts_total[10m]))",
            when="> 0",
            hold="0s",
            summary="A media worker of {{ $labels.pod }} crashed.",
            description="Within 10 minutes {{ $value | humanize }} workers died and were "
            "replaced; their meetings lost media for some seconds. First: the node's log, "
            "`worker_died`.",
        ),
        Alert(
            "KcsSfuWorkerMissing",
            "critical",
            value=f"sum by ({POD}) (kcs_sfu_workers_configured) - sum by ({POD}) (kcs_sfu_workers)",
            when="> 0",
            hold="1m",
            summary="{{ $value }} media workers of {{ $labels.pod }} do not start.",
            description="They died and do not come back: the node has less room than it says. "
            "First: the node's log, `worker_died` and what follows.",
        ),
        Alert(
            "KcsSfuLeaseLost",
            "critical",
            value=f"max by ({POD}) (kcs_sfu_lease_age_seconds)",
            when="> 2",
            hold="30s",
            summary="SFU node {{ $labels.pod }} cannot renew its lease.",
            description="It runs, but has not reached Redis for {{ $value | humanizeDuration }}: "
            "it admits nobody new, and its meetings may have moved. First: is it one node, or all?",
        ),
        Alert(
            "KcsSfuOperationsFailing",
            "critical",
            value=share(f'{_OPERATIONS}{{result="UNAVAILABLE"}}[5m]', f"{_OPERATIONS}[5m]", POD),
            when="> 0.05",
            hold="2m",
            summary="Media workers of {{ $labels.pod }} do not answer.",
            description="{{ $value | humanizePercentage }} of what signaling asks of the node "
            "fails since its workers are dead or late. First: CPU of its workers, the node's log.",
        ),
    ],
)
