"""What Meetings cost the operator and the API server: 100, 1,000 and 10,000 of them.

    python -m bench.operator.bench_operator --sizes 100

Each Meeting lives its whole life: made, registered, people come, ended by its host, deleted.
"""

import argparse
import asyncio
import math
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop
from bench.operator.world import AGENT, Declared, Operator, World, apply_kinds, open_world
from tests.support.kubernetes import Kubernetes, Write

from kcs_dev.measure import Figure, at_most, cpu_s, memory_mib, save

METHOD = (
    "A real API server with etcd on tmpfs, a real Redis and a real kcs-signaling with SQLite; the"
    " operator with its default settings, one namespace and one (paused) pool. N Meetings are made"
    " for in two hours and registered; then, at most {wave} at a time, one person comes into each,"
    " the host ends it by REST, and the object is deleted. SFU nodes are 20 leases, renewed each"
    " second with the meetings that people are in; people come into placement as signaling's join"
    " brings them there. Writes are those of the operator by the API server's audit log; those of"
    " its Lease are left out. CPU is the operator's alone; what it uses in the same time with no"
    " Meeting is taken off, except where a figure says idle. Idle is {idle} s in which nothing"
    " happens. A look at everything may fall into them, which comes each 0.1 s for each Meeting (30"
    " s at least, half an hour at most); the review of signaling's list, each 300 s, does not."
    " Either costs no more than a start, which is shown. 20 Meetings before each size warm up."
)
SIZES = (100, 1_000, 10_000)
WAVE = 1_000
IDLE_S = 60.0
_REVIEW_S = 300.0
_SETTLE_S = 15.0


@dataclass
class Step:
    """A part of the lives: what it used, how long it took, and of how many Meetings it was."""

    cpu_s: float = 0.0
    lasted_s: float = 0.0
    meetings: int = 0


@dataclass
class Measured:
    """One size."""

    meetings: int
    lives: int = 0
    """Those that lived all of their lives."""
    writes: dict[str, int] = field(default_factory=dict)
    """By verb and resource, of all Meetings together."""
    most_writes: int = 0
    """Of one Meeting."""
    other_writes: int = 0
    """Of no Meeting: of the pool, its events and budget."""
    empty_ms_per_s: float = 0.0
    scheduled_ms_per_s: float = 0.0
    active: int = 0
    active_ms_per_s: float = 0.0
    rss_mib: float = 0.0
    start_cpu_s: float = 0.0
    restart_writes: int = 0
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def ms_per_life(self) -> float:
        """CPU of one Meeting."""
        idle = self.empty_ms_per_s / 1e3
        steps = self.steps.values()
        return sum((each.cpu_s - idle * each.lasted_s) / each.meetings for each in steps) * 1e3

    @property
    def writes_per_life(self) -> float:
        """On average."""
        return sum(self.writes.values()) / self.lives


class Run:
    """One size, measured."""

    def __init__(self, world: World, size: int, idle_s: float, waves: int):
        self._world, self._idle_s, self._waves = world, idle_s, waves
        self.found = Measured(size)
        self._names = [f"m{number}" for number in range(size)]

    async def run(self) -> Measured:
        """Everything."""
        found, world = self.found, self._world
        async with world.operator() as operator:
            await self._warm_up(operator)
            found.empty_ms_per_s = await self._idle(operator)
            rss = memory_mib(operator.pid)[0]
            print(f"  {found.meetings}: {rss:.1f} MiB with no Meeting", flush=True)
            async with self._step("register", operator, found.meetings):
                meetings = await world.declare(self._names)
                await operator.has(found.meetings, "Scheduled")
            found.scheduled_ms_per_s = await self._idle(operator)
            first, others = meetings[:WAVE], meetings[WAVE:]
            found.active = len(first)
            await self._fill(operator, first)
            found.active_ms_per_s = await self._idle(operator)
            found.rss_mib = memory_mib(operator.pid)[0]
        before = len(await self._writes())
        async with world.operator() as operator:
            await operator.has(len(first), "Active")
            await asyncio.sleep(_SETTLE_S)
            found.start_cpu_s = cpu_s(operator.pid)
            found.restart_writes = len(await self._writes()) - before
            await self._finish(operator, first, len(others))
            for _ in range(1, self._waves):
                wave, others = others[:WAVE], others[WAVE:]
                if wave:
                    await self._fill(operator, wave)
                    await self._finish(operator, wave, len(others))
        self._count(await self._writes())
        return found

    async def _warm_up(self, operator: Operator) -> None:
        meetings = await self._world.declare([f"warm{number}" for number in range(20)])
        await operator.has(20, "Scheduled")
        await self._world.fill(meetings)
        await operator.has(20, "Active")
        await self._world.end(meetings)
        await operator.has(20, "Ended")
        await self._world.delete(meetings)
        await operator.has(0, "Ended")

    async def _fill(self, operator: Operator, wave: Sequence[Declared]) -> None:
        async with self._step("active", operator, len(wave)):
            await self._world.fill(wave)
            await operator.has(len(wave), "Active")

    async def _finish(self, operator: Operator, wave: Sequence[Declared], left: int) -> None:
        async with self._step("ended", operator, len(wave)):
            await self._world.end(wave)
            await operator.has(len(wave), "Ended")
        async with self._step("deleted", operator, len(wave)):
            await self._world.delete(wave)
            await operator.has(0, "Ended")
        print(f"  {self.found.meetings}: {left} left", flush=True)

    @asynccontextmanager
    async def _step(self, name: str, operator: Operator, meetings: int) -> AsyncIterator[None]:
        used, began = cpu_s(operator.pid), time.monotonic()
        yield
        step = self.found.steps.setdefault(name, Step())
        step.cpu_s += cpu_s(operator.pid) - used
        step.lasted_s += time.monotonic() - began
        step.meetings += meetings

    async def _idle(self, operator: Operator) -> float:
        """CPU in ms per second while nothing happens, between two reviews."""
        await asyncio.sleep(5)
        age = (time.monotonic() - operator.started) % _REVIEW_S
        if age < _SETTLE_S or age + self._idle_s > _REVIEW_S - 5:
            await asyncio.sleep((_SETTLE_S - age) % _REVIEW_S)
        used, began = cpu_s(operator.pid), time.monotonic()
        await asyncio.sleep(self._idle_s)
        return (cpu_s(operator.pid) - used) / (time.monotonic() - began) * 1e3

    async def _writes(self) -> list[Write]:
        await asyncio.sleep(0.5)  # an entry comes after its answer
        return [
            each
            for each in self._world.namespace.writes()
            if each.agent != AGENT
            and not each.agent.startswith("kubectl")
            and each.resource not in ("leases", "serviceaccounts")
        ]

    def _count(self, writes: Sequence[Write]) -> None:
        self.found.lives = self.found.steps["deleted"].meetings
        names = set(self._names[: self.found.lives])
        lives = [each for each in writes if _about(each) in names]
        by_meeting = Counter(map(_about, lives))
        warm = [each for each in writes if each.name.startswith("warm")]
        self.found.writes = dict(Counter(f"{each.verb} {each.resource}" for each in lives))
        self.found.most_writes = max(by_meeting.values())
        all_names = set(self._names)
        others = [each for each in writes if _about(each) not in all_names]
        self.found.other_writes = len(others) - len(warm)


