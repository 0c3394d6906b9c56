"""A whole call over a real system, as people make it who also paste secrets into wrong places; and
what it leaves behind: logs and metrics."""

import asyncio
import base64
import contextlib
import json
import re
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
from tests.kcs_sfu.agent.browser import Browser, browser
from tests.kcs_sfu.agent.streams import voice
from tests.support.signaling import Client, RawSocket

from kcs_contracts.node_api import OPS_PATH
from kcs_dev.processes import free_port
from kcs_dev.stack import LocalStack

SSRC = 11111
OPUS: dict[str, Any] = {
    "mid": "0",
    "codecs": [
        {
            "mimeType": "audio/opus",
            "payloadType": 111,
            "clockRate": 48000,
            "channels": 2,
            "parameters": {},
            "rtcpFeedback": [],
        }
    ],
    "headerExtensions": [],
    "encodings": [{"ssrc": SSRC}],
    "rtcp": {"cname": "ann", "reducedSize": True},
}
VP8: dict[str, Any] = {
    **OPUS,
    "mid": "1",
    "codecs": [
        {
            "mimeType": "video/VP8",
            "payloadType": 96,
            "clockRate": 90000,
            "parameters": {},
            "rtcpFeedback": [{"type": "transport-cc", "parameter": ""}],
        }
    ],
    "encodings": [{"ssrc": SSRC + 1}],
}
"""Its consumers are under congestion control."""
_SAMPLED = re.compile(r"^kcs_sfu_rtt_seconds_count\{.*\} [1-9]", re.MULTILINE)
PASSWORD = "correct-horse-79"
WORDS = {
    "chat": "zebra-crossing-71",
    "private": "okapi-whisper-72",
    "note": "ibex-reason-73",
    "broadcast": "lynx-broadcast-74",
    "room": "Quagga Planning",
}


@dataclass(frozen=True)
class Person:
    """Somebody; nothing of this may be in a log or a metric."""

    id: str
    name: str
    email: str


ANN = Person("ann-7c1e", "Annelise Quartz", "annelise@mail.example")
BOB = Person("bob-5d2f", "Bobby Feldspar", "bobby@mail.example")
CYR = Person("cyr-9a3b", "Cyrus Gneiss", "cyrus@mail.example")
GUEST = Person("guest-granite", "Gertrude Granite", "gertrude@mail.example")


@dataclass
class Traces:
    """What the call left."""

    logs: dict[str, str] = field(default_factory=dict)
    """By service: `signaling`, `node`."""
    scraped: dict[str, list[str]] = field(default_factory=lambda: {"signaling": [], "node": []})
    """By service: `/metrics` while the call ran, and at its end."""
    secrets: list[str] = field(default_factory=list)
    """Tokens and passwords."""
    meetings: list[str] = field(default_factory=list)

    @property
    def private(self) -> list[str]:
        """All that must be in no log."""
        people = [each for p in (ANN, BOB, CYR, GUEST) for each in (p.id, p.name, p.email)]
        return [*self.secrets, PASSWORD, *WORDS.values(), *people]


