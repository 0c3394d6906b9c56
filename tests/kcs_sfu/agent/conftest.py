"""A real SFU node process on free ports, its tickets, and what a client would send to it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from redis.asyncio import Redis

from kcs_contracts import node_api as api
from kcs_contracts.ids import BootId, Epoch, MeetingId, NodeName, ParticipantId
from kcs_contracts.placement import Placement, connect
from kcs_contracts.rooms import Assignment, Source
from kcs_contracts.tickets import TicketSigner
from kcs_dev.processes import free_port
from kcs_sfu.agent.settings import Settings

from .inside import Inside, running

KID = "test-key"
EPOCH = Epoch(1000)
MEETING = MeetingId("abc-defg-hij")


class Signing:
    """Signaling's key: a file with its public half, and tickets signed by it."""

    def __init__(self, folder: Path):
        self.key = Ed25519PrivateKey.generate()
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [self.jwk()]}))

    def jwk(self, kid: str = KID) -> dict[str, Any]:
        """The public key as RFC 8037 writes it."""
        jwk = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**jwk, "kid": kid, "use": "sig", "alg": "EdDSA"}

    def ticket(self, node: "NodeProcess", meeting: MeetingId, epoch: Epoch, **changed: str) -> str:
        """A ticket for that node, or for what `changed` (node, boot) says."""
        assignment = Assignment(
            meeting_id=meeting,
            node=NodeName(changed.get("node", node.name)),
            boot=BootId(changed.get("boot", node.boot)),
            epoch=epoch,
            control_url=node.url,
        )
        return TicketSigner(self.key, KID).ticket(assignment)


