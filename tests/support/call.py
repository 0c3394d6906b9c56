"""A meeting with people in it, as tests of several replicas and both dialects hold it."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.signaling import Client, Signaling

from kcs_contracts.events import ActiveSpeaker
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role

MakeClient = Callable[..., Awaitable[Client]]


class Call:
    """A meeting and the clients of its people, over one replica or two."""

    def __init__(self, clients: MakeClient, placement: Placement, meeting: str):
        self.id, self._clients, self._placement = meeting, clients, placement

    def named(self, **more: object) -> dict[str, object]:
        """A payload of `/meeting` about the main meeting."""
        return {"meeting_id": self.id, **more}

    async def enters(
        self, server: Signaling, user: str, namespace: str = "/meeting", role: Role | None = None
    ) -> Client:
        """Somebody joins the main meeting."""
        token = server.invited(self.id, user, role) if role else None
        client = await self._clients(server, namespace, user, token=token)
        if namespace == "/":
            await client.get("join-meeting", {"meetingId": self.id})
        else:
            await client.get("room:join", self.named())
        return client

    async def rooms(self, host: Client, count: int = 2, **more: object) -> list[str]:
        """Makes breakout rooms; their ids."""
        made = await host.get("breakout:create", self.named(count=count, **more))
        return [each["room_id"] for each in made["rooms"]]

    async def assigns(self, host: Client, **rooms: str | None) -> Any:
        """Says by hand who goes where."""
        wanted = [{"user_id": user, "room_id": room} for user, room in rooms.items()]
        return await host.get("breakout:assign", self.named(assignments=wanted))

    async def told_all(self, *clients: Client) -> None:
        """Waits until these, who are in the main meeting, have heard all that was told there."""
        await self._placement.publish(MeetingId(self.id), ActiveSpeaker(participant_id=None))
        for client in clients:
            await client.hears("speaker:active")


def heard(client: Client, event: str) -> list[Any]:
    """What of that name was heard and not asked for yet."""
    return [payload for name, payload in client.heard if name == event]


async def go(client: Client, room: str) -> Any:
    """Goes into a room of the same meeting, or back."""
    return await client.get("room:join", {"meeting_id": room})
