"""The node's Prometheus metrics: its state, read when they are scraped, and its operations.

`Quality` counts what media is like into the same registry. No meeting, participant or stream id
is a label: their number has no bound. The process's own are called `process_...`.
"""

from collections.abc import Iterator

from prometheus_client import (
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kcs_contracts.memory import memory_limit_bytes
from kcs_sfu.agent.load import cpu_seconds, memory_bytes
from kcs_sfu.agent.node import Node
from kcs_sfu.mediasoup.worker import Worker

# creation times: a series more for each, which Prometheus does not read; the function has no types
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus-client's
_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_OF_A_WORKER = {
    "memory_bytes": "Resident memory of the worker's process.",
    "routers": "Routers on the worker.",
    "transports": "Transports on the worker, those between workers included.",
    "producers": "Producers on the worker, those piped from another included.",
    "consumers": "Consumers on the worker, those piped to another included.",
}


class Metrics:
    """Of one node, made once: they go into the node's registry."""

    def __init__(self, node: Node):
        self._registry = node.registry
        self._registry.register(_NodeState(node))
        ProcessCollector(registry=self._registry)
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
        people = list(node.participants())
        limits = node.settings.node
        gauges = {
            "workers": ("Workers that run.", sum(slot.alive for slot in node.pool.slots)),
            "workers_configured": ("Workers that should run.", len(node.pool.slots)),
            "rooms": ("Rooms that are open.", len(node.rooms)),
            "participants": ("Participants with a transport.", len(people)),
            "transports": ("Participants' transports.", sum(len(p.transports) for p in people)),
            "producers": ("Streams that come in.", sum(len(p.producers) for p in people)),
            "consumers": ("Streams that go out.", sum(len(p.consumers) for p in people)),
            "consumer_capacity": (
                "Consumers that all workers carry together: the node is full then.",
                limits.consumers_per_worker * limits.workers,
            ),
            "lease_age_seconds": ("Time since the lease was renewed.", node.lease.age_s),
            "memory_limit_bytes": (
                "Memory that the node may use: its container's limit, else the machine's.",
                memory_limit_bytes(),
            ),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"kcs_sfu_{name}", text, value=value)
        restarts = sum(slot.restarts for slot in node.pool.slots)
        yield CounterMetricFamily(
            "kcs_sfu_worker_restarts", "Workers that died and were replaced.", value=restarts
        )
        yield from self._workers()

    def _workers(self) -> Iterator[Metric]:
        cpu = CounterMetricFamily(
            "kcs_sfu_worker_cpu_seconds", "CPU time of the worker's process.", labels=("worker",)
        )
        gauges = {
            name: GaugeMetricFamily(f"kcs_sfu_worker_{name}", text, labels=("worker",))
            for name, text in _OF_A_WORKER.items()
        }
        for slot in self._node.pool.slots:
            if slot.worker is not None and slot.alive:
                labels = (str(slot.index),)
                cpu.add_metric(labels, cpu_seconds(slot.worker.pid))
                for name, value in _held(slot.worker).items():
                    gauges[name].add_metric(labels, value)
        yield cpu
        yield from gauges.values()


def _held(worker: Worker) -> dict[str, int]:
    """What a worker holds, by the names of `_OF_A_WORKER`."""
    transports = [t for router in worker.routers for t in router.transports.values()]
    return {
        "memory_bytes": memory_bytes(worker.pid),
        "routers": len(worker.routers),
        "transports": len(transports),
        "producers": sum(len(t.producers) for t in transports),
        "consumers": sum(len(t.consumers) for t in transports),
    }
