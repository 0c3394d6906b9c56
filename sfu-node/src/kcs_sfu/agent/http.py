"""The control API over HTTP: one route that works, and what operators and probes read.

The working route reads and writes JSON with pydantic's own parser and skips FastAPI's request
model, which would parse a batch twice.
"""

from typing import Literal

import jwt
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from kcs_contracts.ids import BootId, MeetingId, NodeName
from kcs_contracts.models import Contract
from kcs_contracts.node_api import OPS_PATH, Operations, Refusal
from kcs_contracts.tickets import BadTicket, Ticket, TicketVerifier
from kcs_sfu.agent import operations
from kcs_sfu.agent.errors import BatchRefused
from kcs_sfu.agent.keys import KeyRing
from kcs_sfu.agent.metrics import Metrics
from kcs_sfu.agent.node import Node

MAX_BODY_BYTES = 256 * 1024
_TEXT = "text/plain; charset=utf-8"


class NodeStatus(Contract):
    """`GET /v1/node`: how the node is; nothing in it is secret."""

    node: NodeName
    boot: BootId
    state: Literal["starting", "ready", "lease_lost", "draining"]
    workers: int
    workers_alive: int
    worker_restarts: int
    rooms: int
    participants: int
    consumers: int


class ControlApi:
    """The application, and what its routes need."""

    def __init__(self, node: Node, keys: KeyRing, metrics: Metrics):
        self._node, self._keys, self._metrics = node, keys, metrics
        self._verifier = TicketVerifier(keys.keys, node.name, node.boot)
        app = FastAPI(title="KCS Meetings SFU node", openapi_url=None, docs_url=None)
        app.add_route(OPS_PATH, self._ops, methods=["POST"])
        app.add_route("/v1/node", self._status, methods=["GET"])
        app.add_route("/healthz", self._healthz, methods=["GET"])
        app.add_route("/readyz", self._readyz, methods=["GET"])
        app.add_route("/metrics", self._render_metrics, methods=["GET"])
        self.app = app

    async def _ops(self, request: Request) -> Response:
        try:
            meeting_id = MeetingId(request.path_params["meeting_id"])
            ticket = await self._ticket(request, meeting_id)
            ops = _parsed(await _body(request)).ops
            results = await operations.run(
                self._node, self._metrics, ticket.meeting_id, ticket.epoch, ops
            )
        except BatchRefused as refused:
            return _json(refused.status, Refusal(error=refused.error))
        return _json(200, results)

    async def _ticket(self, request: Request, meeting_id: MeetingId) -> Ticket:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise BatchRefused(401, "BAD_TICKET", "a ticket is needed: Authorization: Bearer")
        try:
            ticket = await self._verified(text)
        except BadTicket as error:
            raise BatchRefused(401, "BAD_TICKET", str(error)) from error
        if ticket.meeting_id != meeting_id:
            raise BatchRefused(401, "BAD_TICKET", "the ticket is for another meeting")
        return ticket

    async def _verified(self, text: str) -> Ticket:
        try:
            return self._verifier.verify(text)
        except BadTicket:
            kid = _kid(text)
            if kid in self._keys.keys or not await self._keys.look_again(kid):
                if not self._keys.keys:
                    raise BadTicket("the node does not have signaling's keys yet") from None
                raise
        return self._verifier.verify(text)

    async def _status(self, _: Request) -> Response:
        node, slots = self._node, self._node.pool.slots
        return _json(
            200,
            NodeStatus(
                node=node.name,
                boot=node.boot,
                state=self._state(),
                workers=len(slots),
                workers_alive=sum(slot.alive for slot in slots),
                worker_restarts=sum(slot.restarts for slot in slots),
                rooms=len(node.rooms),
                participants=sum(1 for _ in node.participants()),
                consumers=sum(slot.consumers for slot in slots),
            ),
        )

    def _state(self) -> Literal["starting", "ready", "lease_lost", "draining"]:
        node = self._node
        if node.leaving or node.lease.draining:
            return "draining"
        if not node.lease.acquired.is_set():
            return "starting"
        return "ready" if node.lease.held else "lease_lost"

    async def _healthz(self, _: Request) -> Response:
        return Response("ok\n", media_type=_TEXT)

    async def _readyz(self, _: Request) -> Response:
        missing = []
        if not all(slot.alive for slot in self._node.pool.slots):
            missing.append("a worker is down")
        if not self._node.lease.held:
            missing.append("the lease is not held: Redis does not answer")
        text = "; ".join(missing) or "ok"
        return Response(text + "\n", 503 if missing else 200, media_type=_TEXT)

    async def _render_metrics(self, _: Request) -> Response:
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4")


def _kid(ticket: str) -> str:
    try:
        return str(jwt.get_unverified_header(ticket).get("kid"))
    except jwt.InvalidTokenError:
        raise BadTicket("the ticket is malformed or forged") from None


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BatchRefused(413, "INVALID", f"the body is over {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _parsed(body: bytes) -> Operations:
    try:
        return Operations.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BatchRefused(422, "INVALID", f"{where}: {first['msg']}") from error


def _json(status: int, model: Contract) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")
