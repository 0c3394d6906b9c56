"""The node's Prometheus metrics, read from its state when they are scraped.

No meeting, participant or stream id is a label: their number has no bound.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kcs_sfu.agent.load import cpu_seconds
from kcs_sfu.agent.node import Node

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """A registry of its own, so that a process may hold several nodes."""

    def __init__(self, node: Node):
        self._registry = CollectorRegistry()
        self._registry.register(_NodeState(node))
        self._operations = Counter(
            "kcs_sfu_operations",
            "Operations of the control API by outcome: ok or the error's code.",
            ("op", "result"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "kcs_sfu_operation_seconds",
            "Time that an operation took.",
            ("op",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def operation(self, op: str, result: str, seconds: float) -> None:
        """Counts one operation."""
        self._operations.labels(op, result).inc()
        self._seconds.labels(op).observe(seconds)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)


class _NodeState(Collector):
    def __init__(self, node: Node):
        self._node = node

    def collect(self) -> Iterator[Metric]:
        node = self._node
        people = [who for room in node.rooms.values() for who in room.participants.values()]
        gauges = {
            "workers": ("Workers that run.", sum(slot.alive for slot in node.pool.slots)),
            "rooms": ("Rooms that are open.", len(node.rooms)),
            "participants": ("Participants with a transport.", len(people)),
            "transports": ("Participants' transports.", sum(len(p.transports) for p in people)),
            "producers": ("Streams that come in.", sum(len(p.producers) for p in people)),
            "consumers": ("Streams that go out.", sum(len(p.consumers) for p in people)),
            "lease_age_seconds": ("Time since the lease was renewed.", node.lease.age_s),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"kcs_sfu_{name}", text, value=value)
        restarts = sum(slot.restarts for slot in node.pool.slots)
        yield CounterMetricFamily(
            "kcs_sfu_worker_restarts", "Workers that died and were replaced.", value=restarts
        )
        cpu = CounterMetricFamily(
            "kcs_sfu_worker_cpu_seconds", "CPU time of the worker's process.", labels=("worker",)
        )
        for slot in node.pool.slots:
            if slot.worker is not None and slot.alive:
                cpu.add_metric((str(slot.index),), cpu_seconds(slot.worker.pid))
        yield cpu
