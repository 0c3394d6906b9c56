"""What the operator asks of signaling: to register, list and end declared meetings.

Spoken inside the cluster alone, with a key that both have; the ingress routes none of it.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, SecretStr, StringConstraints, field_serializer

from kcs_contracts.ids import MeetingId, UserIdText
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.models import Contract

MEETINGS_PATH = "/internal/v1/meetings"
MAX_PAGE = 200

Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class Registration(Contract):
    """A declared meeting as it should be; the same again changes nothing."""

    namespace: Namespace
    """Where it is declared: only that namespace's operator changes or ends it."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    """The object's name."""
    display_name: Annotated[
        str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    ]
    host_id: UserIdText
    starts_at: AwareDatetime | None = None
    duration_minutes: int | None = Field(default=None, ge=1, le=7 * 24 * 60)
    max_participants: int = Field(ge=2, le=10_000)
    expected_participants: int = Field(ge=0, le=10_000)
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,63}$")] = ""
    pool: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,63}$")] = ""
    """The pool that takes it; empty: any."""
    settings: RoomSettings = RoomSettings()
    """What is left out stays as it is; what is as it was said before, too: hosts may have changed
    it meanwhile."""


class Registered(Contract):
    """A declared meeting on record, with the host's way in."""

    id: MeetingId
    created: bool
    """It was not on record before."""
    ended_at: datetime | None
    """It is over, and stays so."""
    join_url: str
    host_token: SecretStr
    """A meeting token of the host's."""
    host_url: SecretStr
    """The link that holds it."""
    host_token_expires_at: datetime

    @field_serializer("host_token", "host_url", when_used="json")
    def _told(self, value: SecretStr) -> str:
        return value.get_secret_value()


class DeclaredMeeting(Contract):
    """A declared meeting that was not ended by its operator."""

    id: MeetingId
    name: str
    ended_at: datetime | None
    """When it ended by its host or for want of people."""
    join_url: str = ""
    """Where people come in now; an older signaling does not say."""


class DeclaredPage(Contract):
    """A part of the list."""

    items: tuple[DeclaredMeeting, ...]
    next: str | None
