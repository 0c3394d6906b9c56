"""Eve: floods a signaling service with bad events, from a process of her own until SIGTERM.

`python -m tests.support.flood MANNER URL MEETING TOKEN`; at the end she prints what came of it, and
before that, on a line of its own, that she is at it.
"""

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress

import orjson
from tests.support.bad_input import TAKES

from kcs_dev.raw_socket import RawSocket

INBOX = 64
"""`KCS_SOCKET__QUEUE_LENGTH`: a socket with more commands than that waiting is closed."""


class Flood:
    """What a flood came to."""

    def __init__(self, url: str, meeting: str, token: str):
        self._url, self._meeting, self._token = url, meeting, token
        self.answered = self.closed = 0

    async def patient(self) -> None:
        """A socket in each namespace whose inbox is as full as it may be, all the time."""
        async with asyncio.TaskGroup() as tasks:
            for namespace in TAKES:
                tasks.create_task(self._fill(namespace))

    async def hasty(self) -> None:
        """A socket that sends all at once, and comes again as soon as it is closed for that."""
        bodies = self._bad_events("/meeting")
        while True:
            socket = await RawSocket.connect(self._url, "/meeting", self._token)
            for _ in range(10 * INBOX):
                socket.fire(next(bodies), self._count)
            while not socket.lost:
                await asyncio.sleep(0.001)
            self.closed += 1

    async def _fill(self, namespace: str) -> None:
        socket = await RawSocket.connect(self._url, namespace, self._token)
        room = asyncio.Semaphore(INBOX)

        def answered(packet: bytes) -> None:
            self._count(packet)
            room.release()

        for body in self._bad_events(namespace):
            await room.acquire()
            socket.fire(body, answered)
            if socket.lost:
                self.closed += 1
                return

    def _bad_events(self, namespace: str) -> Iterator[bytes]:
        """All bad payloads of all events, and one that does not exist, over and over."""
        bodies = [orjson.dumps(["no-such-event", {"meeting_id": self._meeting}])]
        for event, takes in TAKES[namespace].items():
            bodies += [orjson.dumps([event, payload]) for payload in takes.wrong(self._meeting)]
        return itertools.cycle(bodies)

    def _count(self, packet: bytes) -> None:
        assert b'"ok":false' in packet, packet
        self.answered += 1


async def main(manner: str, *whom: str) -> None:
    flood = Flood(*whom)
    work = asyncio.create_task(flood.patient() if manner == "patient" else flood.hasty())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    while not (flood.answered or flood.closed or work.done()):
        await asyncio.sleep(0.01)
    print("at it", flush=True)
    with suppress(asyncio.CancelledError):
        await work
    print(json.dumps({"answered": flood.answered, "closed": flood.closed}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
