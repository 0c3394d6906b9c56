"""Clients of placement in processes of their own, which begin at once and tell what they got."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import uvloop

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement, connect

_PATIENCE_S = 120


class Answer(NamedTuple):
    """A home that a client was told."""

    meeting: str
    node: str
    epoch: int


@dataclass(frozen=True)
class Load:
    """Who assigns, and what."""

    processes: int
    tasks: int
    """In each process, over its one pool of connections."""
    everything: bool = False
    """Each process assigns all meetings, in an order of its own; otherwise they share them."""


class Outcome(NamedTuple):
    """What one process did, by the clock that all processes of a machine have in common."""

    began: float
    ended: float
    cpu_s: float
    answers: list[Answer]


def run_clients(url: str, load: Load, meetings: Sequence[str]) -> list[Outcome]:
    """Runs them to their end."""
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(load.processes)
    running = []
    for number in range(load.processes):
        mine = list(meetings) if load.everything else list(meetings[number :: load.processes])
        if load.everything:
            random.Random(number).shuffle(mine)
        here, there = fork.Pipe(duplex=False)
        process = fork.Process(target=_process, args=(url, load.tasks, mine, barrier, there))
        process.start()
        there.close()
        running.append((process, here))
    outcomes = [_outcome(here) for _, here in running]
    for process, _ in running:
        process.join()
    return outcomes


def _outcome(here: Connection) -> Outcome:
    if not here.poll(_PATIENCE_S):
        raise SystemExit("a client did not end")
    try:
        began, ended, cpu_s, answers = here.recv()
    except EOFError:
        raise SystemExit("a client failed, see above") from None
    return Outcome(began, ended, cpu_s, [Answer(*each) for each in answers])


def _process(
    url: str, tasks: int, meetings: list[str], barrier: Barrier, there: Connection
) -> None:
    outcome = uvloop.run(_clients(url, tasks, meetings, barrier))
    there.send(tuple(outcome))


async def _clients(url: str, tasks: int, meetings: list[str], barrier: Barrier) -> Outcome:
    redis = connect(url)
    placement = Placement(redis)
    await asyncio.gather(*(placement.load() for _ in range(tasks)))  # opens connections
    answers: list[Answer] = []
    todo = iter(meetings)

    async def client() -> None:
        for meeting in todo:
            home = await placement.assign(MeetingId(meeting), warmup_ms=0)
            answers.append(Answer(meeting, home.node, home.epoch))

    barrier.wait(_PATIENCE_S)
    used, began = time.process_time(), time.monotonic()
    await asyncio.gather(*(client() for _ in range(tasks)))
    ended, used = time.monotonic(), time.process_time() - used
    await placement.settle()
    await redis.aclose()
    return Outcome(began, ended, used, answers)
