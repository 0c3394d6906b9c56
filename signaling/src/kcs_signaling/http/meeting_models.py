"""Meetings as REST takes and shows them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, StringConstraints

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.rooms import Role
from kcs_signaling.http.needs import RestServices
from kcs_signaling.ports import Meeting

NameText = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]
"""A name that people read: one line."""

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _plausible(moment: datetime) -> datetime:
    if not _FIRST <= moment <= _LAST:
        raise ValueError("must be between the years 2000 and 2200")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
"""ISO 8601 with an offset."""
DefaultRole = Literal[Role.CO_HOST, Role.PRESENTER, Role.ATTENDEE, Role.GUEST]
RegionText = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,63}$")]
Minutes = Annotated[int, Field(ge=1, le=7 * 24 * 60)]
MaxParticipants = Annotated[int, Field(ge=2, le=10_000)]
ExpectedParticipants = Annotated[int, Field(ge=0, le=10_000)]


class MeetingOptions(RoomSettings):
    """What holds in the meeting; names that a request leaves out stay as they are."""

    default_role: DefaultRole = Role.PRESENTER
    """What somebody is who joins by the plain link."""

    def said(self) -> JsonObject:
        """The `RoomSettings` that a request named, as they go on record."""
        return self.model_dump(exclude_unset=True, exclude={"default_role"})


class NewMeeting(Contract):
    """A meeting to make; every field may be left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {
                    "display_name": "Lab meeting",
                    "starts_at": "2030-01-15T09:00:00Z",
                    "duration_minutes": 60,
                    "expected_participants": 25,
                    "settings": {"default_role": "attendee", "require_host_approval": True},
                },
            ]
        }
    )

    display_name: NameText = "Meeting"
    starts_at: Moment | None = Field(None, description="ISO 8601 with an offset; left out: now.")
    duration_minutes: Minutes | None = None
    max_participants: MaxParticipants | None = Field(
        None, description="Left out: the installation's default."
    )
    expected_participants: ExpectedParticipants = Field(
        0, description="Room on a node is kept for so many."
    )
    region: RegionText | None = Field(
        None, description="Where most people are; left out: where the service is."
    )
    settings: MeetingOptions = MeetingOptions()


def _changes_schema(schema: dict[str, Any]) -> None:
    """What is left out stays as it is, so the model's own defaults mean nothing to clients."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["examples"] = [
        {"display_name": "Lab meeting, moved", "starts_at": "2030-01-16T09:00:00Z"},
        {"settings": {"default_role": "attendee", "locked": True, "idle_minutes": 60}},
    ]


class MeetingChanges(Contract):
    """What to change; a field that is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=_changes_schema)

    display_name: NameText = ""
    starts_at: Moment | None = Field(None, description="null: at any time.")
    duration_minutes: Minutes | None = Field(None, description="null: open end.")
    max_participants: MaxParticipants = 2
    expected_participants: ExpectedParticipants = 0
    region: RegionText = ""
    settings: MeetingOptions = MeetingOptions()

    def values(self) -> dict[str, Any]:
        """Fields of `ports.Meeting` that were said, with their values; of settings, the part."""
        said: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "starts_at" in said:
            said["starts_at"] = self.starts_at and self.starts_at.timestamp()
        if "settings" in said:
            del said["settings"]
            if "default_role" in self.settings.model_fields_set:
                said["default_role"] = self.settings.default_role
            if settings := self.settings.said():
                said["settings"] = settings
        return said


class MeetingView(Contract):
    """A meeting on record."""

    id: MeetingId = Field(examples=["k7f-x2mq-9tb"])
    display_name: str = Field(examples=["Lab meeting"])
    host_id: UserId = Field(examples=["ada"])
    max_participants: int = Field(examples=[200])
    expected_participants: int = Field(examples=[25])
    region: str = Field(examples=["eu-central"])
    settings: MeetingOptions = Field(
        examples=[{"default_role": "attendee"} | RoomSettings().model_dump()]
    )
    starts_at: datetime | None
    duration_minutes: int | None = Field(examples=[60])
    created_at: datetime
    ended_at: datetime | None = Field(description="null while it is not over.")
    join_url: str = Field(examples=["https://meet.example.org/m/k7f-x2mq-9tb"])


class CreatedMeeting(MeetingView):
    """A new meeting, with the host's way in."""

    meeting_token: str = Field(
        description="The host's, for this meeting alone.", examples=["eyJhbGciOiJFZERTQSJ9..."]
    )


def view_of(services: RestServices, meeting: Meeting) -> MeetingView:
    """The meeting as REST shows it."""
    return MeetingView(
        id=meeting.id,
        display_name=meeting.display_name,
        host_id=meeting.host_id,
        max_participants=meeting.max_participants,
        expected_participants=meeting.expected_participants,
        region=meeting.region,
        settings=MeetingOptions.model_validate(
            {"default_role": meeting.default_role, **meeting.room_settings.model_dump()}
        ),
        starts_at=time_of(meeting.starts_at),
        duration_minutes=meeting.duration_minutes,
        created_at=datetime.fromtimestamp(meeting.created_at, UTC),
        ended_at=time_of(meeting.ended_at),
        join_url=services.inviting.plain_link(meeting.id),
    )


def time_of(seconds: float | None) -> datetime | None:
    """A Unix time as JSON shows it; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