def _about(write: Write) -> str:
    """The name of the Meeting or pool: Secrets are called NAME-host, events NAME.NUMBER."""
    return write.name.split(".")[0].removesuffix("-host")


async def _run(sizes: Sequence[int], idle_s: float, waves: int) -> None:
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as directory:
        kubernetes = Kubernetes(Path(directory) / "cluster")
        kubernetes.start()
        try:
            apply_kinds(kubernetes)
            for size in sizes:
                async with open_world(kubernetes, Path(directory) / str(size)) as world:
                    measured = await Run(world, size, idle_s, waves).run()
                print(f"  {measured}", flush=True)
                found.append(measured)
                _keep(found, idle_s)  # what there is stays when a larger size fails
        finally:
            kubernetes.stop()


def _figures(found: Sequence[Measured]) -> list[Figure]:
    figures = []
    for each in found:
        of = f"{each.meetings:,} Meetings"
        name = f"API writes per Meeting's life, {of}"
        note = f"then 3; at most {each.most_writes} of one Meeting, of {each.lives:,} whole lives"
        figures += [
            at_most(name, each.writes_per_life, "writes", 4, note),
            Figure(
                f"writes of a restart, {of}",
                each.restart_writes,
                "writes",
                "0 writes",
                each.restart_writes == 0,
            ),
            Figure(f"CPU per Meeting's life, {of}", each.ms_per_life, "ms"),
            Figure(
                f"idle CPU, {of}, none begun",
                each.scheduled_ms_per_s,
                "ms/s",
                note=f"with no Meeting {each.empty_ms_per_s:.2f}",
            ),
            Figure(f"idle CPU, {of}, {each.active:,} with people", each.active_ms_per_s, "ms/s"),
            Figure(f"CPU of a start, {of}", each.start_cpu_s * 1e3, "ms"),
            Figure(f"memory (RSS), {of}", each.rss_mib, "MiB"),
        ]
    first, last = found[0], found[-1]
    if first is not last:
        of = f"{last.meetings:,} Meetings / {first.meetings:,}"
        idle = last.scheduled_ms_per_s / first.scheduled_ms_per_s
        figures += [
            at_most(
                f"CPU per Meeting's life, {of}", last.ms_per_life / first.ms_per_life, "x", 1.3
            ),
            at_most(f"idle CPU, none begun, {of}", idle, "x", 1.3, "flat"),
        ]
    return figures


def _keep(found: Sequence[Measured], idle_s: float) -> None:
    method = METHOD.format(wave=f"{WAVE:,}", idle=math.floor(idle_s))
    save("operator", method, _figures(found), {str(each.meetings): asdict(each) for each in found})


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds")
    parser.add_argument("--waves", type=int, default=1_000, help="after so many, the others stay")
    arguments = parser.parse_args()
    uvloop.run(_run(arguments.sizes, arguments.idle, arguments.waves))


if __name__ == "__main__":
    main()
