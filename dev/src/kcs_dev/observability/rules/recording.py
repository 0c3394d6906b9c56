"""Recording rules: what several panels and alerts ask for, worked out once.

Names are `kcs:what:how`; windows are those of the alerts that read them.
"""

from kcs_dev.observability.rules.model import Group, Recording, mean, quantile, share
from kcs_dev.observability.scrape import OPERATOR, POD, POOL, SFU, SIGNALING

CPU = "kcs:cpu:ratio_rate2m"
"""Of one core, which is all that an event loop or a worker can use; by `part` of a pod."""
MEMORY = "kcs:memory:ratio"
"""Of the container's limit; pages that processes share count for each of them."""
CONNECTED = "kcs:connection_success:ratio_rate5m"
LOSS = "kcs:packet_loss:mean5m"
RTT = "kcs:rtt_seconds:mean5m"
JITTER = "kcs:jitter_seconds:mean5m"
FAILED = "kcs:commands_failed:ratio_rate5m"
SLOW = "kcs:command_seconds:p95_5m"
FULLNESS = "kcs:sfu_fullness:ratio"
EGRESS = "kcs:egress_bytes:rate5m"
PODS = "kcs:pool_pods:current"
"""By `role` and `state`, as the operator's leader says; so the next two."""
DESIRED = "kcs:pool_desired_pods:current"
CAPACITY = "kcs:pool_participants:current"
"""Room for participants, by `state`: total, used, reserved, free."""
POOL_FREE = "kcs:pool_free:ratio"

_CONNECTIONS = "kcs_sfu_connections_total"
_COMMANDS = "kcs_signaling_commands_total"


def _by_the_leader(gauge: str, by: str) -> str:
    """A gauge of the operator: a replica that leads no more may still tell what it saw last."""
    leads = "on (namespace, pod) (kcs_operator_leader == 1)"
    return f"max by ({POOL}, {by}) ({gauge} and {leads})"


def _memory_of_a_node() -> str:
    workers = f"sum by ({POD}) (kcs_sfu_worker_memory_bytes)"
    own = f'sum by ({POD}) (process_resident_memory_bytes{{job="{SFU}"}})'
    return f"({own} + {workers}) / sum by ({POD}) (kcs_sfu_memory_limit_bytes)"


def _memory_of_signaling() -> str:
    own = f'sum by ({POD}) (process_resident_memory_bytes{{job="{SIGNALING}"}})'
    return f"{own} / sum by ({POD}) (kcs_signaling_memory_limit_bytes)"


RECORDING = Group(
    "kcs-recording",
    [
        Recording(
            CPU,
            "sum by (job, namespace, pool, pod, worker) "
            "(rate(kcs_sfu_worker_cpu_seconds_total[2m]))",
            {"part": "worker"},
        ),
        Recording(
            CPU,
            "sum by (job, namespace, pool, pod) (rate(process_cpu_seconds_total"
            f'{{job=~"{SIGNALING}|{SFU}|{OPERATOR}"}}[2m]))',
            {"part": "process"},
        ),
        Recording(MEMORY, _memory_of_a_node(), {"job": SFU}),
        Recording(MEMORY, _memory_of_signaling(), {"job": SIGNALING}),
        Recording(
            CONNECTED,
            share(
                f'{_CONNECTIONS}{{outcome="connected"}}[5m]',
                f'{_CONNECTIONS}{{outcome!="abandoned"}}[5m]',
                POOL,
            ),
        ),
        Recording(LOSS, mean("kcs_sfu_packet_loss_ratio", "5m", POOL)),
        Recording(RTT, mean("kcs_sfu_rtt_seconds", "5m", POOL)),
        Recording(JITTER, mean("kcs_sfu_jitter_seconds", "5m", POOL)),
        Recording(
            FAILED,
            share(
                f'{_COMMANDS}{{result=~"UNAVAILABLE|INTERNAL_ERROR"}}[5m]',
                f"{_COMMANDS}[5m]",
                "namespace",
            ),
        ),
        Recording(SLOW, quantile(0.95, "kcs_signaling_command_seconds", "5m", "namespace")),
        Recording(
            FULLNESS,
            f"sum by ({POD}) (kcs_sfu_consumers) / sum by ({POD}) (kcs_sfu_consumer_capacity)",
        ),
        Recording(
            EGRESS, f'sum by ({POOL}) (rate(kcs_sfu_network_bytes_total{{direction="out"}}[5m]))'
        ),
        Recording(PODS, _by_the_leader("kcs_operator_pods", "role, state")),
        Recording(DESIRED, _by_the_leader("kcs_operator_desired_pods", "role")),
        Recording(CAPACITY, _by_the_leader("kcs_operator_capacity_participants", "state")),
        Recording(
            POOL_FREE,
            f'sum by ({POOL}) ({CAPACITY}{{state="free"}})'
            f' / sum by ({POOL}) ({CAPACITY}{{state="total"}})',
        ),
    ],
)
