"""People in meetings, whichever dialect they speak: for tests of what happens between them."""

from typing import Any

from tests.kcs_signaling.conftest import MakeClient
from tests.support.signaling import Client, Signaling

from kcs_contracts.protocol.camel import camel_object
from kcs_contracts.rooms import Role

JOIN = {"/meeting": "room:join", "/": "join-meeting"}
LEAVE = {"/meeting": "room:leave", "/": "leave-meeting"}
WAITING = {"/meeting": "room:waiting", "/": "waiting"}
LEFT = {"/meeting": ("participant:left", "user_id"), "/": ("participant-left", "participantId")}


def named(client: Client, meeting: str, **more: object) -> dict[str, object]:
    """A payload that names the meeting, in the client's spelling."""
    payload = {"meeting_id": meeting, **more}
    return camel_object(payload) if client.namespace == "/" else payload


async def join(client: Client, meeting: str) -> Any:
    """The answer to a join that works, or that makes the client wait."""
    return await client.get(JOIN[client.namespace], named(client, meeting))


async def refused_join(client: Client, meeting: str) -> str:
    """The code of one that does not."""
    return await client.refused(JOIN[client.namespace], named(client, meeting))


async def leave(client: Client, meeting: str) -> None:
    """Leaves."""
    await client.get(LEAVE[client.namespace], named(client, meeting))


async def connected(
    server: Signaling,
    clients: MakeClient,
    meeting: str,
    user: str,
    role: Role | None = None,
    namespace: str = "/meeting",
) -> Client:
    """Somebody's socket: by a meeting token for that role, or by their account alone."""
    token = None if role is None else server.invited(meeting, user, role)
    return await clients(server, namespace, user, token=token)


async def seated(
    server: Signaling,
    clients: MakeClient,
    meeting: str,
    user: str,
    role: Role | None = None,
    namespace: str = "/meeting",
) -> Client:
    """The same, in the meeting or its waiting room."""
    client = await connected(server, clients, meeting, user, role, namespace)
    await join(client, meeting)
    return client


def names(client: Client) -> list[str]:
    """The events that it has heard and nobody has asked for."""
    return [name for name, _ in client.heard]
