"""Assignments a second: our client of placement beside what Redis can do at all, and whether any
meeting ever got two homes.

    python -m bench.placement.bench_placement
"""

import argparse
import itertools
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from bench.placement.clients import Answer, Load, Outcome, run_clients
from bench.placement.server import Server, raw_calls

from kcs_dev.measure import Figure, save

METHOD = (
    "kcs_assign for meetings that have no home yet, on a Redis of its own that begins each round"
    " empty but for the leases. 'Tasks': 40 clients in one process over its one pool of"
    " connections, as in a signaling replica. 'Processes': 40 processes with a client each, which"
    " share the machine's cores with Redis. The ceiling is redis-benchmark (C) calling the same"
    " function with the same arguments on the same nodes, the better of 40 connections one call at"
    " a time and 16 calls in one write. They take turns, and of each figure the best round counts:"
    " whatever else the machine does only takes away. Then the same meetings are asked for again,"
    " as each join asks (redis-benchmark: one of them). In a pass of its own 40 processes assign"
    " the same meetings at once, each in an order of its own, while a third of the nodes' leases"
    " end: then their answers and what Redis holds are compared."
)
GOAL = 0.5
CLIENTS = 40
AGONES_PER_S = "300 to 400"
"""Agones' own figure for its allocator, as published; not measured here."""


@dataclass(frozen=True)
class Cluster:
    """Nodes, and how many meetings are assigned in a round."""

    nodes: int
    workers: int
    meetings: int = 0

    @property
    def name(self) -> str:
        """For figures."""
        return f"{self.nodes} nodes"


CLUSTERS = (Cluster(10, 64), Cluster(100, 8))
KINDS = {
    "one client": Load(processes=1, tasks=1),
    f"{CLIENTS} tasks": Load(processes=1, tasks=CLIENTS),
    f"{CLIENTS} processes": Load(processes=CLIENTS, tasks=1),
}
RAW = {"raw, one connection": (1, 1), "raw, 40 connections": (40, 1), "raw, pipelined": (40, 16)}
CEILING = ("raw, 40 connections", "raw, pipelined")


@dataclass(frozen=True)
class Rate:
    """One round of one contender."""

    per_s: float
    redis_us: float
    """CPU of Redis for each."""
    again_per_s: float
    """Asked again for meetings that have a home, as each join asks."""
    client_us: float = 0.0
    """CPU of all clients together, for each."""


@dataclass(frozen=True)
class Contention:
    """What came of many clients that assign the same meetings at once."""

    answers: int
    meetings: int
    double: int
    """Meetings that had two homes: two nodes in one epoch, or two nodes' reservations."""
    moved: int
    """Meetings whose first home's lease ended, so that they got another one."""


def _ours(server: Server, cluster: Cluster, load: Load) -> Rate:
    server.begin(cluster.nodes, cluster.workers)
    used = server.cpu_s()
    names = [f"m{number}" for number in range(cluster.meetings)]
    outcomes = run_clients(server.url, load, names)
    used = server.cpu_s() - used
    _check_homes(server, cluster.meetings, cluster.meetings)
    return Rate(
        per_s=cluster.meetings / _lasted(outcomes),
        again_per_s=cluster.meetings / _lasted(run_clients(server.url, load, names)),
        redis_us=used / cluster.meetings * 1e6,
        client_us=sum(each.cpu_s for each in outcomes) / cluster.meetings * 1e6,
    )


def _lasted(outcomes: Sequence[Outcome]) -> float:
    return max(each.ended for each in outcomes) - min(each.began for each in outcomes)


def _raw(server: Server, cluster: Cluster, connections: int, pipelined: int) -> Rate:
    server.begin(cluster.nodes, cluster.workers)
    used = server.cpu_s()
    per_s = raw_calls(server.port, cluster.meetings, connections, pipelined)
    used = server.cpu_s() - used
    # it ends when it has its answers; a few more calls are under way then
    most = cluster.meetings + connections * pipelined
    _check_homes(server, cluster.meetings, most)
    again = raw_calls(server.port, cluster.meetings, connections, pipelined, again=True)
    return Rate(per_s=per_s, redis_us=used / cluster.meetings * 1e6, again_per_s=again)


def _check_homes(server: Server, least: int, most: int) -> None:
    found = server.count_homes()
    if not least <= found <= most:
        raise SystemExit(f"{found} meetings have a home instead of {least}")


