"""Our driver of mediasoup-worker against Node's: CPU of the controlling process.

    python bench/driver/bench_driver.py [--rounds N]

Both drive the same worker binary and take turns (A B A B); the process that is not measured idles.
"""

import argparse
import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from kcs_dev.measure import Figure, at_most, node_modules, save
from kcs_sfu.agent.codecs import MEDIA_CODECS
from kcs_sfu.mediasoup import default_worker_bin, ortc

HERE = Path(__file__).parent
GOAL = 1.5
AUDIO_SSRC = 0x5151
METHOD = (
    "One process with our driver (uvloop) and one with Node's mediasoup, each with a worker of its"
    " own from the same binary, take turns; user and system CPU of the controlling process alone,"
    " by its own clock; medians after a warm-up round of each. Consumers: 1,000 of a simulcast VP8"
    " producer, created paused, resumed and closed, 50 at a time. Notifications: a producer that is"
    " paused and resumed, 1,000 consumers listening (no body); and audio levels of one speaker from"
    " 200 observers, four times a second (with body)."
)
VIDEO = {
    "mid": "0",
    "codecs": [
        {
            "mimeType": "video/VP8",
            "payloadType": 96,
            "clockRate": 90000,
            "rtcpFeedback": [
                {"type": "goog-remb"},
                {"type": "transport-cc"},
                {"type": "ccm", "parameter": "fir"},
                {"type": "nack"},
                {"type": "nack", "parameter": "pli"},
            ],
        },
        {"mimeType": "video/rtx", "payloadType": 97, "clockRate": 90000, "parameters": {"apt": 96}},
    ],
    "headerExtensions": [
        {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4},
        {"uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": 10},
    ],
    "encodings": [
        {"rid": "l", "scalabilityMode": "L1T3", "maxBitrate": 150_000},
        {"rid": "m", "scalabilityMode": "L1T3", "maxBitrate": 500_000},
        {"rid": "h", "scalabilityMode": "L1T3", "maxBitrate": 1_500_000},
    ],
    "rtcp": {"cname": "bench"},
}
AUDIO = {
    "mid": "1",
    "codecs": [
        {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2},
    ],
    "headerExtensions": [{"uri": "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "id": 1}],
    "encodings": [{"ssrc": AUDIO_SSRC}],
    "rtcp": {"cname": "bench"},
}


class Contender:
    """A process that takes commands, one JSON per line."""

    def __init__(self, name: str, argv: Sequence[str | Path], **env: str) -> None:
        self.name = name
        self._argv = argv
        self._env = env

    async def start(self) -> None:
        """Starts it and sends it audio, 50 packets a second."""
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **self._env},
        )
        capabilities = ortc.generate_router_rtp_capabilities(MEDIA_CODECS)
        self.port = (
            await self.ask(
                "start",
                worker_bin=default_worker_bin(),
                media_codecs=list(MEDIA_CODECS),
                producer=VIDEO,
                audio=AUDIO,
                capabilities=capabilities,
            )
        )["port"]

    async def ask(self, command: str, **args: Any) -> Any:
        """Runs a command."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps({"command": command, **args}).encode() + b"\n")
        line = await asyncio.wait_for(stdout.readline(), 120)
        if not line:
            raise SystemExit(f"{self.name} ended with {await self._process.wait()}")
        return json.loads(line)

    async def per_item_us(self, command: str, **args: Any) -> float:
        """CPU of a command per thing that it counted."""
        answer = await self.ask(command, **args)
        return float(answer["cpu_us"] / answer["count"])

    async def stop(self) -> None:
        """Ends it."""
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


async def _speak(ports: Sequence[int]) -> None:
    """RTP with an audio level, for ever: what the observers report on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sequence = 0
        while True:
            header = struct.pack(
                "!BBHIIHH", 0x90, 111, sequence & 0xFFFF, sequence * 960, AUDIO_SSRC, 0xBEDE, 1
            )
            packet = header + bytes([0x10, 0x80 | 30, 0, 0]) + bytes(40)
            for port in ports:
                sender.sendto(packet, ("127.0.0.1", port))
            sequence += 1
            await asyncio.sleep(0.02)


async def _measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    ours = Contender("ours", [sys.executable, HERE / "our_driver.py"])
    node = Contender("Node", ["node", HERE / "node_driver.js"], NODE_PATH=str(node_modules(HERE)))
    both = (ours, node)
    for contender in both:
        await contender.start()
    speaker = asyncio.create_task(_speak([contender.port for contender in both]))
    tasks: dict[str, dict[str, Any]] = {
        "consumers": {"count": 1000, "batch": 50},
        "pauses": {"consumers": 1000, "rounds": 5},
        "volumes": {"observers": 200, "seconds": 3},
    }
    results: dict[str, dict[str, list[float]]] = {}
    for command, args in tasks.items():
        results[command] = {contender.name: [] for contender in both}
        for i in range(rounds + 1):
            for contender in both:
                value = await contender.per_item_us(command, **args)
                if i:
                    results[command][contender.name].append(value)
    speaker.cancel()
    for contender in both:
        await contender.stop()
    return results


def _figures(results: dict[str, dict[str, list[float]]]) -> list[Figure]:
    names = {
        "consumers": "CPU to create, resume and close 1,000 consumers",
        "pauses": "CPU per notification without body",
        "volumes": "CPU per notification with body (audio level)",
    }
    figures = []
    for command, name in names.items():
        ours, node = (median(results[command][who]) for who in ("ours", "Node"))
        # 1,000 consumers at so many microseconds each are as many milliseconds.
        unit = "ms" if command == "consumers" else "us"
        figures += [
            Figure(f"{name}, ours", ours, unit),
            Figure(f"{name}, Node", node, unit),
            at_most(f"{name}, ours / Node", ours / node, "x", GOAL, "then less than 1"),
        ]
    return figures


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    results = asyncio.run(_measure(parser.parse_args().rounds))
    save("driver", METHOD, _figures(results), results)


if __name__ == "__main__":
    main()
