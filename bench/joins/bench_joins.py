"""What a join costs in frames and round trips: counted, so that any machine gives the same.

    python bench/joins/bench_joins.py

Somebody joins a meeting with 10, 50 and 200 streams over a raw socket; and once in Chromium, where
a third round trip is the last, until pictures and sound are there.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop
from playwright.async_api import WebSocketRoute

from kcs_contracts.protocol.media import BATCH
from kcs_dev.api import new_meeting
from kcs_dev.browser import Chromium, until
from kcs_dev.crowd import UNLIMITED, Crowd, some_at_once
from kcs_dev.measure import Figure, at_most, save
from kcs_dev.raw_socket import RawSocket
from kcs_dev.stack import LocalStack

METHOD = (
    "Counted, with a real SFU node. Raw: each of P people joins and sends one stream; one more says"
    " room:join with both transports, then consume:batch for all streams, 25 at a time and all at"
    " once, not paused, then transport:connect. Frames are Socket.IO packets on the WebSocket,"
    " acknowledgements included; the others' are what they get until a second after it. Browser:"
    " our web client in Chromium joins a meeting with 50 streams, two of them the microphone and"
    " camera of another page. A request's round trip is one more than that of the latest answer, to"
    " whatever, that came before it was sent. Answers to requests of the third are held back, so"
    " that there is no fourth, and the page's own streams are not sent, until pictures and sound"
    " come in (40 s at most)."
)
PRODUCERS = (10, 50, 200)
IN_BROWSER = 50
MOST_TRIPS = 3
_SETTLE_S = 1.0
_FINGERPRINT = {"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}
_OPUS = {
    "mimeType": "audio/opus",
    "payloadType": 111,
    "clockRate": 48000,
    "channels": 2,
    "parameters": {"useinbandfec": 1},
    "rtcpFeedback": [],
}


@dataclass(frozen=True)
class Counted:
    """One join."""

    producers: int
    frames: int
    """To the one who joins."""
    kilobytes: float
    """The same."""
    to_others: tuple[int, int]
    """Frames to each of the others, the fewest and the most."""


async def _send(socket: RawSocket, meeting: str, number: int) -> None:
    """Joins and sends a stream; no packet of it ever comes."""
    room = await socket.request("room:join", {"meeting_id": meeting, "transports": ["send"]})
    rtp = {"mid": "0", "codecs": [_OPUS], "encodings": [{"ssrc": 1000 + number}]}
    (transport,) = room["transports"]
    sent = {"transport_id": transport["transport_id"], "kind": "audio", "rtp_parameters": rtp}
    await socket.request("produce", sent)


async def _senders(crowd: Crowd, url: str, meeting: str, count: int) -> list[RawSocket]:
    people = [await crowd.connect(url, f"sender-{number}") for number in range(count)]
    await some_at_once(8, (_send(each, meeting, n) for n, each in enumerate(people)))
    return people


async def _receive(socket: RawSocket, meeting: str) -> None:
    """All that it takes to receive everybody, in three round trips."""
    both = ["send", "recv"]
    room = await socket.request("room:join", {"meeting_id": meeting, "transports": both})
    (recv,) = (each for each in room["transports"] if each["direction"] == "recv")
    streams = [each["producer_id"] for each in room["producers"]]
    wanted = {"rtp_capabilities": room["rtp_capabilities"], "paused": False}
    answers = await asyncio.gather(
        *(
            socket.request("consume:batch", {"producer_ids": streams[first:][:BATCH], **wanted})
            for first in range(0, len(streams), BATCH)
        )
    )
    dtls = {"role": "client", "fingerprints": [_FINGERPRINT]}
    connect = {"transport_id": recv["transport_id"], "dtls_parameters": dtls}
    await socket.request("transport:connect", connect)
    consumed = sum(len(each["consumers"]) for each in answers)
    if consumed != len(streams):
        raise SystemExit(f"{consumed} of {len(streams)} streams can be received")


async def _count(stack: LocalStack, crowd: Crowd, producers: int) -> Counted:
    meeting = await new_meeting(stack.url, max_participants=producers + 10)
    others = await _senders(crowd, stack.url, meeting, producers)
    joiner = await crowd.connect(stack.url, "joiner")
    await asyncio.sleep(_SETTLE_S)
    for socket in (joiner, *others):
        socket.packets = socket.bytes = 0
    await _receive(joiner, meeting)
    await asyncio.sleep(_SETTLE_S)
    heard = [socket.packets for socket in others]
    for socket in (joiner, *others):
        socket.close()
    return Counted(producers, joiner.packets, joiner.bytes / 1000, (min(heard), max(heard)))


class Gate:
    """Between a page and signaling: answers of its first two round trips come back, no others.

    What would send the page's own microphone and camera is dropped.
    """

    _EVENT = re.compile(r"42/meeting,(\d+)(\[.*)", re.DOTALL)
    _ANSWER = re.compile(r"43/meeting,(\d+)(\[.*)", re.DOTALL)

    def __init__(self) -> None:
        self.frames = 0
        """From the server, since the page said `room:join`."""
        self.trips: list[tuple[str, int]] = []
        """The events that passed, each with its round trip, from 1."""
        self._trip_of: dict[str, int] = {}
        self._answered = 0
        self._receiving = ""
        """The transport."""

    def open(self, route: WebSocketRoute) -> None:
        """Stands between the page's new WebSocket and the server."""
        server = route.connect_to_server()

        def from_page(message: str | bytes) -> None:
            if self._passes(str(message)):
                server.send(message)

        def from_server(message: str | bytes) -> None:
            if self._comes_back(str(message)):
                route.send(message)

        route.on_message(from_page)
        server.on_message(from_server)

    def _passes(self, message: str) -> bool:
        found = self._EVENT.match(message)
        if found is None:
            return True  # the protocol's own
        number, (event, payload, *_) = found[1], orjson.loads(found[2])
        if payload.get("transport_id", self._receiving) != self._receiving:
            return False
        trip = self._answered + 1
        self._trip_of[number] = trip
        self.trips.append((event, trip))
        return True

    def _comes_back(self, message: str) -> bool:
        if self.trips and message.startswith("4"):
            self.frames += 1
        found = self._ANSWER.match(message)
        if found is None:
            return True
        trip = self._trip_of.get(found[1], 0)
        if trip == MOST_TRIPS:
            return False
        self._answered = max(self._answered, trip)
        for transport in orjson.loads(found[2])[0].get("data", {}).get("transports", ()):
            if transport["direction"] == "recv":
                self._receiving = transport["transport_id"]
        return True


