"""What signaling counts, in prometheus-client's default registry; REST serves it at /metrics.

No label carries an id or a text of a client's: event names are those of the tables.
"""

from prometheus_client import Counter, Gauge, Histogram

SOCKETS = Gauge("kcs_signaling_sockets", "Sockets connected to a namespace.", ["namespace"])
SOCKETS_REFUSED = Counter(
    "kcs_signaling_sockets_refused",
    "Sockets refused or closed for what they did.",
    ["reason"],
)
ROOMS = Gauge("kcs_signaling_rooms", "Meetings with sockets on this replica.")
COMMANDS = Counter(
    "kcs_signaling_commands",
    "Commands of clients by outcome: ok, or the error's code.",
    ["dialect", "event", "result"],
)
COMMAND_SECONDS = Histogram(
    "kcs_signaling_command_seconds",
    "Time to answer a command.",
    ["event"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
EVENTS_DELIVERED = Counter(
    "kcs_signaling_events_delivered", "Events of meetings written to sockets, one per socket."
)
