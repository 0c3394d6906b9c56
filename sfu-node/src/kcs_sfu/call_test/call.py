"""The call itself: a meeting, two people, what one says the other hears."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from kcs_sfu.agent.codecs import MEDIA_CODECS
from kcs_sfu.call_test.endpoint import Endpoint, Voice, endpoint
from kcs_sfu.call_test.socket import CallFailed, Socket
from kcs_sfu.mediasoup.router import Router
from kcs_sfu.mediasoup.worker import Worker

PACKETS = 50
"""That each must hear of the other: a second."""
_HEARING_S = 15.0


class Person:
    """One of the two."""

    def __init__(self, name: str, socket: Socket, webrtc: Endpoint):
        self.name, self.voice = name, Voice()
        self._socket, self._webrtc = socket, webrtc
        self._capabilities: Any = None
        self._receiving: Any = None

    async def join(self, meeting_id: str) -> str:
        """Joins, connects both transports and sends; the id of the stream."""
        wanted = {"meeting_id": meeting_id, "transports": ["send", "recv"]}
        joined = await self._socket.request("room:join", wanted)
        self._capabilities = joined["rtp_capabilities"]
        ours = {}
        for theirs in joined["transports"]:
            transport, dtls = await self._webrtc.connect(theirs)
            ours[theirs["direction"]] = transport
            await self._socket.request(
                "transport:connect",
                {"transport_id": theirs["transport_id"], "dtls_parameters": dtls},
            )
            if theirs["direction"] == "send":
                sending = theirs["transport_id"]
        self._receiving = ours["recv"]
        parameters = await self._webrtc.send(ours["send"], self.voice)
        produced = await self._socket.request(
            "produce",
            {"transport_id": sending, "kind": "audio", "rtp_parameters": parameters},
        )
        return str(produced["producer_id"])

    async def hear(self, producer_id: str, voice: Voice) -> None:
        """Returns when enough of that voice came.

        Raises:
            CallFailed: it did not.
        """
        wanted = {
            "producer_ids": [producer_id],
            "rtp_capabilities": self._capabilities,
            "paused": False,
        }
        answer = await self._socket.request("consume:batch", wanted)
        if not answer["consumers"]:
            raise CallFailed(f"{self.name} cannot receive: {answer['failed']}")
        parameters = answer["consumers"][0]["rtp_parameters"]
        packets = await self._webrtc.receive(self._receiving, parameters)
        heard = 0
        try:
            async with asyncio.timeout(_HEARING_S):
                while heard < PACKETS:
                    heard += voice.is_in(await packets.get())
        except TimeoutError:
            raise CallFailed(f"{self.name} heard {heard} of {PACKETS} packets") from None

    async def leave(self, meeting_id: str) -> None:
        """Leaves."""
        await self._socket.request("room:leave", {"meeting_id": meeting_id})


async def hold(url: str, tokens: Mapping[str, str]) -> None:
    """Holds a call of the two people with these tokens, and ends it.

    Raises:
        CallFailed: something of it did not work.
    """
    host = next(iter(tokens.values()))
    fields = {"display_name": "Test call", "max_participants": 2, "expected_participants": 2}
    meeting = await _ask("POST", f"{url}/api/v1/meetings", host, fields)
    worker = await Worker.create()
    try:
        router = await worker.create_router(media_codecs=list(MEDIA_CODECS))
        await _talk(url, tokens, str(meeting["id"]), router)
    finally:
        worker.close()
        await worker.wait_closed()
        await _ask("POST", f"{url}/api/v1/meetings/{meeting['id']}/end", host)


async def _talk(url: str, tokens: Mapping[str, str], meeting: str, router: Router) -> None:
    async with AsyncExitStack() as stack:
        people, streams = [], []
        for name, token in tokens.items():
            socket = await stack.enter_async_context(Socket(url, meeting, token))
            webrtc = await stack.enter_async_context(endpoint(router))
            people.append(Person(name, socket, webrtc))
        for person in people:
            streams.append(await person.join(meeting))
            print(f"{person.name} has joined and sends", flush=True)
        ann, ben = people
        await ben.hear(streams[0], ann.voice)
        await ann.hear(streams[1], ben.voice)
        for person in people:
            await person.leave(meeting)


async def _ask(method: str, url: str, token: str, body: Mapping[str, Any] | None = None) -> Any:
    """A REST request, off the event loop."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers=headers, method=method)

    def ask() -> Any:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    try:
        return await asyncio.to_thread(ask)
    except urllib.error.HTTPError as error:
        text = error.read()[:300].decode(errors="replace")
        raise CallFailed(f"{method} {url}: {error.code} {text}") from None
    except OSError as error:
        raise CallFailed(f"{method} {url}: {error}") from None
