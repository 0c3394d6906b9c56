"""FakeNode: an SFU node's control API without media, for tests of signaling.

It speaks `node_api` over HTTP with real tickets and holds a real lease; transports, producers and
consumers are ids that belong to participants. `calls` is what it was asked.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from redis.exceptions import RedisError

from kcs_contracts import node_api as api
from kcs_contracts.ids import (
    BootId,
    ConsumerId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
    TransportId,
)
from kcs_contracts.models import Contract
from kcs_contracts.placement import Hosted, NodeLease, Placement
from kcs_contracts.rooms import Source
from kcs_contracts.tickets import BadTicket, TicketVerifier

CAPABILITIES = {"codecs": [{"kind": "audio", "mimeType": "audio/opus"}], "headerExtensions": []}
LEASE_MS = 60_000


class Media:
    """What one participant has."""

    def __init__(self) -> None:
        self.transports: dict[str, api.Direction] = {}
        self.producers: dict[str, Source] = {}
        self.paused: set[str] = set()
        self.consumers: dict[str, str] = {}
        self.flowing: set[str] = set()
        """Consumers that are not paused."""


class Hosting:
    """One room."""

    def __init__(self, epoch: Epoch) -> None:
        self.epoch, self.generation = epoch, Generation(0)
        self.media: defaultdict[ParticipantId, Media] = defaultdict(Media)
        self.muted: set[tuple[ParticipantId, Source]] = set()


class FakeNode:
    """Use it as `async with FakeNode(placement, keys)`: it listens and holds its lease."""

    def __init__(self, placement: Placement, keys: dict[str, Ed25519PublicKey], name: str):
        self.name, self.boot = NodeName(name), BootId(uuid.uuid4().hex)
        self.calls: list[tuple[MeetingId, api.Operation]] = []
        self.rooms: dict[MeetingId, Hosting] = {}
        self.epochs: defaultdict[MeetingId, set[Epoch]] = defaultdict(set)
        """Each meeting's, as the tickets named them so far."""
        self.before: Callable[[api.Operation], Any] = lambda op: None
        """May raise, or answer a coroutine that is awaited."""
        self.capabilities: dict[str, Any] = CAPABILITIES
        self._placement = placement
        self._verifier = TicketVerifier(keys, self.name, self.boot)
        self._url = ""
        self._runner: web.AppRunner | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "FakeNode":
        app = web.Application()
        app.router.add_post(api.OPS_PATH, self._ops)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        await self.renew()
        self._renewing = asyncio.create_task(self._keep_renewing())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()
        await self._placement.release(self.name, self.boot)

    async def die(self) -> None:
        """Does not answer any more, and does not renew."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        await self.fall_silent()

    async def fall_silent(self) -> None:
        """Does not answer any more, and holds its lease all the same."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def renew(self, lease_ms: int = LEASE_MS) -> None:
        """Holds the lease, and tells what is hosted."""
        lease = NodeLease(
            node=self.name,
            boot=self.boot,
            control_url=self._url,
            consumer_capacity=100_000,
            lease_ms=lease_ms,
        )
        hosted = [
            Hosted(meeting_id=meeting, epoch=room.epoch, generation=room.generation)
            for meeting, room in self.rooms.items()
        ]
        await self._placement.renew(lease, hosted)

    def media(self, meeting_id: str, participant_id: str) -> Media:
        """What the participant has here."""
        return self.rooms[MeetingId(meeting_id)].media[ParticipantId(participant_id)]

    async def lose_media(self, meeting_id: str) -> None:
        """As when the room's worker dies and is rebuilt."""
        room = self.rooms[MeetingId(meeting_id)]
        room.media.clear()
        room.generation = Generation(room.generation + 1)
        await self._placement.reset_media(
            MeetingId(meeting_id), self.name, room.epoch, room.generation
        )

    def asked(self, kind: type[Contract]) -> list[Any]:
        """The operations of that kind so far."""
        return [op for _, op in self.calls if isinstance(op, kind)]

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(0.3)
            try:
                await self.renew()
            except (RedisError, OSError):
                continue

    async def _ops(self, request: web.Request) -> web.Response:
        meeting = MeetingId(request.match_info["meeting_id"])
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            ticket = self._verifier.verify(bearer)
        except BadTicket as error:
            return _refused(401, "BAD_TICKET", str(error))
        if ticket.meeting_id != meeting:
            return _refused(401, "BAD_TICKET", "for another meeting")
        self.epochs[meeting].add(ticket.epoch)
        room = self.rooms.get(meeting)
        if room is not None and ticket.epoch < room.epoch:
            return _refused(409, "STALE_EPOCH", "the meeting has a higher epoch here")
        batch = api.Operations.model_validate_json(await request.read())
        results = [await self._one(meeting, ticket.epoch, op) for op in batch.ops]
        generation = self.rooms[meeting].generation if meeting in self.rooms else Generation(0)
        answer = api.Results(generation=generation, results=tuple(results))
        return web.Response(text=answer.model_dump_json(), content_type="application/json")

    async def _one(self, meeting: MeetingId, epoch: Epoch, op: api.Operation) -> api.Result:
        self.calls.append((meeting, op))
        waiting = self.before(op)
        if waiting is not None:
            await waiting
        if isinstance(op, api.OpenRoom):
            if meeting not in self.rooms or self.rooms[meeting].epoch != epoch:
                self.rooms[meeting] = Hosting(epoch)
            return api.Result(answer=api.RoomOpened(rtp_capabilities=self.capabilities))
        if isinstance(op, api.SetDebug):
            return api.Result(answer=api.Done())
        if isinstance(op, api.CloseParticipant) and meeting not in self.rooms:
            return api.Result(answer=api.Done())
        if isinstance(op, api.CloseRoom):
            self.rooms.pop(meeting, None)
            return api.Result(answer=api.Done())
        if meeting not in self.rooms:
            return _error("NOT_FOUND")
        try:
            return api.Result(answer=self._do(self.rooms[meeting], op))
        except KeyError:
            return _error("NOT_FOUND")
        except PermissionError:
            return _error("MUTED")

    def _do(self, hosting: Hosting, op: api.Operation) -> api.Answer:
        room = hosting.media
        mine = room[getattr(op, "participant_id", ParticipantId(""))]
        match op:
            case api.SetMuted():
                self._mute(hosting, mine, op)
            case api.CreateTransport(direction=direction):
                mine.transports = {k: v for k, v in mine.transports.items() if v != direction}
                new = str(uuid.uuid4())
                mine.transports[new] = direction
                if direction == "send":
                    mine.producers.clear()
                return api.TransportCreated(
                    transport_id=TransportId(new),
                    direction=direction,
                    ice_parameters={"usernameFragment": "u", "password": "p"},
                    ice_candidates=({"foundation": "udp"},),
                    dtls_parameters={"role": "auto", "fingerprints": []},
                )
            case api.ConnectTransport(transport_id=which):
                mine.transports[which]
            case api.RestartIce(transport_id=which):
                mine.transports[which]
                return api.IceRestarted(ice_parameters={"usernameFragment": "n", "password": "q"})
            case api.Produce(transport_id=which, source=source):
                if which is None:
                    which = next((k for k, v in mine.transports.items() if v == "send"), "")
                if mine.transports[which] != "send":
                    raise KeyError(which)
                new = str(uuid.uuid4())
                mine.producers[new] = source
                if op.paused or (op.participant_id, source) in hosting.muted:
                    mine.paused.add(new)
                return api.Produced(
                    producer_id=ProducerId(new), source=source, paused=new in mine.paused
                )
            case api.CloseProducer(producer_id=which):
                del mine.producers[which]
            case api.PauseProducer(producer_id=which):
                mine.producers[which]
                mine.paused.add(which)
            case api.ResumeProducer(producer_id=which):
                if (op.participant_id, mine.producers[which]) in hosting.muted:
                    raise PermissionError
                mine.paused.discard(which)
            case api.Consume():
                return self._consume(room, mine, op)
            case api.CloseConsumer(consumer_id=which):
                del mine.consumers[which]
                mine.flowing.discard(which)
            case api.PauseConsumer(consumer_id=which):
                mine.consumers[which]
                mine.flowing.discard(which)
            case api.ResumeConsumer(consumer_id=which):
                mine.consumers[which]
                mine.flowing.add(which)
            case api.SetPreferredLayers(producer_id=which):
                if which not in mine.consumers.values():
                    raise KeyError(which)
            case api.CloseParticipant(participant_id=who):
                room.pop(who, None)
                hosting.muted = {(one, source) for one, source in hosting.muted if one != who}
        return api.Done()

    def _mute(self, hosting: Hosting, mine: Media, op: api.SetMuted) -> None:
        source = Source.MIC if op.kind == "audio" else Source.CAMERA
        if op.muted:
            hosting.muted.add((op.participant_id, source))
            mine.paused |= {which for which, one in mine.producers.items() if one is source}
        else:
            hosting.muted.discard((op.participant_id, source))

    def _consume(
        self, room: defaultdict[ParticipantId, Media], mine: Media, op: api.Consume
    ) -> api.Consumed:
        which = op.producer_id
        sender = next((m for m in list(room.values()) if which in m.producers), None)
        if sender is None or "recv" not in mine.transports.values():
            raise KeyError(which)
        kind = sender.producers[which].kind
        new = str(uuid.uuid4())
        mine.consumers[new] = which
        if not op.paused:
            mine.flowing.add(new)
        return api.Consumed(
            consumer_id=ConsumerId(new),
            producer_id=ProducerId(which),
            kind=kind,
            type="simulcast" if kind == "video" else "simple",
            rtp_parameters={"codecs": [], "encodings": []},
            producer_paused=which in sender.paused,
        )


def _error(code: api.NodeErrorCode) -> api.Result:
    return api.Result(error=api.NodeError(code=code, message=code))


def _refused(status: int, code: api.NodeErrorCode, message: str) -> web.Response:
    refusal = api.Refusal(error=api.NodeError(code=code, message=message))
    return web.Response(status=status, text=refusal.model_dump_json())
