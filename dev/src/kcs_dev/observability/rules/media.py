"""Alerts of what media is like, whichever node it comes from."""

from kcs_dev.observability.rules.model import Alert, Group
from kcs_dev.observability.rules.recording import CONNECTED, LOSS, RTT
from kcs_dev.observability.scrape import POOL

_ATTEMPTS = 'kcs_sfu_connections_total{outcome!="abandoned"}'

MEDIA_ALERTS = Group(
    "kcs-media",
    [
        Alert(
            "KcsConnectionSuccessLow",
            "critical",
            value=CONNECTED,
            when="< 0.95",
            hold="5m",
            # one person behind a bad firewall is no reason to wake anybody
            only_if=f"sum by ({POOL}) (increase({_ATTEMPTS}[5m])) > 20",
            summary="Only {{ $value | humanizePercentage }} of connections to pool "
            "{{ $labels.pool }} succeed.",
            description="People in {{ $labels.namespace }} join, and hear and see nothing. First: "
            "ice_failed or dtls_failed? One node, or all?",
        ),
        Alert(
            "KcsPacketLossHigh",
            "warning",
            value=LOSS,
            when="> 0.02",
            hold="10m",
            summary="Pool {{ $labels.pool }} loses {{ $value | humanizePercentage }} of packets.",
            description="The mean over all people of the pool in {{ $labels.namespace }}: sound "
            "and pictures break up. First: in or out? One node, or all?",
        ),
        Alert(
            "KcsRttHigh",
            "warning",
            value=RTT,
            when="> 0.2",
            hold="10m",
            summary="Round trips to pool {{ $labels.pool }} take {{ $value | humanizeDuration }}.",
            description="The mean over all people of the pool in {{ $labels.namespace }}: they "
            "talk over each other. First: are they far away, or is a network full?",
        ),
    ],
)
