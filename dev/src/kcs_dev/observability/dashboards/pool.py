"""KCS / Pool: does capacity follow the load, and how is each node?"""

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

_POD = "{{pod}}"
_OPERATIONS = "kcs_sfu_operations_total"


def pool() -> Dashboard:
    """The dashboard."""
    text = "Does capacity follow the load, and how is each SFU node?"
    made = page("kcs-pool", "Pool", text, pool=True)
    row(made, "Capacity, as the operator sees it", *_capacity())
    row(made, "Nodes", *_nodes())
    row(made, "Workers", *_workers())
    row(made, "Control", *_control())
    row(made, "Operator", *_operator())
    return made


def _capacity() -> list[Panel]:
    starts = 'namespace=~"$namespace", pool=~"$pool"'
    return [
        graph(
            "Pods, wanted and there",
            "short",
            Query(of_pool(rules.DESIRED), "wanted: {{pool}} {{role}}"),
            Query(of_pool(rules.PODS), "{{state}}: {{pool}} {{role}}"),
            help_text="Wanted above ready for long: pods do not start.",
        ),
        graph(
            "Room for participants",
            "short",
            Query(of_pool(rules.CAPACITY), "{{state}}: {{pool}}"),
            help_text="free is what is neither used nor reserved for meetings that begin.",
        ),
        graph(
            "Free share",
            "percentunit",
            Query(of_pool(rules.POOL_FREE), "{{pool}}"),
            help_text="Of all room.",
            bound=Bound(0.1, low=True),
        ),
        graph(
            "Scaling",
            "short",
            Query(
                "sum by (pool, role, direction, reason) (increase("
                f"{of_pool('kcs_operator_scale_events_total')}[{WINDOW}]))",
                "{{pool}} {{role}} {{direction}}: {{reason}}",
            ),
            help_text="Decisions to grow or shrink, and why.",
        ),
        graph(
            "Time from a pod's creation to Ready",
            "s",
            *(
                Query(
                    quantile(share, "kcs_operator_pod_start_seconds", "1h", "pool, role", starts),
                    f"{name} of {{{{pool}}}} {{{{role}}}}",
                )
                for share, name in ((0.5, "half"), (0.95, "95 %"))
            ),
            help_text="Of the last hour: so long ahead the pool must grow.",
        ),
        graph(
            "Refused for want of room",
            "short",
            Query(
                f"sum by (namespace) (increase({of('kcs_signaling_no_capacity_total')}[{WINDOW}]))",
                "{{namespace}}",
            ),
            help_text="Times that a meeting found no node with room, in any pool.",
            bound=Bound(1),
        ),
    ]


def _nodes() -> list[Panel]:
    return [
        graph(
            "Fullness",
            "percentunit",
            Query(of_pool(rules.FULLNESS), _POD),
            help_text="Streams that go out, of those that the node carries.",
            bound=Bound(0.7),
        ),
        graph(
            "Participants",
            "short",
            Query(of_pool("kcs_sfu_participants"), _POD),
            help_text="With a transport.",
            stacked=True,
        ),
        graph(
            "Meetings",
            "short",
            Query(of_pool("kcs_sfu_rooms"), _POD),
            help_text="Rooms that are open.",
            stacked=True,
        ),
        graph(
            "Streams",
            "short",
            Query(f"sum by (pod) ({of_pool('kcs_sfu_producers')})", "in: {{pod}}"),
            Query(f"sum by (pod) ({of_pool('kcs_sfu_consumers')})", "out: {{pod}}"),
            help_text="That come in (producers) and go out (consumers).",
        ),
        graph(
            "Traffic to browsers",
            "Bps",
            Query(rate(of_pool("kcs_sfu_network_bytes_total", 'direction="out"'), "pod"), _POD),
            help_text="Egress.",
            stacked=True,
        ),
        graph(
            "Memory",
            "percentunit",
            Query(of_pool(rules.MEMORY), _POD),
            help_text="Of the pod's limit; the guide's target is below 85 %.",
            bound=Bound(0.85),
        ),
    ]


