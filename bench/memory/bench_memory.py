"""Resident memory of signaling, the node agent and its workers; and how fast the stack starts.

    python bench/memory/bench_memory.py

Idle, with 100 participants (10 meetings of 10, each with both transports), and after each round
of joins and leaves, 3,000 in all: memory that grows with every round is a leak.
"""

import argparse
import asyncio
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from kcs_dev.api import access_token, new_meeting
from kcs_dev.measure import Figure, at_most, memory_mib, save
from kcs_dev.processes import free_port
from kcs_dev.raw_socket import RawSocket
from kcs_dev.stack import ROOT, LocalStack

METHOD = (
    "RSS and PSS from /proc/PID/smaps_rollup. Participants are raw sockets in /meeting that join"
    " and create a send and a recv transport, 10 meetings of 10. A round is those 100 joining and"
    " leaving with room:leave; there are 30. Python's garbage collector lets cycles gather up to a"
    " share of the heap, so memory rises to a plateau first: the growth of the first 1,000 joins"
    " is shown, and that of the last 1,000 has to be flat. Second start: the command `make run`,"
    " where it has run before, until it prints its link; the median of three."
)
MEETINGS, PEOPLE, ROUNDS, LAST = 10, 10, 30, 10
FLAT_MIB = 2.0
"""Growth over the last 1,000 joins and leaves that counts as flat."""


@dataclass
class Processes:
    """The processes that are watched."""

    signaling: int
    agent: int

    def memory(self) -> dict[str, tuple[float, float]]:
        """(RSS, PSS) in MiB, by process."""
        workers = psutil.Process(self.agent).children(recursive=True)
        pids = {"signaling": self.signaling, "node agent": self.agent}
        pids |= {f"worker {i + 1}": worker.pid for i, worker in enumerate(workers)}
        return {name: memory_mib(pid) for name, pid in pids.items()}


class People:
    """The same 100 people, who come and go."""

    def __init__(self, url: str):
        self._url = url
        self._seats: list[tuple[str, str]] = []
        self._sockets: list[tuple[RawSocket, str]] = []

    async def invite(self) -> None:
        """Makes the meetings and the tokens."""
        for number in range(MEETINGS):
            meeting = await new_meeting(self._url)
            for person in range(PEOPLE):
                name = f"m{number}p{person}"
                self._seats.append((meeting, await access_token(self._url, name, name)))

    async def come(self) -> None:
        """All join and create both transports."""
        for meeting, token in self._seats:
            socket = await RawSocket.connect(self._url, "/meeting", token)
            place = {"meeting_id": meeting}
            await socket.request("room:join", place)
            for direction in ("send", "recv"):
                await socket.request("transport:create", {**place, "direction": direction})
            self._sockets.append((socket, meeting))

    async def go(self) -> None:
        """All leave."""
        for socket, meeting in self._sockets:
            await socket.request("room:leave", {"meeting_id": meeting})
            socket.close()
        self._sockets.clear()


async def _measure(directory: Path) -> dict[str, Any]:
    async with LocalStack(directory) as stack:
        processes = Processes(stack.signaling[0].child.pid, stack.nodes[0].child.pid)
        people = People(stack.url)
        await people.invite()
        await asyncio.sleep(3)
        samples: dict[str, Any] = {"idle": processes.memory(), "after_rounds": []}
        for number in range(ROUNDS):
            await people.come()
            if number == 0:
                await asyncio.sleep(3)
                samples["with_100"] = processes.memory()
            await people.go()
            await asyncio.sleep(0.5)
            samples["after_rounds"].append(processes.memory())
            print(f"  after {(number + 1) * 100} joins and leaves: {_rss(samples)}", flush=True)
    samples["second_start_s"] = [await _second_start() for _ in range(3)]
    return samples


async def _second_start() -> float:
    """Seconds from `make run` to its link, on a machine where it has run before."""
    env = {**os.environ, "KCS_HTTP__PORT": str(free_port())}
    began = time.monotonic()
    make = await asyncio.create_subprocess_exec(
        "make", "run", cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert make.stdout
    async for line in make.stdout:
        if line.startswith(b"Ready"):
            break
    else:
        raise RuntimeError("`make run` ended before it was ready")
    took = time.monotonic() - began
    os.killpg(make.pid, signal.SIGINT)
    await make.communicate()
    return took


def _rss(samples: dict[str, Any]) -> str:
    last = samples["after_rounds"][-1]
    return ", ".join(f"{name} {rss:.1f} MiB" for name, (rss, _) in last.items())


def _figures(samples: dict[str, Any]) -> list[Figure]:
    figures = []
    for name, (rss, pss) in samples["idle"].items():
        rounds = [memory[name][0] for memory in samples["after_rounds"]]
        growth = rounds[-1] - rounds[-1 - LAST]
        figures += [
            Figure(f"{name}, idle, RSS", rss, "MiB", note=f"PSS {pss:.1f} MiB"),
            Figure(f"{name}, what 100 add", samples["with_100"][name][0] - rss, "MiB"),
            Figure(f"{name}, growth over the first 1,000 joins", rounds[9] - rss, "MiB"),
            at_most(f"{name}, growth over the last 1,000 joins", growth, "MiB", FLAT_MIB, "flat"),
        ]
    return [
        *figures,
        at_most("second `make run` until ready", median(samples["second_start_s"]), "s", 5),
    ]


def main() -> None:
    """The entry point."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as directory:
        samples = asyncio.run(_measure(Path(directory) / "stack"))
    save("memory", METHOD, _figures(samples), samples)


if __name__ == "__main__":
    main()
