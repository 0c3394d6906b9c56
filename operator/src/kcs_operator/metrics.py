"""What the operator counts (docs/metrics.md). Pools are labels, meetings never."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter(
    "kcs_operator_reconciles_total", "Reconciliations, by outcome.", ["kind", "result"]
)
RECONCILE_SECONDS = Histogram(
    "kcs_operator_reconcile_seconds", "Time that a reconciliation took.", ["kind"]
)
API_WRITES = Counter(
    "kcs_operator_api_writes_total", "Writing requests to the Kubernetes API.", ["kind", "verb"]
)
PODS = Gauge("kcs_operator_pods", "Pods of a pool, by state.", ["pool", "role", "state"])
DESIRED_PODS = Gauge("kcs_operator_desired_pods", "Pods that there should be.", ["pool", "role"])
CAPACITY = Gauge(
    "kcs_operator_capacity_participants", "Participants that a pool carries.", ["pool", "state"]
)
SCALE_EVENTS = Counter(
    "kcs_operator_scale_events_total",
    "Changes of the desired number of pods.",
    ["pool", "role", "direction", "reason"],
)
POD_START_SECONDS = Histogram(
    "kcs_operator_pod_start_seconds",
    "From a pod's creation to its being ready.",
    ["pool", "role"],
    buckets=(1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233),
)
LEADER = Gauge("kcs_operator_leader", "1 where this replica leads.")
MEETINGS = Gauge("kcs_operator_meetings", "Declared meetings, by phase.", ["phase"])
MOVED_MEETINGS = Counter(
    "kcs_operator_moved_meetings_total", "Meetings moved off draining pods.", ["pool", "how"]
)
EVICTIONS = Counter(
    "kcs_operator_evictions_total", "Evictions of pods that were asked for.", ["answer"]
)
