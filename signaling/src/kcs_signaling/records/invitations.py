"""Invitations on record: who asked whom into a meeting. The link's token is not kept."""

from typing import Annotated

from pydantic import StringConstraints
from sqlalchemy import RowMapping, insert, select, update

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role
from kcs_signaling.records.database import Database
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import InvitationRow


class Invitation(Contract):
    """Somebody asked into a meeting."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    meeting_id: MeetingId
    inviter_id: UserId
    email: Annotated[str, StringConstraints(max_length=254)]
    display_name: Annotated[str, StringConstraints(max_length=200)]
    role: Role
    created_at: float
    """Unix time, in s."""
    expires_at: float
    sent_at: float | None = None
    """When the mail server took it; None: it was not sent."""


class Invitations:
    """Invitations on record."""

    def __init__(self, database: Database):
        self._database = database

    async def add(self, invitation: Invitation) -> None:
        """Puts an invitation on record."""
        async with self._database.begin() as connection:
            await connection.execute(insert(InvitationRow).values(**invitation.model_dump()))

    async def sent(self, invitation_id: str, *, at: float) -> None:
        """The mail server took it."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(InvitationRow).where(InvitationRow.id == invitation_id).values(sent_at=at)
            )

    async def of_meeting(
        self, meeting_id: MeetingId, *, after: str | None = None, limit: int = 50
    ) -> Page[Invitation]:
        """The invitations to a meeting, oldest first."""
        query = select(InvitationRow.__table__).where(InvitationRow.meeting_id == meeting_id)
        keys = (InvitationRow.created_at, InvitationRow.id)
        async with self._database.begin() as connection:
            return await read_page(connection, query, keys, _invitation, after=after, limit=limit)


def _invitation(row: RowMapping) -> Invitation:
    return Invitation.model_validate(dict(row))
