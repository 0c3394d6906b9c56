"""What signaling counts, in prometheus-client's default registry; REST serves it at /metrics.

No label carries an id or a text of a client's: event names are those of the tables.
"""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from kcs_contracts.memory import memory_limit_bytes

# creation times: a series more for each, which Prometheus does not read; the function has no types
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus-client's

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
BUS_EVENTS = Counter(
    "kcs_signaling_bus_events",
    "Events of meetings read from the bus: those of meetings with sockets on this replica.",
)
JOURNAL_LOST = Counter(
    "kcs_signaling_journal_lost",
    "Entries of calls that the database did not take in time: samples, or entries (all others).",
    ["kind"],
)
for _kind in ("entries", "samples"):  # from 0 on: a rate does not see where a series begins
    JOURNAL_LOST.labels(_kind)
RETENTION_FAILED = Counter(
    "kcs_signaling_retention_failed",
    "Steps of retention's sweeps that the database did not take, by step.",
    ["step"],
)
NO_CAPACITY = Counter(
    "kcs_signaling_no_capacity",
    "Times that a meeting found no SFU node with room: joins, and each try to move a meeting.",
)
DEPENDENCY_UP = Gauge(
    "kcs_signaling_dependency_up",
    "Whether what this replica needs answers, 1 or 0; asked when this is read.",
    ["dependency"],
)
NODES = Gauge(
    "kcs_signaling_nodes",
    "SFU nodes that are alive, as placement knows; all replicas say the same.",
)
MEMORY_LIMIT = Gauge(
    "kcs_signaling_memory_limit_bytes",
    "Memory that the replica may use: its container's limit, else the machine's.",
)
MEMORY_LIMIT.set(memory_limit_bytes())

# --- the architecture guide's "Key Metrics", as far as signaling knows them: docs/metrics.md ------

PARTICIPANTS = Gauge("kcs_signaling_participants", "People in meetings by sockets on this replica.")
WAITING = Gauge("kcs_signaling_waiting", "People in waiting rooms by sockets on this replica.")
JOINED = Counter(
    "kcs_signaling_participants_joined",
    "People who came into meetings, or a breakout room; resuming does not count.",
)
LEFT = Counter(
    "kcs_signaling_participants_left",
    "People who are gone, by reason; `ended`: those with a socket when their meeting ended.",
    ["reason"],
)
MEETINGS_CREATED = Counter("kcs_signaling_meetings_created", "Meetings put on record.")
MEETINGS_ENDED = Counter("kcs_signaling_meetings_ended", "Meetings ended.", ["reason"])
STAY_SECONDS = Histogram(
    "kcs_signaling_stay_seconds",
    "How long people stayed, once it is on record; the sum is the meeting minutes, in seconds.",
    buckets=(60, 300, 900, 1800, 2700, 3600, 5400, 7200, 14400, 28800),
)
MEETING_SECONDS = Histogram(
    "kcs_signaling_meeting_seconds",
    "How long meetings that have ended lasted, from the first person's coming to the last one's "
    "leaving; those to which nobody came do not count.",
    buckets=(60, 300, 900, 1800, 2700, 3600, 5400, 7200, 14400, 28800),
)
MESSAGES = Counter("kcs_signaling_chat_messages", "Chat messages put on record.")
REPORTED_RTT = Histogram(
    "kcs_signaling_reported_rtt_seconds",
    "Round-trip times that clients reported.",
    buckets=(0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2),
)
REPORTED_JITTER = Histogram(
    "kcs_signaling_reported_jitter_seconds",
    "Jitter that clients reported.",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5),
)
REPORTED_LOSS = Histogram(
    "kcs_signaling_reported_loss_ratio",
    "Packet loss that clients reported, 0 to 1.",
    buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
)
REPORTED_BITRATE = Histogram(
    "kcs_signaling_reported_bitrate_bits_per_second",
    "Bitrates that clients reported.",
    buckets=(5e4, 1e5, 2.5e5, 5e5, 1e6, 2e6, 4e6, 8e6),
)
WARNINGS = Counter("kcs_signaling_quality_warnings", "Warnings of bad connections.", ["issue"])
USERS = Gauge(
    "kcs_signaling_users",
    "People who were in meetings within the last day, week or month, as one of the replicas "
    "counted last: take the maximum over all.",
    ["period"],
)
