"""A developer's view of a running system: tokens, meetings, and the nodes' own statistics."""

import aiohttp
from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.node_api import (
    OPS_PATH,
    GetStats,
    Operation,
    Operations,
    ParticipantStats,
    Results,
)
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Assignment, RoomSnapshot
from kcs_contracts.tickets import TicketSigner
from kcs_dev.stack import LocalStack
from kcs_signaling.keys import load_key
from kcs_signaling.tokens import Tokens


async def access_token(url: str, user_id: str, name: str) -> str:
    """An access token by the development login."""
    person = {"user_id": user_id, "user_name": name, "email": "", "campus_id": ""}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.post(f"{url}/api/v1/auth/token", json=person) as answer,
    ):
        return str((await answer.json())["access_token"])


async def new_meeting(url: str, host: str = "host", **fields: object) -> MeetingId:
    """A meeting of that host's."""
    bearer = {"Authorization": f"Bearer {await access_token(url, host, host.title())}"}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.post(f"{url}/api/v1/meetings", json=fields, headers=bearer) as answer,
    ):
        return MeetingId((await answer.json())["id"])


class Inspector:
    """Asks placement and the nodes directly, with signaling's key."""

    def __init__(self, stack: LocalStack):
        self._redis = Redis.from_url(stack.redis_url)
        self._placement = Placement(self._redis)
        key = load_key(stack.directory / "signing-key.pem")
        tokens = Tokens(key, issuer="kcs-dev", access_minutes=1, refresh_days=1)
        self._signer = TicketSigner(key, tokens.signer_kid)

    async def close(self) -> None:
        """Closes the connections to Redis."""
        await self._redis.aclose()

    async def snapshot(self, meeting_id: MeetingId) -> RoomSnapshot:
        """The meeting in placement."""
        return await self._placement.snapshot(meeting_id)

    async def home(self, meeting_id: MeetingId) -> Assignment:
        """Where the meeting lives now."""
        assignment = await self._placement.assignment(meeting_id)
        assert assignment, f"{meeting_id} has no home"
        return assignment

    async def operate(self, meeting_id: MeetingId, *ops: Operation) -> Results:
        """Runs operations on the meeting's home."""
        home = await self.home(meeting_id)
        path = OPS_PATH.format(meeting_id=meeting_id)
        headers = {"Authorization": f"Bearer {self._signer.ticket(home)}"}
        body = Operations(ops=ops).model_dump_json()
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.post(f"{home.control_url}{path}", data=body, headers=headers) as answer,
        ):
            return Results.model_validate_json(await answer.read())

    async def stats(self, meeting_id: MeetingId, participant: str) -> ParticipantStats:
        """mediasoup's statistics of all that the participant has."""
        op = GetStats(participant_id=ParticipantId(participant))
        answer = (await self.operate(meeting_id, op)).results[0].answer
        assert isinstance(answer, ParticipantStats)
        return answer
