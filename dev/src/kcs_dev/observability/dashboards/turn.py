"""KCS / TURN and cost: who comes in through relays, what flows, and what that costs about.

Prices are the dashboard's own variables, with the architecture guide's figures as a start.
"""

from grafana_foundation_sdk.builders.dashboard import Dashboard, TextBoxVariable

from kcs_dev.observability.dashboards.panels import (
    Panel,
    Query,
    graph,
    number,
    of,
    of_pool,
    page,
    rate,
    row,
    up,
)
from kcs_dev.observability.rules import recording as rules
from kcs_dev.observability.scrape import SFU, SIGNALING, TURN

_PRICES = (
    ("sfu_price", "SFU pod, per hour", "0.68"),
    ("turn_price", "TURN pod, per hour", "0.0832"),
    ("signaling_price", "Signaling pod, per hour", "0.34"),
    ("egress_price", "Egress, per GB", "0.09"),
)
_POD = "{{pod}}"


def turn() -> Dashboard:
    """The dashboard."""
    text = "Who comes in through relays, what flows, and what that costs about."
    made = page("kcs-turn", "TURN and cost", text, pool=True)
    for name, label, price in _PRICES:
        made.with_variable(TextBoxVariable(name).label(label).default_value(price))
    row(made, "TURN", *_relays())
    row(made, "Traffic", *_traffic())
    row(made, "Cost, about", *_cost())
    return made


def _relays() -> list[Panel]:
    relays = of_pool("kcs_turn_allocations")
    return [
        graph(
            "TURN servers",
            "short",
            Query(f"sum by (pool) ({up(TURN)})", "{{pool}}: answer"),
            Query(of_pool(rules.DESIRED, 'role="turn"'), "{{pool}}: wanted"),
            help_text="That answer Prometheus, and that the operator wants.",
        ),
        graph(
            "Allocations",
            "short",
            Query(relays, _POD),
            help_text="Relays in use; a pool wants 500 per server by default.",
            stacked=True,
        ),
        graph(
            "Share of transports that are relayed",
            "percentunit",
            Query(f"sum({relays}) / sum({of_pool('kcs_sfu_transports')})", "relayed"),
            help_text="A sudden rise: a firewall, or the SFU nodes' ports are not reachable.",
        ),
        graph(
            "New allocations",
            "cpm",
            Query(f"60 * {rate(of_pool('kcs_turn_allocations_total'), 'pod')}", _POD),
            help_text="Per minute.",
            width=12,
        ),
        graph(
            "Refused",
            "cpm",
            Query(
                f"60 * {rate(of_pool('kcs_turn_refused_total'), 'method, code')}",
                "{{method}} {{code}}",
            ),
            help_text="486: a person has too many; 508: no port is free; 401, 441: credentials.",
            width=12,
        ),
    ]


def _traffic() -> list[Panel]:
    relayed = of_pool("kcs_turn_egress_bytes_total", 'side="client"')
    sent = of_pool("kcs_sfu_network_bytes_total", 'direction="out"')
    return [
        graph(
            "Relayed",
            "Bps",
            Query(rate(relayed, "pod"), _POD),
            help_text="What the TURN servers send to browsers.",
            stacked=True,
        ),
        graph(
            "SFU nodes to browsers",
            "Bps",
            Query(of_pool(rules.EGRESS), "{{namespace}} {{pool}}"),
            help_text="Mean of five minutes.",
            stacked=True,
        ),
        graph(
            "Per person",
            "Bps",
            Query(f"{rate(sent)} / sum({of_pool('kcs_sfu_participants')})", "egress"),
            help_text="What one participant gets.",
        ),
        number(
            "SFU egress, last day",
            "decbytes",
            f"sum(increase({sent}[1d]))",
            help_text="To browsers and TURN servers.",
            width=12,
        ),
        number(
            "TURN egress, last day",
            "decbytes",
            f"sum(increase({relayed}[1d]))",
            help_text="Of that, what TURN servers passed on.",
            width=12,
        ),
    ]


def _cost() -> list[Panel]:
    pods = " + ".join(
        f"(count({up(job)} == 1) or vector(0)) * ${price}"
        for job, price in ((SFU, "sfu_price"), (TURN, "turn_price"), (SIGNALING, "signaling_price"))
    )
    sent = rate(of("kcs_sfu_network_bytes_total", 'direction="out"'))
    egress = f"3600 * {sent} / 1e9 * $egress_price"
    help_text = "An estimate: pods that answer, and bytes to browsers, at the prices above."
    return [
        graph(
            "Per hour",
            "currencyUSD",
            Query(pods, "pods"),
            Query(egress, "egress"),
            help_text=help_text,
            stacked=True,
            width=12,
        ),
        graph(
            "Per person and hour",
            "currencyUSD",
            Query(f"({pods} + {egress}) / sum({of('kcs_signaling_participants')})", "all"),
            help_text=help_text,
            width=12,
        ),
    ]
