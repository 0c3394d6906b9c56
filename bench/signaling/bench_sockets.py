"""Idle sockets and a rush of joins: memory per socket, and how long others wait meanwhile.

    python bench/signaling/bench_sockets.py

2,000 sockets connect and stay idle; then they all join meetings, 200 a second, while people who
are in another meeting go on asking for something. Ours and Node's socket.io, each fresh.
"""

import argparse
import asyncio
import itertools
import resource
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import uvloop
from contenders import GHOST, NODE, OURS, Contender, contenders

from kcs_dev.crowd import at_rate, some_at_once
from kcs_dev.measure import Figure, at_most, cpu_s, memory_mib, percentile, save
from kcs_dev.raw_socket import Latencies, RawSocket, Refused

METHOD = (
    "One process of ours and one of Node's socket.io 4.8 with the same handlers (node_server.js),"
    " one after the other, each started anew for each round, medians of the rounds. Memory: RSS"
    " before and 3 s after 2,000 raw WebSockets have connected to the namespace with a token, and"
    " again when they are in meetings. Rush: these 2,000 join 80 meetings of 25, 200 a second,"
    " while 50 people in another meeting send 100 a second of a request that is refused from"
    " memory (consume of an unknown producer); p99 of its acknowledgement is compared. A join of"
    " ours signs a token, reads the meeting and its chat from SQL (here SQLite), takes two steps in"
    " Redis and one at an SFU node, and tells the others over the bus. Node's has none of these:"
    " people are in its memory, which serves one replica only. Both tell the others of each join,"
    " and answer with as much. Load generator, Redis, SFU node and server share this machine's"
    " cores. Limits are off."
)
SOCKETS, ROOM, JOINS_PER_S = 2000, 25, 200
PROBES, PROBES_PER_S = 50, 100
_ALONE_S, _SETTLE_S = 3.0, 3.0
_MANY_FILES = 16_384


@dataclass(frozen=True)
class Measured:
    """One contender."""

    kib_per_idle_socket: float
    kib_per_person: float
    """Of those sockets, once they are in meetings, all that has grown."""
    p99_alone_ms: float
    """Of an acknowledgement before the rush."""
    p99_ms: float
    """Of an acknowledgement during the rush."""
    joins_per_s: float
    """As many as were done, of those that were asked for."""
    joins_refused: int
    """Of all."""
    p99_join_ms: float
    cpu_ms_per_join: float


async def _probe(people: Sequence[RawSocket], until: asyncio.Event) -> list[float]:
    """Acknowledgement times in s, open loop, until told to end."""
    latencies, began = Latencies(), time.perf_counter()
    for person in itertools.cycle(people):
        if until.is_set():
            break
        latencies.fire(person, GHOST)
        due = began + latencies.fired / PROBES_PER_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    async with asyncio.timeout(30):
        while len(latencies.seconds) < latencies.fired:
            await asyncio.sleep(0.05)
    return latencies.seconds


async def _alone(people: Sequence[RawSocket]) -> list[float]:
    end = asyncio.Event()
    asyncio.get_running_loop().call_later(_ALONE_S, end.set)
    return await _probe(people, end)


async def _rush(contender: Contender, sockets: Sequence[RawSocket]) -> tuple[list[float], float]:
    """Everybody joins; how long each waited who was let in, and how long it took in all, in s."""
    rooms = [f"room-{number}" for number in range(SOCKETS // ROOM)]
    for room in rooms:
        await contender.room(room)

    waits = []

    async def join(number: int, socket: RawSocket) -> None:
        began = time.perf_counter()
        with suppress(Refused, TimeoutError):
            await contender.join(socket, rooms[number % len(rooms)], f"user-{number}")
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await at_rate(JOINS_PER_S, (join(n, socket) for n, socket in enumerate(sockets)))
    return waits, time.perf_counter() - began


async def _warm_up(contender: Contender) -> None:
    people = [await contender.enter("warm", f"warm-{number}") for number in range(ROOM)]
    await contender.leave("warm", people)
    await asyncio.sleep(1)


async def _measure(contender: Contender) -> Measured:
    await _warm_up(contender)
    empty = memory_mib(contender.pid)[0]
    connecting = (contender.connect(f"user-{number}") for number in range(SOCKETS))
    sockets = await some_at_once(50, connecting)
    await asyncio.sleep(_SETTLE_S)
    idle = memory_mib(contender.pid)[0]

    probes = [await contender.enter("probes", f"probe-{number}") for number in range(PROBES)]
    alone = await _alone(probes)
    over = asyncio.Event()
    probing = asyncio.create_task(_probe(probes, over))
    cpu = cpu_s(contender.pid)
    waits, took_s = await _rush(contender, sockets)
    cpu = cpu_s(contender.pid) - cpu
    over.set()
    during = await probing
    await asyncio.sleep(_SETTLE_S)
    full = memory_mib(contender.pid)[0]
    for socket in (*sockets, *probes):
        if socket.lost:
            raise SystemExit(f"{contender.name}: a socket was lost")
        socket.close()
    return Measured(
        kib_per_idle_socket=(idle - empty) * 1024 / SOCKETS,
        kib_per_person=(full - empty) * 1024 / SOCKETS,
        p99_alone_ms=percentile(alone, 99) * 1e3,
        p99_ms=percentile(during, 99) * 1e3,
        joins_per_s=len(waits) / took_s,
        joins_refused=SOCKETS - len(waits),
        p99_join_ms=percentile(waits, 99) * 1e3,
        cpu_ms_per_join=cpu / SOCKETS * 1e3,
    )


Samples = dict[str, list[Measured]]


async def _run(rounds: int) -> Samples:
    samples: Samples = {OURS: [], NODE: []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            async with contenders(Path(directory), NODE) as both:
                for contender in reversed(both):  # what ours leaves to be tidied up comes last
                    measured = await _measure(contender)
                    print(f"  {contender.name:<6}{measured}", flush=True)
                    samples[contender.name].append(measured)
    return samples


def _figures(samples: Samples) -> list[Figure]:
    figures = []
    for what, title, unit in (
        ("kib_per_idle_socket", "memory per idle socket of 2,000", "KiB"),
        ("kib_per_person", "memory per socket, in meetings", "KiB"),
        ("p99_alone_ms", "p99 of an acknowledgement before the rush", "ms"),
        ("p99_ms", "p99 of an acknowledgement while 200 a second join", "ms"),
        ("p99_join_ms", "p99 of these joins", "ms"),
        ("joins_per_s", "joins that were done a second", "1/s"),
        ("cpu_ms_per_join", "CPU of the process while they join, per join", "ms"),
    ):
        ours, node = (median(getattr(m, what) for m in samples[name]) for name in (OURS, NODE))
        figures += [
            Figure(f"{title}, ours", ours, unit),
            Figure(f"{title}, Node socket.io", node, unit),
            Figure(f"{title}, ours / Node", ours / node, "x"),
        ]
    refused = max(each.joins_refused for each in samples[OURS])
    return [*figures, at_most("joins refused of 2,000, ours", refused, "joins", 0)]


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _MANY_FILES), hard))
    samples = uvloop.run(_run(arguments.rounds))
    kept = {name: [asdict(each) for each in measured] for name, measured in samples.items()}
    save("sockets", METHOD, _figures(samples), kept)


if __name__ == "__main__":
    main()
