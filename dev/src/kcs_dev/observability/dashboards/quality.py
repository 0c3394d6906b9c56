"""KCS / Meeting quality: what nodes measure, and beside it what people's clients report."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from kcs_dev.observability.dashboards.panels import (
    WINDOW,
    Bound,
    Panel,
    Query,
    graph,
    of,
    of_pool,
    page,
    rate,
    row,
)
from kcs_dev.observability.rules import recording as rules
from kcs_dev.observability.rules.model import quantile

_OF_POOL = 'namespace=~"$namespace", pool=~"$pool"'
_OF_ALL = 'namespace=~"$namespace"'
_MEASURED = (
    ("Round trips", "kcs_sfu_rtt_seconds", "s", 0.1, "100 ms"),
    ("Jitter", "kcs_sfu_jitter_seconds", "s", 0.03, "30 ms"),
    ("Packet loss", "kcs_sfu_packet_loss_ratio", "percentunit", 0.01, "1 %"),
)
_REPORTED = (
    ("Round trips", "kcs_signaling_reported_rtt_seconds", "s", 0.1),
    ("Jitter", "kcs_signaling_reported_jitter_seconds", "s", 0.03),
    ("Packet loss", "kcs_signaling_reported_loss_ratio", "percentunit", 0.01),
    ("Bitrate", "kcs_signaling_reported_bitrate_bits_per_second", "bps", None),
)


def quality() -> Dashboard:
    """The dashboard."""
    text = "What SFU nodes measure, and beside it what people's clients report."
    made = page("kcs-quality", "Meeting quality", text, pool=True)
    row(made, "Getting connected", *_connections())
    row(made, "Measured by the nodes", *_measured())
    row(made, "Reported by clients", *_reported())
    return made


def _connections() -> list[Panel]:
    connections = of_pool("kcs_sfu_connections_total")
    return [
        graph(
            "Connections that succeed",
            "percentunit",
            Query(of_pool(rules.CONNECTED), "{{namespace}} {{pool}}"),
            help_text="Of the transports whose client tried; the guide's target is 99 %.",
            bound=Bound(0.99, low=True),
        ),
        graph(
            "Outcomes",
            "cpm",
            Query(f"60 * {rate(connections, 'outcome')}", "{{outcome}}"),
            help_text="ice_failed: no packet came through; dtls_failed: some did, the handshake "
            "failed; abandoned: the client went first.",
        ),
        graph(
            "Connections that fail, by node",
            "cpm",
            Query(
                "60 * "
                + rate(
                    of_pool("kcs_sfu_connections_total", 'outcome=~"ice_failed|dtls_failed"'), "pod"
                ),
                "{{pod}}",
            ),
            help_text="One node alone: its address or its ports.",
        ),
    ]


def _measured() -> list[Panel]:
    panels: list[Panel] = [
        graph(
            title,
            unit,
            *(
                Query(
                    quantile(share, histogram, WINDOW, "direction", _OF_POOL),
                    f"{name}, {{{{direction}}}}",
                )
                for share, name in ((0.5, "half"), (0.95, "95 %"))
            ),
            help_text=f"Within these are half, or 95 %, of the samples; the target is {target}.",
            bound=Bound(bound),
        )
        for title, histogram, unit, bound, target in _MEASURED
    ]
    return [
        *panels,
        graph(
            "Bitrate",
            "bps",
            Query(
                f"sum by (direction) ({of_pool('kcs_sfu_network_bits_per_second')})",
                "{{direction}}",
            ),
            Query(
                f"sum({of_pool('kcs_sfu_network_available_bits_per_second')})",
                "allocated: what receivers' networks can take",
            ),
            help_text="Of all transports: what flows, and what could flow to receivers.",
            width=12,
        ),
        graph(
            "Means by pool",
            "s",
            Query(of_pool(rules.RTT), "round trip, {{pool}}"),
            Query(of_pool(rules.JITTER), "jitter, {{pool}}"),
            help_text="What the alerts look at, with packet loss on the overview.",
            width=12,
        ),
    ]


def _reported() -> list[Panel]:
    panels: list[Panel] = [
        graph(
            title,
            unit,
            *(
                Query(quantile(share, histogram, WINDOW, "namespace", _OF_ALL), name)
                for share, name in ((0.5, "half"), (0.95, "95 %"))
            ),
            help_text="Within these are half, or 95 %, of the reports.",
            bound=None if bound is None else Bound(bound),
            width=6,
        )
        for title, histogram, unit, bound in _REPORTED
    ]
    return [
        *panels,
        graph(
            "Warnings of bad connections",
            "cpm",
            Query(f"60 * {rate(of('kcs_signaling_quality_warnings_total'), 'issue')}", "{{issue}}"),
            help_text="Told to people, per minute.",
            width=12,
        ),
        graph(
            "Why people go",
            "cpm",
            Query(
                f"60 * {rate(of('kcs_signaling_participants_left_total'), 'reason')}",
                "{{reason}}",
            ),
            help_text="Many timeouts: they lose their connection.",
            width=12,
        ),
    ]