async def _in_browser(stack: LocalStack, crowd: Crowd) -> Gate:
    meeting = await new_meeting(stack.url, max_participants=IN_BROWSER + 10)
    link, gate = f"{stack.url}/m/{meeting}", Gate()
    async with Chromium() as browser:
        await browser.join(link, "Ann")
        others = await _senders(crowd, stack.url, meeting, IN_BROWSER - 2)
        ben = await browser.person()
        await ben.page.route_web_socket("**/socket.io/**", gate.open)
        await ben.page.goto(f"{link}?name=Ben&join=1")

        async def sees_and_hears() -> bool:
            return min(await ben.live_count()) > 0

        await until(sees_and_hears, "Ben sees and hears Ann", timeout_s=40)
        for socket in others:
            socket.close()
    return gate


def _figures(counted: Sequence[Counted], gate: Gate) -> list[Figure]:
    few, many = counted[0], counted[-1]
    added = many.producers - few.producers
    return [
        *(
            Figure(f"frames to the joiner, {each.producers} streams", each.frames, "frames")
            for each in counted
        ),
        at_most(
            f"what {added} more streams add to these",
            many.frames - few.frames,
            "frames",
            added / BATCH,
            "a frame for 25 streams",
        ),
        *(
            Figure(f"bytes to the joiner, {each.producers} streams", each.kilobytes, "kB")
            for each in counted
        ),
        *(
            at_most(f"frames to each of {each.producers} others", each.to_others[1], "frames", 1)
            for each in counted
        ),
        at_most(
            f"round trips from room:join to pictures and sound, Chromium, {IN_BROWSER} streams",
            max(trip for _, trip in gate.trips),
            "round trips",
            MOST_TRIPS,
        ),
        Figure("frames to Chromium until then", gate.frames, "frames"),
    ]


async def _run() -> tuple[list[Counted], Gate]:
    counted = []
    with tempfile.TemporaryDirectory() as directory:
        async with LocalStack(Path(directory), env=UNLIMITED) as stack:
            crowd = Crowd(stack)
            await crowd.begin(stack.url)
            for producers in PRODUCERS:
                counted.append(await _count(stack, crowd, producers))
                one = counted[-1]
                if one.to_others[0] < 1:
                    raise SystemExit(f"of {producers} others some did not hear of the join")
                print(f"  {producers} streams: {one.frames} frames to the joiner", flush=True)
            gate = await _in_browser(stack, crowd)
    return counted, gate


def main() -> None:
    """The entry point."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    counted, gate = uvloop.run(_run())
    samples: dict[str, Any] = {"raw": [asdict(each) for each in counted], "browser": gate.trips}
    save("joins", METHOD, _figures(counted, gate), samples)


if __name__ == "__main__":
    main()
