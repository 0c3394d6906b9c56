"""What more replicas cost: CPU per join and per delivered chat message, with 2 and with 8.

    python bench/replicas/bench_replicas.py

Two systems run at once, one with 2 replicas and one with 8, each behind an HAProxy that gathers
the people of a meeting; they take turns (A B A B) with the same people, meetings and messages.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import orjson
import uvloop

from kcs_contracts.ids import MeetingId
from kcs_dev.api import new_meeting
from kcs_dev.balancer import start_balancer
from kcs_dev.crowd import UNLIMITED, Crowd, at_rate, grow, some_at_once
from kcs_dev.measure import Figure, at_most, cpu_s, save
from kcs_dev.processes import Child
from kcs_dev.raw_socket import RawSocket
from kcs_dev.stack import LocalStack

METHOD = (
    "CPU seconds of all replicas and Redis together, less what they use while the same sockets are"
    " idle (for joins: the mean of before and after). 12 meetings of 25 people over raw WebSockets:"
    " 300 joins at 100 a second, then 100 chat messages at 25 a second, each delivered to 25."
    " 'Gathered': everybody connects through"
    " HAProxy, which hashes by the meeting that our client names in its URL; what HAProxy itself"
    " uses is in no figure but its own. 'Scattered': each person connects straight to the next"
    " replica, the worst that round robin can do; a message is then decoded by each replica that"
    " has people of its meeting, by 8 instead of 2. Both systems run at once, each with its own"
    " Redis and SQLite; they take turns, a smaller round warms up, medians"
    " of those that count. Limits are off."
)
REPLICAS = (2, 8)
GOAL = 1.2
JOINS_PER_S, MESSAGES_PER_S = 100, 25
_IDLE_S, _SETTLE_S = 2.0, 0.5

Placing = Literal["gathered", "scattered"]
PLACINGS: tuple[Placing, ...] = ("gathered", "scattered")
"""By the meeting, through HAProxy; round robin."""


@dataclass(frozen=True)
class Load:
    """How many there are, and what they say."""

    meetings: int = 12
    people: int = 25
    messages: int = 100


@dataclass(frozen=True)
class Measured:
    """One load on one system."""

    ms_per_join: float
    us_per_delivery: float
    balancer_us_per_delivery: float
    idle_ms_per_s: float
    """Of all replicas and Redis, with everybody connected and nobody in a meeting."""


@dataclass(frozen=True)
class Person:
    """Somebody, and the meeting that they are in."""

    socket: RawSocket
    meeting: MeetingId

    async def join(self) -> None:
        """Into it."""
        await self.socket.request("room:join", {"meeting_id": self.meeting}, timeout_s=30)

    async def leave(self) -> None:
        """Out of it, and away."""
        await self.socket.request("room:leave", {"meeting_id": self.meeting}, timeout_s=30)
        self.socket.close()


@dataclass(frozen=True)
class System:
    """Replicas, and HAProxy before them."""

    stack: LocalStack
    balancer: Child
    balanced_url: str


class Cost:
    """CPU of a system's replicas and Redis beyond what they use by themselves."""

    def __init__(self, stack: LocalStack):
        assert stack.redis
        self._pids = [stack.redis.pid, *(each.child.pid for each in stack.signaling)]
        self.idle = 0.0
        """Seconds of CPU in a second."""

    def _now(self) -> float:
        return sum(map(cpu_s, self._pids))

    async def watch_idle(self) -> None:
        """Learns what they use while nothing happens."""
        used, began = self._now(), time.perf_counter()
        await asyncio.sleep(_IDLE_S)
        self.idle = (self._now() - used) / (time.perf_counter() - began)

    @asynccontextmanager
    async def of(self, seconds: list[float]) -> AsyncIterator[None]:
        """Adds to `seconds` what the block and what follows from it cost."""
        used, began = self._now(), time.perf_counter()
        yield
        await asyncio.sleep(_SETTLE_S)
        seconds.append(self._now() - used - self.idle * (time.perf_counter() - began))


async def _people(system: System, load: Load, placing: Placing) -> list[Person]:
    """Connected, and in no meeting yet; meeting by meeting."""
    crowd, urls = Crowd(system.stack), [each.url for each in system.stack.signaling]
    people = []
    for number in range(load.meetings):
        meeting = await new_meeting(system.stack.url)
        balanced = f"{system.balanced_url}?meeting={meeting}"
        for person in range(load.people):
            url = balanced if placing == "gathered" else urls[person % len(urls)]
            socket = await crowd.connect(url, f"m{number}p{person}")
            people.append(Person(socket, meeting))
    return people