def _contend(server: Server, cluster: Cluster, meetings: int) -> Contention:
    """All clients assign all meetings; meanwhile the leases of a third of the nodes end."""
    server.begin(cluster.nodes, cluster.workers)
    names = [f"m{number}" for number in range(meetings)]
    load = Load(processes=CLIENTS, tasks=1, everything=True)
    print(f"  {meetings} meetings, by {CLIENTS} clients each", flush=True)
    with server.ending_leases(cluster.nodes // 3, within_s=meetings / 500):
        outcomes = run_clients(server.url, load, names)
    return _judged(outcomes, server.reservations(), meetings)


def _judged(
    outcomes: Sequence[Outcome], reserved: dict[str, list[str]], meetings: int
) -> Contention:
    answers: list[Answer] = [each for outcome in outcomes for each in outcome.answers]
    nodes_in_epoch: dict[tuple[str, int], set[str]] = defaultdict(set)
    epochs: dict[str, set[int]] = defaultdict(set)
    for each in answers:
        nodes_in_epoch[each.meeting, each.epoch].add(each.node)
        epochs[each.meeting].add(each.epoch)
    promised = Counter(itertools.chain.from_iterable(reserved.values()))
    double = {meeting for (meeting, _), nodes in nodes_in_epoch.items() if len(nodes) > 1}
    double |= {meeting for meeting, count in promised.items() if count > 1}
    if len(answers) != meetings * CLIENTS or set(promised) != set(epochs):
        raise SystemExit("a client got no answer, or a meeting has no home")
    moved = sum(1 for each in epochs.values() if len(each) > 1)
    return Contention(len(answers), meetings, len(double), moved)


Samples = dict[str, list[Rate]]
"""By cluster and contender."""


def _run(server: Server, rounds: int, meetings: int) -> Samples:
    samples: Samples = defaultdict(list)
    clusters = [replace(each, meetings=meetings) for each in CLUSTERS]
    for number, cluster in itertools.product(range(rounds + 1), clusters):
        turns: list[tuple[str, Callable[[], Rate]]] = []
        for name, load in KINDS.items():
            turns.append((name, partial(_ours, server, cluster, load)))
        for name, (connections, pipelined) in RAW.items():
            turns.append((name, partial(_raw, server, cluster, connections, pipelined)))
        for name, turn in turns:
            rate = turn()
            print(f"  round {number} {name}, {cluster.name}: {rate}", flush=True)
            if number:  # the first one warms up
                samples[f"{name}, {cluster.name}"].append(rate)
    return samples


def _best(rates: Sequence[Rate]) -> Rate:
    return Rate(
        per_s=max(each.per_s for each in rates),
        redis_us=min(each.redis_us for each in rates),
        again_per_s=max(each.again_per_s for each in rates),
        client_us=min(each.client_us for each in rates),
    )


def _of_cluster(name: str, found: dict[str, Rate]) -> list[Figure]:
    figures = [Figure(f"{who}, {name}", rate.per_s, "assignments/s") for who, rate in found.items()]
    ceiling = max(found[each].per_s for each in CEILING)
    ceiling_again = max(found[each].again_per_s for each in CEILING)
    tasks, processes = f"{CLIENTS} tasks", f"{CLIENTS} processes"
    for who in (tasks, processes):
        ratio = found[who].per_s / ceiling
        goal = f">= {GOAL} x"
        figures.append(Figure(f"{who} / ceiling, {name}", ratio, "x", goal, ratio >= GOAL))
    again, used = f"meetings that have a home, {tasks}, {name}", found[tasks]
    return [
        *figures,
        Figure(again, used.again_per_s, "assignments/s"),
        Figure(f"{again} / raw", used.again_per_s / ceiling_again, "x"),
        Figure(f"CPU of the client, {name}", used.client_us, "us"),
        Figure(f"CPU of Redis, {name}", used.redis_us, "us"),
    ]


def _figures(samples: Samples, contention: Contention) -> list[Figure]:
    figures = []
    for cluster in CLUSTERS:
        found = {who: _best(samples[f"{who}, {cluster.name}"]) for who in [*KINDS, *RAW]}
        figures += _of_cluster(cluster.name, found)
    note = f"of {contention.answers} answers for {contention.meetings} meetings"
    return [
        *figures,
        Figure(
            f"meetings with two homes, {CLIENTS} processes at once",
            contention.double,
            "meetings",
            "0 meetings",
            contention.double == 0,
            f"{note}; {contention.moved} moved as leases ended",
        ),
        Figure(
            "Agones' allocator, as published (lower bound)",
            300,
            "allocations/s",
            note=f"cited, not measured: {AGONES_PER_S}, each a write to etcd, on a cluster",
        ),
    ]


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="beside one to warm up")
    parser.add_argument("--meetings", type=int, default=1000, help="in a round")
    parser.add_argument("--contended", type=int, default=1000, help="meetings that all assign")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Server(Path(directory)) as server:
        contention = _contend(server, CLUSTERS[0], arguments.contended)
        samples = _run(server, arguments.rounds, arguments.meetings)
    kept = {name: [asdict(each) for each in rates] for name, rates in samples.items()}
    save(
        "placement",
        METHOD,
        _figures(samples, contention),
        {**kept, "contention": asdict(contention)},
    )


if __name__ == "__main__":
    main()