class TracedCall:
    """Drives the call; `run` answers its traces."""

    def __init__(self, stack: LocalStack, http: aiohttp.ClientSession, folder: Path):
        self._stack, self._http, self._folder = stack, http, folder
        self._traces = Traces()
        self._tokens: dict[str, str] = {}
        self._meeting = ""

    async def run(self) -> Traces:
        """The whole call."""
        for person in (ANN, BOB, CYR):
            self._tokens[person.id] = await self._log_in(person)
        self._meeting = await self._new_meeting()
        await self._secrets_in_wrong_requests()
        async with contextlib.AsyncExitStack() as people:
            ann = await self._enters(people, "/meeting", ANN)
            joined = await ann.get("room:join", self._named(display_name=ANN.name))
            self._traces.secrets.append(joined["resume_token"])
            await self._rest("PUT", f"meetings/{self._meeting}/debug", ANN, enabled=True)
            await self._until_the_node_looks_closely()
            bob = await self._enters(people, "/", BOB)
            await self._bob_waits_and_comes_in(ann, bob)
            async with self._media(ann, bob):
                await self._talk(ann, bob)
                await self._secrets_in_wrong_events(ann, bob)
                await self._others_come_and_go(people, ann)
                await self._until_sampled()
            await bob.close()
            await self._logged("participant_timed_out")
            await ann.get("room:leave", self._named())
        await self._rest("POST", f"meetings/{self._meeting}/end", ANN)
        await asyncio.sleep(0.5)  # the journal's
        await self._scrape()
        self._read_logs()
        return self._traces

    # --- REST ------------------------------------------------------------------------------------

    async def _log_in(self, person: Person) -> str:
        login = {"user_id": person.id, "user_name": person.name, "email": person.email}
        pair = await self._ok("POST", "auth/token", json=login)
        again = await self._ok(
            "POST", "auth/refresh", json={"refresh_token": pair["refresh_token"]}
        )
        replayed = {"refresh_token": pair["refresh_token"]}
        assert await self._status("POST", "/api/v1/auth/refresh", json=replayed) == 401
        self._traces.secrets += [*_texts(pair), *_texts(again)]
        return str(again["access_token"])

    async def _new_meeting(self) -> str:
        settings = {"require_host_approval": True}
        made = await self._rest(
            "POST", "meetings", ANN, display_name=WORDS["room"], settings=settings
        )
        self._traces.meetings.append(made["id"])
        self._traces.secrets.append(made["meeting_token"])
        guest = {"display_name": GUEST.name, "email": GUEST.email}
        await self._rest("POST", f"meetings/{made['id']}/invitations", ANN, **guest)
        link = {"display_name": GUEST.name, "user_id": GUEST.id}
        token = await self._rest("POST", f"meetings/{made['id']}/tokens", ANN, **link)
        self._tokens[GUEST.id] = token["meeting_token"]
        self._traces.secrets.append(token["meeting_token"])
        return str(made["id"])

    async def _secrets_in_wrong_requests(self) -> None:
        token = self._tokens[ANN.id]
        basic = base64.b64encode(f"{ANN.id}:{PASSWORD}".encode()).decode()
        self._traces.secrets.append(basic)
        headers = {"Authorization": f"Basic {basic}", "X-Auth": token, "Cookie": f"t={token}"}
        bearer = {"Authorization": f"Bearer {token}"}
        login = {"user_id": ANN.id, "password": PASSWORD}
        wrong = {"display_name": ANN.name, "password": PASSWORD, "token": token}
        for status, method, path, more in (
            (401, "GET", f"/api/v1/meetings?token={token}&password={PASSWORD}", {}),
            (401, "GET", "/api/v1/meetings", {"headers": headers}),
            (401, "POST", "/api/v1/auth/token", {"json": login}),
            (404, "GET", f"/api/v1/{token}", {}),
            (422, "POST", "/api/v1/meetings", {"headers": bearer, "json": wrong}),
            (422, "POST", "/api/v1/meetings", {"headers": bearer, "data": f"{{{PASSWORD}"}),
        ):
            assert await self._status(method, path, **more) == status, (method, path[:30])
        node, path = self._stack.nodes[0].url, OPS_PATH.format(meeting_id=self._meeting)
        body = json.dumps({"ops": [{"op": PASSWORD, "participant_id": ANN.id}]})
        async with self._http.post(node + path, data=body, headers=bearer) as answer:
            assert answer.status == 401

    # --- in the meeting --------------------------------------------------------------------------

    async def _bob_waits_and_comes_in(self, ann: Client, bob: Client) -> None:
        await bob.get("join-meeting", {"meetingId": self._meeting, "userName": BOB.name})
        await ann.hears("waiting:added")
        await ann.get("waiting:admit", self._named(all=True))
        await bob.hears("participant-joined", lambda told: told["userId"] == BOB.id)

    @asynccontextmanager
    async def _media(self, ann: Client, bob: Client) -> AsyncIterator[None]:
        """Ann's voice reaches Bob while the block runs."""
        sent = await ann.get("transport:create", self._named(direction="send"))

        async def connect(dtls: dict[str, Any]) -> None:
            transport = {"transport_id": sent["transport_id"], "dtls_parameters": dtls}
            await ann.get("transport:connect", transport)

        wanted = {"meetingId": self._meeting, "direction": "recv"}
        received = (await bob.get("create-transport", wanted))["params"]

        async def connect_bob(dtls: dict[str, Any]) -> None:
            await bob.get(
                "connect-transport", {"transportId": received["id"], "dtlsParameters": dtls}
            )

        anns: Any = SimpleNamespace(
            ice_candidates=sent["ice_candidates"], ice_parameters=sent["ice_parameters"]
        )
        bobs: Any = SimpleNamespace(
            ice_candidates=received["iceCandidates"], ice_parameters=received["iceParameters"]
        )
        self._traces.secrets += [each.ice_parameters["password"] for each in (anns, bobs)]
        async with (
            browser(anns, connect, self._folder) as speaker,
            browser(bobs, connect_bob, self._folder) as listener,
        ):
            send = {"transport_id": sent["transport_id"]}
            for kind, rtp in (("audio", OPUS), ("video", VP8)):
                made = await ann.get("produce", {**send, "kind": kind, "rtp_parameters": rtp})
                await self._consume(ann, bob, kind)
            async with _running(_speak(speaker), _report(listener)):
                yield
            await ann.refused("produce", {**send, "kind": "audio", "rtp_parameters": {}})
            await ann.get("produce:close", {"producer_id": made["producer_id"]})

    async def _consume(self, ann: Client, bob: Client, kind: str) -> None:
        """Bob gets Ann's stream, at the second attempt."""
        consume = {
            "meetingId": self._meeting,
            "producerParticipantId": ANN.id,
            "kind": kind,
            "rtpCapabilities": {"codecs": [], "headerExtensions": []},
        }
        await bob.hears("new-producer")
        assert await bob.refused("consume", consume) == "CANNOT_CONSUME"
        capabilities = (await ann.get("room:snapshot", self._named()))["rtp_capabilities"]
        made = await bob.get("consume", {**consume, "rtpCapabilities": capabilities})
        await bob.get("resume-consumer", {"consumerId": made["id"]})

    async def _talk(self, ann: Client, bob: Client) -> None:
        ours, theirs = self._named, {"meetingId": self._meeting}
        await ann.get("chat:send", ours(message=WORDS["chat"]))
        private = {"recipient_type": "private", "recipient_id": BOB.id}
        await ann.get("chat:send", ours(message=WORDS["private"], **private))
        await bob.get("send-message", {**theirs, "message": WORDS["chat"]})
        back = {"recipientType": "private", "recipientId": ANN.id}
        await bob.get("send-message", {**theirs, "message": WORDS["private"], **back})
        await ann.get("breakout:create", ours(count=1, names=[WORDS["room"]]))
        await ann.get("breakout:message", ours(message=WORDS["broadcast"]))
        bad = {"rtt": 400, "jitter": 80, "packetLoss": 9, "bitrate": 64_000}
        await ann.get("stats:report", ours(stats=bad))
        await ann.get("auth:refresh", {"token": self._tokens[ANN.id]})
        await bob.get("auth:refresh", {"token": self._tokens[BOB.id]})
        people = {"user_ids": [CYR.id], "emails": [GUEST.email]}
        added = await ann.get("participant:add", ours(**people))
        self._traces.secrets += [each["join_url"] for each in added["invitations"]]

    async def _secrets_in_wrong_events(self, ann: Client, bob: Client) -> None:
        token = self._tokens[ANN.id]
        for payload in (
            {"password": PASSWORD, "token": token},
            {"meeting_id": token, "meetingId": token},
            PASSWORD,
            [token],
            (PASSWORD, token),
        ):
            for client, event in ((ann, "room:join"), (bob, "join-meeting")):
                assert await client.refused(event, payload) == "INVALID_REQUEST"
        for client in (ann, bob):
            assert await client.refused(token, {"token": token}) == "UNKNOWN_EVENT"
            assert await client.refused("auth:refresh", {"token": PASSWORD}) == "ACCESS_DENIED"
        url = self._stack.url.replace("http", "ws")
        raw = await RawSocket.open(url)
        await raw.ws.send_str(f'40/meeting,{{"token": "{PASSWORD}"}}')
        await raw.ws.send_str(f'42/meeting,["{token}"')
        await raw.rest()
        await raw.close()
        path = f"/socket.io/?EIO=4&transport={PASSWORD}&token={token}"
        assert await self._status("GET", path) == 400

    async def _others_come_and_go(self, people: contextlib.AsyncExitStack, ann: Client) -> None:
        """Cyrus is removed, and the guest denied; both by Ann."""
        cyr = await self._enters(people, "/meeting", CYR)
        await cyr.get("room:join", self._named(display_name=CYR.name))
        removal = self._named(target_user_id=CYR.id, reason=WORDS["note"])
        await ann.get("participant:remove", removal)
        guest = await self._enters(people, "/meeting", GUEST)
        await guest.get("room:join", self._named(display_name=GUEST.name))
        await ann.get("waiting:deny", self._named(target_user_id=GUEST.id, reason=WORDS["note"]))

    # --- what it left ----------------------------------------------------------------------------

    async def _until_sampled(self) -> None:
        """The node looks at its transports every ten seconds; a round trip takes two reports."""
        async with asyncio.timeout(40):
            while True:
                await self._scrape()
                if _SAMPLED.search(self._traces.scraped["node"][-1]):
                    return
                for texts in self._traces.scraped.values():
                    texts.pop()
                await asyncio.sleep(0.5)

    async def _until_the_node_looks_closely(self) -> None:
        """It is told a moment later; what it did before that moment is in no log."""
        done = re.compile(r'^kcs_sfu_operations_total\{.*op="set_debug".*\} [1-9]', re.MULTILINE)
        async with asyncio.timeout(20):
            while True:
                async with self._http.get(f"{self._stack.nodes[0].url}/metrics") as answer:
                    if done.search(await answer.text()):
                        return
                await asyncio.sleep(0.1)

    async def _scrape(self) -> None:
        urls = {"signaling": self._stack.url, "node": self._stack.nodes[0].url}
        for service, url in urls.items():
            async with self._http.get(f"{url}/metrics") as answer:
                assert answer.status == 200
                self._traces.scraped[service].append(await answer.text())

    async def _logged(self, event: str) -> None:
        log = self._stack.signaling[0].child.log
        async with asyncio.timeout(15):
            while f'"{event}"' not in log.read_text():
                await asyncio.sleep(0.1)

    def _read_logs(self) -> None:
        services = {"signaling": self._stack.signaling[0], "node": self._stack.nodes[0]}
        self._traces.logs = {name: each.child.log.read_text() for name, each in services.items()}

    # --- helpers ---------------------------------------------------------------------------------

    def _named(self, **more: object) -> dict[str, object]:
        return {"meeting_id": self._meeting, **more}

    async def _enters(
        self, people: contextlib.AsyncExitStack, namespace: str, person: Person
    ) -> Client:
        client = Client(namespace)
        people.push_async_callback(client.close)
        return await client.connect(self._stack.url, self._tokens[person.id])

    async def _rest(self, method: str, path: str, person: Person, **body: object) -> Any:
        headers = {"Authorization": f"Bearer {self._tokens[person.id]}"}
        return await self._ok(method, path, json=body, headers=headers)

    async def _ok(self, method: str, path: str, **more: Any) -> Any:
        url = f"{self._stack.url}/api/v1/{path}"
        async with self._http.request(method, url, **more) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def _status(self, method: str, path: str, **more: Any) -> int:
        async with self._http.request(method, self._stack.url + path, **more) as answer:
            return answer.status