class NodeProcess:
    """`kcs-sfu-node`, started as an operator would start it."""

    def __init__(self, env: dict[str, str], log: Path, signing: Signing):
        self.log, self._signing = log, signing
        self.name, self.boot, self.url = env["KCS_NODE__NAME"], "", ""
        script = str(Path(sys.executable).parent / "kcs-sfu-node")
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [script], env={**os.environ, **env}, stdout=out, stderr=subprocess.STDOUT
            )
        self.http: aiohttp.ClientSession
        """Of the test that runs now."""

    def lines(self) -> list[dict[str, Any]]:
        """What it logged so far; every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    async def line(self, event: str, within_s: float = 10) -> dict[str, Any]:
        """Its first log line of that event."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines():
                if f'"{event}"' in line and (found := json.loads(line))["event"] == event:
                    return dict(found)
            await asyncio.sleep(0.02)
        pytest.fail(f"no {event} in the log:\n{self.log.read_text()}")

    async def wait_ready(self) -> "NodeProcess":
        """Until it says `node_ready`."""
        ready = (await self.line("node_ready", within_s=30))["metadata"]
        self.url, self.boot = ready["control_url"], ready["boot"]
        self.http = aiohttp.ClientSession()
        return self

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in found if "mediasoup-worker" in child.name()]

    async def post(
        self, ticket: str | None, body: bytes, meeting: MeetingId = MEETING
    ) -> tuple[int, dict[str, Any]]:
        """A raw request; status and JSON."""
        headers = {"Authorization": f"Bearer {ticket}"} if ticket is not None else {}
        path = api.OPS_PATH.format(meeting_id=meeting)
        async with self.http.post(self.url + path, data=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def results(
        self, *ops: api.Operation, meeting: MeetingId = MEETING, epoch: Epoch = EPOCH
    ) -> api.Results:
        """A batch that must not be refused."""
        body = api.Operations(ops=ops).model_dump_json().encode()
        ticket = self._signing.ticket(self, meeting, epoch)
        status, answer = await self.post(ticket, body, meeting)
        assert status == 200, answer
        return api.Results.model_validate(answer)

    async def refused(
        self, *ops: api.Operation, meeting: MeetingId = MEETING, epoch: Epoch = EPOCH
    ) -> tuple[int, str]:
        """A batch that must be refused: the status and the code."""
        body = api.Operations(ops=ops).model_dump_json().encode()
        status, answer = await self.post(self._signing.ticket(self, meeting, epoch), body, meeting)
        assert status != 200, answer
        return status, api.Refusal.model_validate(answer).error.code

    async def answers(self, *ops: api.Operation, **where: Any) -> list[Any]:
        """A batch that must succeed altogether."""
        results = await self.results(*ops, **where)
        for result in results.results:
            assert result.error is None, result.error
        return [result.answer for result in results.results]

    async def text(self, path: str) -> tuple[int, str]:
        """GET."""
        async with self.http.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def ended(self, within_s: float = 5) -> int:
        """Its exit status, once it ended."""
        return await asyncio.to_thread(self.process.wait, within_s)


StartNode = Callable[..., "Any"]


@pytest.fixture(scope="session")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    """Signaling's key."""
    return Signing(tmp_path_factory.mktemp("signing"))


@pytest.fixture
async def start_node(
    redis: Redis, redis_url: str, signing: Signing, tmp_path: Path, worker_bin: str
) -> AsyncIterator[StartNode]:
    """Starts node processes by `await start_node(KCS_...="...")`, and ends what is left of them."""
    nodes: list[NodeProcess] = []

    async def start(*, ready: bool = True, **env: str) -> NodeProcess:
        name = f"node-{len(nodes)}-{os.urandom(3).hex()}"
        defaults = _environment(name, redis_url, signing, worker_bin)
        node = NodeProcess({**defaults, **env}, tmp_path / f"{name}.log", signing)
        nodes.append(node)
        return await node.wait_ready() if ready else node

    yield start
    for node in nodes:
        if node.process.poll() is None:
            node.process.send_signal(signal.SIGINT)
            await node.ended()
        if hasattr(node, "http"):
            await node.http.close()


@pytest.fixture(scope="module")
def shared_node(
    redis_url: str,
    signing: Signing,
    worker_bin: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[NodeProcess]:
    """One node for a module's tests: a start costs a second of CPU."""
    env = _environment("shared", redis_url, signing, worker_bin)
    node = NodeProcess(env, tmp_path_factory.mktemp("node") / "log", signing)
    yield node
    node.process.send_signal(signal.SIGINT)
    node.process.wait(5)


@pytest.fixture
async def node(shared_node: NodeProcess, redis: Redis) -> AsyncIterator[NodeProcess]:
    """A node with one worker, ready, and with no rooms; do not break it.

    Redis is flushed, as a meeting that another test placed elsewhere would be closed as stale.
    """
    await shared_node.wait_ready()
    yield shared_node
    await shared_node.answers(api.CloseRoom())
    await shared_node.http.close()


def _environment(name: str, redis_url: str, signing: Signing, worker_bin: str) -> dict[str, str]:
    return {
        "KCS_NODE__NAME": name,
        "KCS_NODE__WORKERS": "1",
        "KCS_NODE__WORKER_BIN": worker_bin,
        "KCS_REDIS__URL": redis_url,
        "KCS_TICKETS__JWKS": str(signing.jwks),
        "KCS_DRAIN__DEADLINE_SECONDS": "0",
    }


@pytest.fixture
async def placement(redis_url: str) -> AsyncIterator[Placement]:
    """Placement, as signaling has it."""
    client = connect(redis_url)
    placement = Placement(client)
    await placement.load()
    yield placement
    await placement.settle()
    await client.aclose()


@pytest.fixture(scope="session")
def vp8() -> dict[str, Any]:
    """What Chromium sends for a camera in three simulcast layers."""
    return {
        "mid": "1",
        "codecs": [
            {
                "mimeType": "video/VP8",
                "payloadType": 96,
                "clockRate": 90000,
                "parameters": {},
                "rtcpFeedback": [
                    {"type": "nack", "parameter": ""},
                    {"type": "nack", "parameter": "pli"},
                    {"type": "transport-cc", "parameter": ""},
                ],
            },
            {
                "mimeType": "video/rtx",
                "payloadType": 97,
                "clockRate": 90000,
                "parameters": {"apt": 96},
            },
        ],
        "headerExtensions": [
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4},
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": 5},
        ],
        "encodings": [
            {"rid": "r0", "scalabilityMode": "L1T3"},
            {"rid": "r1", "scalabilityMode": "L1T3"},
            {"rid": "r2", "scalabilityMode": "L1T3"},
        ],
        "rtcp": {"cname": "sender", "reducedSize": True},
    }


@pytest.fixture(scope="session")
def opus() -> dict[str, Any]:
    """What Chromium sends for a microphone."""
    return {
        "mid": "0",
        "codecs": [
            {
                "mimeType": "audio/opus",
                "payloadType": 111,
                "clockRate": 48000,
                "channels": 2,
                "parameters": {"minptime": 10, "useinbandfec": 1},
                "rtcpFeedback": [{"type": "transport-cc", "parameter": ""}],
            }
        ],
        "headerExtensions": [{"uri": "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "id": 10}],
        "encodings": [{"ssrc": 11111, "dtx": True}],
        "rtcp": {"cname": "sender", "reducedSize": True},
    }


@pytest.fixture(scope="session")
def dtls() -> dict[str, Any]:
    """A client's side of a DTLS handshake."""
    value = ":".join(["82"] * 32)
    return {"role": "client", "fingerprints": [{"algorithm": "sha-256", "value": value}]}


class People:
    """Participants with both transports, as signaling makes them."""

    def __init__(self, node: NodeProcess):
        self.node, self.capabilities = node, dict[str, Any]()

    async def join(self, *names: str, **where: Any) -> None:
        """Opens the room and gives each a send and a recv transport."""
        for name in names:
            opened, *_ = await self.node.answers(
                api.OpenRoom(),
                api.CreateTransport(participant_id=ParticipantId(name), direction="send"),
                api.CreateTransport(participant_id=ParticipantId(name), direction="recv"),
                **where,
            )
            self.capabilities = opened.rtp_capabilities

    async def produce(self, name: str, source: Source, rtp: dict[str, Any], **where: Any) -> str:
        """The id of a new producer."""
        op = api.Produce(participant_id=ParticipantId(name), source=source, rtp_parameters=rtp)
        (produced,) = await self.node.answers(op, **where)
        return str(produced.producer_id)

    def consume(self, name: str, producer_id: str) -> api.Consume:
        """The operation."""
        return api.Consume(
            participant_id=ParticipantId(name),
            producer_id=producer_id,
            rtp_capabilities=self.capabilities,
        )


@pytest.fixture
def people(node: NodeProcess) -> Iterator[People]:
    """People on the node."""
    return People(node)


@pytest.fixture
def people_on() -> Callable[[NodeProcess], People]:
    """People on a node that the test started itself."""
    return People


class OwnRedis:
    """A Redis that the test may stop and start again on the same port."""

    def __init__(self, port: int, home: Path):
        self.url = f"redis://127.0.0.1:{port}/0"
        self._port, self._home = port, home
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        with (self._home / "own-redis.log").open("ab") as log:
            self._server = subprocess.Popen([*command, "--dir", str(self._home)], stdout=log)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        pytest.fail("redis-server did not start")

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(10)
            self._server = None


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis of the test's own, running."""
    server = OwnRedis(free_port(), tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def start_inside(
    redis: Redis, redis_url: str, worker_bin: str, placement: Placement
) -> AsyncIterator[Callable[..., Any]]:
    """Starts nodes in this process: `await start_inside(workers=2)` names the node's settings."""
    async with AsyncExitStack() as stack:

        async def start(**node: Any) -> Inside:
            settings = Settings(
                tickets={"jwks": "unused"},
                node={"name": "inside", "workers": 1, "worker_bin": worker_bin, **node},
                redis={"url": redis_url},
            )
            return await stack.enter_async_context(running(settings, placement))

        yield start
