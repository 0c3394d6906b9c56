"""One producer to many consumers: our node's worker against the same worker driven by Node.

    python bench/media/bench_media.py

Two things are asked. Does driving the worker from Python tax the media (worker and controlling
process, A B A B)? And how far is the worker from the floor, which is AES-GCM and sendto alone?
"""

import argparse
import asyncio
import base64
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from kcs_dev.measure import Figure, at_most, c_program, cpu_s, node_modules, save
from kcs_sfu.agent.codecs import MEDIA_CODECS
from kcs_sfu.mediasoup.worker import default_worker_bin

HERE = Path(__file__).parent
METHOD = (
    "1 producer, 500 consumers: a VP8 stream made beforehand (1,100 byte payloads, one packet per"
    " frame, key frame each second) into a PlainTransport; each consumer on a PlainTransport of"
    " its own with SRTP AEAD_AES_128_GCM, all to one UDP socket on loopback, counted by SSRC and"
    " sequence number (headers are in clear; nothing is decrypted). Ours and Node's mediasoup with"
    " the same worker binary take turns, medians. CPU per delivered packet is the worker's, and"
    " the controlling process's beside it. The floor is a C program that only encrypts and sends"
    " the same packets at the same pace, from as many keys and sockets."
)
SSRC = 0x1234567
PIPE = asyncio.subprocess.PIPE


@dataclass(frozen=True)
class Run:
    """What one SFU did in the measured time."""

    worker_us_per_packet: float
    control_ms_per_s: float
    sent: int
    received: int
    repeated: int
    streams: int
    whole_streams: int
    """Streams that miss nothing."""


@dataclass(frozen=True)
class Shape:
    """Of the load."""

    consumers: int
    rate: int
    seconds: int
    payload: int

    @property
    def request(self) -> dict[str, Any]:
        """What an SFU has to make, but for the receiver's port."""
        vp8 = {"mimeType": "video/VP8", "payloadType": 101, "clockRate": 90000, "parameters": {}}
        key = base64.b64encode(bytes(range(28))).decode()
        return {
            "worker_bin": default_worker_bin(),
            "media_codecs": list(MEDIA_CODECS),
            "consumers": self.consumers,
            "rtp_parameters": {
                "codecs": [{**vp8, "rtcpFeedback": []}],
                "encodings": [{"ssrc": SSRC}],
            },
            "srtp_parameters": {"cryptoSuite": "AEAD_AES_128_GCM", "keyBase64": key},
        }


async def _start(argv: Sequence[str | Path], **env: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *argv, stdin=PIPE, stdout=PIPE, env={**os.environ, **env}, limit=2**20
    )


async def _tell(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


async def _line(process: asyncio.subprocess.Process, timeout_s: float = 60) -> str:
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), timeout_s)
    if not line:
        raise SystemExit(f"a helper process ended with {await process.wait()}")
    return line.decode().strip()


async def _run(shape: Shape, sfu: asyncio.subprocess.Process) -> Run:
    """Loads the SFU and takes the CPU between the helper's `begin` and `end`."""
    numbers = (shape.rate, shape.seconds, shape.payload, SSRC)
    load = await _start([c_program(HERE / "rtp_load.c"), *map(str, numbers)])
    request = {**shape.request, "receiver_port": int(await _line(load))}
    await _tell(sfu, json.dumps(request))
    ready = json.loads(await _line(sfu))
    await _tell(load, str(ready["producer_port"]))
    assert await _line(load) == "begin"
    worker, control = cpu_s(ready["worker_pid"]), cpu_s(sfu.pid)
    assert await _line(load) == "end"
    worker, control = cpu_s(ready["worker_pid"]) - worker, cpu_s(sfu.pid) - control
    counted = json.loads(await _line(load))
    await load.wait()
    assert sfu.stdin
    sfu.stdin.close()
    await sfu.wait()
    return Run(
        worker_us_per_packet=worker / counted["received"] * 1e6,
        control_ms_per_s=control / shape.seconds * 1e3,
        **counted,
    )


async def _floor_us(shape: Shape) -> float:
    """CPU of AES-GCM and sendto, in us per packet."""
    numbers = (shape.consumers, shape.rate, shape.seconds, shape.payload)
    floor = await _start([c_program(HERE / "floor.c", "crypto"), *map(str, numbers)])
    counted = json.loads(await _line(floor))
    await floor.wait()
    return float(counted["cpu_s"]) / int(counted["sent"]) * 1e6


def _figures(shape: Shape, ours: list[Run], node: list[Run], floors: list[float]) -> list[Figure]:
    def both(name: str, what: str, unit: str) -> list[Figure]:
        return [
            Figure(f"{name}, {who}", median(getattr(run, what) for run in runs), unit)
            for who, runs in (("ours", ours), ("Node", node))
        ]

    def lost(runs: list[Run]) -> float:
        wanted = sum(run.sent * shape.consumers for run in runs)
        return 100 * (1 - sum(run.received for run in runs) / wanted)

    worker = both("worker CPU per delivered packet", "worker_us_per_packet", "us")
    tax = worker[0].value / worker[1].value
    floor = median(floors)
    return [
        *worker,
        at_most("worker CPU per packet, ours / Node", tax, "x", 1.05, "no measurable tax"),
        *both("controlling process's CPU per second", "control_ms_per_s", "ms"),
        at_most("packets lost, ours", lost(ours), "%", max(0.0, lost(node)), "no more than Node's"),
        Figure("packets lost, Node", lost(node), "%"),
        Figure("floor: AES-GCM and sendto, CPU per packet", floor, "us"),
        Figure("worker CPU per packet / floor", worker[0].value / floor, "x"),
    ]


async def _all(shape: Shape, rounds: int) -> None:
    modules = str(node_modules(HERE.parent / "driver"))
    ours, node, floors = [], [], []
    for number in range(rounds):
        ours.append(await _run(shape, await _start([sys.executable, HERE / "our_sfu.py"])))
        print(f"  round {number + 1} ours  {ours[-1]}", flush=True)
        sfu = await _start(["node", HERE / "node_sfu.js"], NODE_PATH=modules)
        node.append(await _run(shape, sfu))
        print(f"  round {number + 1} node  {node[-1]}", flush=True)
        floors.append(await _floor_us(shape))
        print(f"  round {number + 1} floor {floors[-1]:.2f} us", flush=True)
    samples = {
        "shape": asdict(shape),
        "ours": [asdict(run) for run in ours],
        "node": [asdict(run) for run in node],
        "floor_us": floors,
    }
    save("media", METHOD, _figures(shape, ours, node, floors), samples)


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--consumers", type=int, default=500)
    parser.add_argument("--rate", type=int, default=50, help="packets per second of the producer")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    shape = Shape(arguments.consumers, arguments.rate, arguments.seconds, payload=1100)
    asyncio.run(_all(shape, arguments.rounds))


if __name__ == "__main__":
    main()