def call_settings() -> dict[str, str]:
    """Settings of the system that the call is made over."""
    return {
        "KCS_AUTH__LOCAL_ACCOUNTS": "true",
        "KCS_MEETING__PRESENCE_SECONDS": "2",
        "KCS_RETENTION__SWEEP_MINUTES": "0.1",
        "KCS_MAIL__HOST": "127.0.0.1",
        "KCS_MAIL__PORT": str(free_port()),
        "KCS_MAIL__SENDER": "meetings@kcs.example",
    }


async def traced_call(folder: Path) -> Traces:
    """The call, over processes of its own."""
    stack = LocalStack(folder / "stack", env=call_settings())
    async with stack, aiohttp.ClientSession() as http:
        return await TracedCall(stack, http, folder).run()


def _texts(pair: dict[str, Any]) -> list[str]:
    return [pair["access_token"], pair["refresh_token"]]


async def _speak(end: Browser) -> None:
    """Packets that come unevenly."""
    for n in range(100_000):
        end.send(voice(n, SSRC))
        await asyncio.sleep(0.01 if n % 2 else 0.03)


async def _report(end: Browser) -> None:
    """Answers each sender report as a receiver does (RFC 3550)."""
    seen = 0
    while True:
        for packet in end.rtcp[seen:]:
            seen += 1
            if packet[1] == 200:
                await asyncio.sleep(0.02)
                block = packet[4:8] + bytes(8) + struct.pack(">I", 480) + packet[10:14]
                report = block + struct.pack(">I", 1)
                end.send_rtcp(struct.pack(">BBHI", 0x81, 201, 7, 1) + report)
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _running(*works: Awaitable[None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