def _workers() -> list[Panel]:
    worker = "{{pod}} {{worker}}"
    held = [
        graph(
            title,
            "short",
            Query(of_pool(f"kcs_sfu_worker_{name}"), worker),
            help_text="By worker.",
            width=6,
        )
        for title, name in (
            ("Routers", "routers"),
            ("Transports", "transports"),
            ("Producers", "producers"),
            ("Consumers", "consumers"),
        )
    ]
    return [
        graph(
            "CPU",
            "percentunit",
            Query(of_pool(rules.CPU, 'part="worker"'), worker),
            Query(of_pool(rules.CPU, 'part="process"'), "{{pod}} agent"),
            help_text="Of one core, which is all that a worker can use; the target is below 80 %.",
            bound=Bound(0.8),
        ),
        graph(
            "Memory",
            "bytes",
            Query(of_pool("kcs_sfu_worker_memory_bytes"), worker),
            help_text="Resident.",
        ),
        graph(
            "Workers that crashed",
            "short",
            Query(
                f"sum by (pod) (increase({of_pool('kcs_sfu_worker_restarts_total')}[{WINDOW}]))",
                _POD,
            ),
            help_text="And were replaced; any is one too many.",
            bound=Bound(1),
        ),
        *held,
    ]


def _control() -> list[Panel]:
    return [
        graph(
            "Age of the lease",
            "s",
            Query(of_pool("kcs_sfu_lease_age_seconds"), _POD),
            help_text="Above 2 s the node admits nobody, above 3 s its meetings move.",
            bound=Bound(2),
        ),
        graph(
            "Operations",
            "ops",
            Query(rate(of_pool(_OPERATIONS), "result"), "{{result}}"),
            help_text="That signaling asked for, by outcome.",
        ),
        graph(
            "Time of an operation",
            "s",
            Query(
                quantile(
                    0.95,
                    "kcs_sfu_operation_seconds",
                    WINDOW,
                    "op",
                    'namespace=~"$namespace", pool=~"$pool"',
                ),
                "{{op}}",
            ),
            help_text="Of 95 % of them.",
        ),
    ]


def _operator() -> list[Panel]:
    seconds = 'namespace=~"$namespace"'
    return [
        graph(
            "Leader",
            "short",
            Query(f"sum by (namespace) ({of('kcs_operator_leader')})", "{{namespace}}"),
            help_text="One, always.",
            bound=Bound(1, low=True),
            width=6,
        ),
        graph(
            "Reconciles",
            "ops",
            Query(
                rate(of("kcs_operator_reconciles_total"), "kind, result"), "{{kind}}: {{result}}"
            ),
            help_text="By kind and outcome.",
            width=6,
        ),
        graph(
            "Time of a reconcile",
            "s",
            Query(
                quantile(0.95, "kcs_operator_reconcile_seconds", WINDOW, "kind", seconds),
                "{{kind}}",
            ),
            help_text="Of 95 % of them.",
            width=6,
        ),
        graph(
            "Meetings and writes",
            "short",
            Query(f"max by (phase) ({of('kcs_operator_meetings')})", "Meetings {{phase}}"),
            Query(
                f"60 * {rate(of('kcs_operator_api_writes_total'), 'kind, verb')}",
                "writes per minute: {{verb}} {{kind}}",
            ),
            help_text="Meeting objects, and what is written to the Kubernetes API for all.",
            width=6,
        ),
        graph(
            "Meetings moved off draining pods",
            "short",
            Query(
                "sum by (pool, how) (increase("
                f"{of_pool('kcs_operator_moved_meetings_total')}[{WINDOW}]))",
                "{{pool}}: {{how}}",
            ),
            help_text="And how.",
            width=12,
        ),
        graph(
            "Evictions asked for",
            "short",
            Query(
                f"sum by (answer) (increase({of('kcs_operator_evictions_total')}[{WINDOW}]))",
                "{{answer}}",
            ),
            help_text="By `kubectl drain` and others; refused while the pod has people.",
            width=12,
        ),
    ]