async def _talk(people: Sequence[Person], load: Load) -> int:
    """One in each meeting speaks in turn; how many messages came."""
    speakers = itertools.cycle(people[:: load.people])
    for person in people:
        person.socket.events = 0

    def say(speaker: Person) -> asyncio.Future[bytes]:
        said = {"meeting_id": speaker.meeting, "message": "Good morning, everybody!"}
        told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        speaker.socket.fire(orjson.dumps(["chat:send", said]), told.set_result)
        return told

    async def spoken(speaker: Person) -> None:
        packet = await asyncio.wait_for(say(speaker), 30)
        if b'"ok":true' not in packet:
            raise SystemExit(f"not said: {packet.decode()}")

    said = (spoken(speaker) for speaker in itertools.islice(speakers, load.messages))
    await at_rate(MESSAGES_PER_S, said)
    wanted = load.messages * load.people
    for _ in range(200):
        if sum(person.socket.events for person in people) >= wanted:
            break
        await asyncio.sleep(0.05)
    return sum(person.socket.events for person in people)


async def _measure(system: System, load: Load, placing: Placing) -> Measured:
    people = await _people(system, load, placing)
    joins: list[float] = []
    talk: list[float] = []
    cost = Cost(system.stack)
    await cost.watch_idle()
    before = cost.idle
    began = time.perf_counter()
    async with cost.of(joins):
        await at_rate(JOINS_PER_S, (person.join() for person in people))
    took = time.perf_counter() - began
    await cost.watch_idle()
    joins[0] -= (cost.idle - before) / 2 * took  # of those who were in a meeting by then: half
    balancing = cpu_s(system.balancer.pid)
    async with cost.of(talk):
        delivered = await _talk(people, load)
    balancing = cpu_s(system.balancer.pid) - balancing
    await some_at_once(20, (person.leave() for person in people))
    if delivered != load.messages * load.people:
        raise SystemExit(f"{delivered} deliveries instead of {load.messages * load.people}")
    return Measured(
        ms_per_join=joins[0] / len(people) * 1e3,
        us_per_delivery=talk[0] / delivered * 1e6,
        balancer_us_per_delivery=balancing / delivered * 1e6,
        idle_ms_per_s=before * 1e3,
    )


Samples = dict[str, list[Measured]]
"""By placing and replicas, as `scattered over 8`."""


async def _run(rounds: int) -> Samples:
    samples: Samples = {f"{p} over {n}": [] for p, n in itertools.product(PLACINGS, REPLICAS)}
    async with AsyncExitStack() as stacks:
        directory = Path(stacks.enter_context(tempfile.TemporaryDirectory()))
        systems = {}
        for count in REPLICAS:
            stack = LocalStack(directory / str(count), env=UNLIMITED)
            await stacks.enter_async_context(stack)
            await grow(stack, count)
            urls = [each.url for each in stack.signaling]
            balancer, url = await start_balancer(stack.directory, urls)
            stacks.push_async_callback(balancer.stop)
            await Crowd(stack).begin(url)
            systems[count] = System(stack, balancer, url)
        for number in range(rounds + 1):
            load = Load() if number else Load(meetings=8, people=8, messages=16)
            for placing, count in itertools.product(PLACINGS, REPLICAS):
                measured = await _measure(systems[count], load, placing)
                print(f"  round {number} {placing} over {count}: {measured}", flush=True)
                if number:  # the first one warms up
                    samples[f"{placing} over {count}"].append(measured)
    return samples


def _figures(samples: Samples) -> list[Figure]:
    def of(placing: Placing, count: int, what: str) -> float:
        values: list[float] = [getattr(m, what) for m in samples[f"{placing} over {count}"]]
        return median(values)

    few, many = REPLICAS
    figures = []
    for placing, (what, title, unit) in itertools.product(
        PLACINGS,
        (("ms_per_join", "join", "ms"), ("us_per_delivery", "chat delivery", "us")),
    ):
        for count in REPLICAS:
            name = f"CPU per {title}, {placing} over {count} replicas"
            figures.append(Figure(name, of(placing, count, what), unit))
        ratio = of(placing, many, what) / of(placing, few, what)
        figures.append(
            at_most(f"CPU per {title}, {placing}, {many} replicas / {few}", ratio, "x", GOAL)
        )
    each_us = (
        of("scattered", many, "us_per_delivery") - of("scattered", few, "us_per_delivery")
    ) * (Load.people / (many - few))
    idle = of("gathered", many, "idle_ms_per_s") / many
    balancing = of("gathered", many, "balancer_us_per_delivery")
    return [
        *figures,
        Figure("CPU of a message for each further replica that it reaches", each_us, "us"),
        Figure("CPU of an idle replica with sockets, and its share of Redis", idle, "ms/s"),
        Figure("CPU of HAProxy per chat delivery", balancing, "us"),
    ]


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="beside one to warm up")
    arguments = parser.parse_args()
    samples = uvloop.run(_run(arguments.rounds))
    kept = {name: [asdict(each) for each in measured] for name, measured in samples.items()}
    save("replicas", METHOD, _figures(samples), kept)


if __name__ == "__main__":
    main()
