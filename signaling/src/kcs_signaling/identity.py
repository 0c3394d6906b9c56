"""Who is speaking: the claims of a verified token, as the rest of signaling sees them."""

from typing import Literal

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role


class Identity(Contract):
    """The person behind a token.

    An access token names no meeting: its bearer takes the meeting's default role, or host where
    the meeting is theirs. A meeting token is good for one meeting, in one role.
    """

    kind: Literal["access", "meeting"]
    user_id: UserId
    user_name: str
    email: str = ""
    campus_id: str = ""
    meeting_id: MeetingId | None = None
    role: Role | None = None
    admitted: bool = False
    """A host has added them: they pass the waiting room of that meeting."""
    issued_at: float
    """Unix time, in s."""
    expires_at: float
