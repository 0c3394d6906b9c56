"""The SFU nodes' control API over HTTP: each call carries a ticket that signaling signs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from kcs_contracts.node_api import OPS_PATH, Operation, Operations, Refusal, Results
from kcs_contracts.rooms import Assignment
from kcs_contracts.tickets import TicketSigner
from kcs_signaling.ports import NodeRefused, NodeUnreachable

_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=1)


class NodeClient:
    """`NodeControl` by HTTP, with connections kept alive."""

    def __init__(self, session: aiohttp.ClientSession, signer: TicketSigner):
        self._session, self._signer = session, signer

    async def call(self, assignment: Assignment, ops: Sequence[Operation]) -> Results:
        """See `ports.NodeControl`."""
        url = assignment.control_url + OPS_PATH.format(meeting_id=assignment.meeting_id)
        headers = {
            "Authorization": f"Bearer {self._signer.ticket(assignment)}",
            "Content-Type": "application/json",
        }
        try:
            body = Operations(ops=tuple(ops)).model_dump_json()
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise NodeRefused("INVALID", "the parameters are no plain JSON") from error
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status, answer = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NodeUnreachable(f"node {assignment.node} does not answer") from error
        return _results(status, answer, len(ops))


def _results(status: int, answer: bytes, asked: int) -> Results:
    try:
        if status != 200:
            error = Refusal.model_validate_json(answer).error
            raise NodeRefused(error.code, error.message)
        results = Results.model_validate_json(answer)
    except ValidationError as error:
        raise NodeUnreachable(f"the node's answer ({status}) cannot be read") from error
    if len(results.results) != asked:
        raise NodeUnreachable(f"the node gave {len(results.results)} answers to {asked}")
    return results


@asynccontextmanager
async def open_node_client(signer: TicketSigner) -> AsyncIterator[NodeClient]:
    """A client with a connection pool of its own; closes it at the end."""
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=64, keepalive_timeout=30)
    # trust_env=False and no cookies: nodes are spoken to directly.
    session = aiohttp.ClientSession(
        connector=connector, timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
    )
    async with session:
        yield NodeClient(session, signer)
