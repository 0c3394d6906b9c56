"""Signaling against Node's socket.io with the same handlers, and against stock python-socketio.

    python bench/signaling/bench_signaling.py

All three run at once on one Redis; one after the other gets the same load at the same rate
(A B C A B C ...), open loop: a request goes out at its time, whatever became of those before. CPU
is that of the server's process while it is loaded, less what it uses while its people are idle.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop
from contenders import GHOST, NODE, OURS, STOCK, Contender, contenders

from kcs_dev.measure import Figure, at_most, cpu_s, percentile, save
from kcs_dev.raw_socket import Latencies, RawSocket

METHOD = (
    "Open loop over raw WebSockets, ours, Node socket.io 4.8 and stock python-socketio in turn, one"
    " round to warm up and 3 that count, medians; CPU of the server process alone, less its"
    " idle CPU with the same people in the room. 'acknowledged': consume of an unknown producer,"
    " refused NOT_FOUND: frame, parse, validate, authorise, look up, answer, and nothing outside"
    " the process (an accepted one would be mostly the SFU node's work). Sent one by one, a"
    " request's CPU is mostly the kernel's for waking up, reading and writing; 100 at once shows"
    " the servers' own share. 'media:toggle': the state goes to Redis and participant:media:updated"
    " to the room. Ours makes the change, the next version and the publication to all replicas in"
    " one Redis function, and delivers what comes back from the bus; Node and stock make one HSET"
    " and deliver locally, which scales to one replica only. Ours also counts metrics, logs, and"
    " enforces order and bounds per peer; its rate limits are off, the load being beyond them."
)
WARM_UP_S = 2


@dataclass(frozen=True)
class Load:
    """Requests at a rate from the people of one room."""

    name: str
    people: int
    rate: int
    """Requests per second, all people together."""
    ok: bool = True
    """Whether they are acknowledged with `ok`."""
    burst: int = 1
    """So many go out at once."""
    deliveries: bool = False
    """Whether each request reaches everybody in the room."""


LOADS = (
    Load("acknowledged", people=50, rate=1000, ok=False),
    Load("in_bursts", people=50, rate=1000, ok=False, burst=100),
    Load("toggle_alone", people=1, rate=200, deliveries=True),
    Load("room_of_50", people=50, rate=20, deliveries=True),
    Load("room_of_200", people=200, rate=10, deliveries=True),
)


@dataclass(frozen=True)
class Measured:
    """One load on one contender."""

    cpu_us_per_request: float
    cpu_us_per_delivery: float
    p50_ms: float
    p99_ms: float


Requests = Iterator[tuple[RawSocket, bytes]]


def _requests(load: Load, sockets: Sequence[RawSocket], room: str) -> Requests:
    """Who sends what, in turn. Each toggle changes something: everybody begins switched off."""
    if not load.deliveries:
        return zip(itertools.cycle(sockets), itertools.repeat(GHOST), strict=False)
    toggle = '["media:toggle",{"meeting_id":"%s","kind":"audio","enabled":%s}]'
    on, off = ((toggle % (room, value)).encode() for value in ("true", "false"))
    return itertools.cycle([(socket, body) for body in (on, off) for socket in sockets])


async def _fire(load: Load, requests: Requests, seconds: float) -> Latencies:
    latencies = Latencies()
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        due = int(elapsed * load.rate) + 1 - latencies.fired
        for _ in range(due - due % load.burst):
            latencies.fire(*next(requests))
        await asyncio.sleep(max(0.0, (latencies.fired + load.burst - 1) / load.rate - elapsed))
    return latencies


async def _measure(load: Load, contender: Contender, seconds: float) -> Measured:
    people = [f"p{number}" for number in range(load.people)]
    sockets = [await contender.enter(load.name, person) for person in people]
    requests = _requests(load, sockets, await contender.room(load.name))
    await _settle(load, await _fire(load, requests, WARM_UP_S), sockets)
    idle = cpu_s(contender.pid)
    await asyncio.sleep(seconds / 2)
    idle = (cpu_s(contender.pid) - idle) / (seconds / 2)

    for socket in sockets:
        socket.events = 0
    began, cpu = time.perf_counter(), cpu_s(contender.pid)
    latencies = await _fire(load, requests, seconds)
    await _settle(load, latencies, sockets)
    cpu = cpu_s(contender.pid) - cpu - idle * (time.perf_counter() - began)
    deliveries = sum(socket.events for socket in sockets)
    await contender.leave(load.name, sockets)

    count = len(latencies.seconds)
    if latencies.ok != (count if load.ok else 0):
        raise SystemExit(f"{contender.name}, {load.name}: {latencies.ok} of {count} were ok")
    if load.deliveries and deliveries != count * load.people:
        raise SystemExit(f"{contender.name}, {load.name}: {deliveries} deliveries of {count}")
    return Measured(
        cpu_us_per_request=cpu / count * 1e6,
        cpu_us_per_delivery=cpu / deliveries * 1e6 if deliveries else 0,
        p50_ms=percentile(latencies.seconds, 50) * 1e3,
        p99_ms=percentile(latencies.seconds, 99) * 1e3,
    )


async def _settle(load: Load, latencies: Latencies, sockets: Sequence[RawSocket]) -> None:
    """Waits until all is acknowledged and delivered, 30 s at most."""
    before = -1
    for _ in range(600):
        await asyncio.sleep(0.05)
        events = sum(socket.events for socket in sockets)
        if len(latencies.seconds) == latencies.fired and events == before:
            return
        before = events
    raise SystemExit(f"{load.name}: {latencies.fired - len(latencies.seconds)} acks are missing")


Samples = dict[str, dict[str, list[Measured]]]


async def _run(seconds: float, rounds: int) -> Samples:
    samples: Samples = {load.name: {name: [] for name in (OURS, NODE, STOCK)} for load in LOADS}
    with tempfile.TemporaryDirectory() as directory:
        async with contenders(Path(directory), NODE, STOCK) as all_three:
            for number, load, contender in itertools.product(range(rounds + 1), LOADS, all_three):
                measured = await _measure(load, contender, seconds)
                print(f"  round {number} {load.name:<14}{contender.name:<6}{measured}", flush=True)
                if number:  # the first one warms up: Node compiles what it sees often
                    samples[load.name][contender.name].append(measured)
    return samples


def _figures(samples: Samples) -> list[Figure]:
    def compare(load: str, what: str, title: str, unit: str, bounded: bool = True) -> list[Figure]:
        ours, node, stock = (
            median(getattr(sample, what) for sample in samples[load][name])
            for name in (OURS, NODE, STOCK)
        )
        ratio = at_most if bounded else _ratio_only
        return [
            Figure(f"{title}, ours", ours, unit),
            Figure(f"{title}, Node socket.io", node, unit),
            Figure(f"{title}, stock python-socketio", stock, unit),
            ratio(f"{title}, ours / Node", ours / node, "x", 2, "then less than 1"),
        ]

    request, delivery = "cpu_us_per_request", "cpu_us_per_delivery"
    return [
        *compare("acknowledged", request, "CPU per acknowledged request", "us"),
        *compare("in_bursts", request, "CPU per acknowledged request, 100 at once", "us"),
        *compare("toggle_alone", request, "CPU per media:toggle with Redis", "us"),
        *compare("room_of_50", delivery, "CPU per delivery, room of 50", "us"),
        *compare("room_of_200", delivery, "CPU per delivery, room of 200", "us"),
        *compare("acknowledged", "p99_ms", "p99 of an acknowledgement", "ms", bounded=False),
        *compare("toggle_alone", "p99_ms", "p99 of a media:toggle", "ms", bounded=False),
    ]


def _ratio_only(name: str, value: float, unit: str, goal: float, note: str) -> Figure:
    return Figure(name, value, unit)


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="beside one to warm up")
    arguments = parser.parse_args()
    samples = uvloop.run(_run(arguments.seconds, arguments.rounds))
    kept = {
        load: {name: [vars(m) for m in measured] for name, measured in by_name.items()}
        for load, by_name in samples.items()
    }
    save("signaling", METHOD, _figures(samples), kept)


if __name__ == "__main__":
    main()
