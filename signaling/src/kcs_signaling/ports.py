"""What the room service needs from the outside, small enough to be read at a glance.

Placement and the bus come from `kcs_contracts.placement` as they are: they are ours, and every
test has a real Redis.
"""

from collections.abc import Sequence
from typing import Protocol

from pydantic import Field

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.node_api import Operation, Results
from kcs_contracts.rooms import Assignment, Role


class Meeting(Contract):
    """A meeting on record."""

    id: MeetingId
    display_name: str
    host_id: UserId
    max_participants: int
    expected_participants: int
    region: str
    default_role: Role
    """What somebody is who joins with an access token and is not the host."""
    starts_at: float | None
    """Unix time, in s."""
    duration_minutes: int | None
    created_at: float
    ended_at: float | None
    settings: JsonObject = Field(default_factory=dict)
    """What was said of its `RoomSettings`, as it is on record; `room_settings` is the whole."""
    version: int = 1
    """Grows with each change."""
    pool: str = ""
    """The SFUPool that takes it; empty: any."""

    @property
    def room_settings(self) -> RoomSettings:
        """What holds in it; what the record says and this version does not know is left out."""
        return RoomSettings.lenient(self.settings)


class MeetingRecords(Protocol):
    """Meetings on record (SQL)."""

    async def meeting(self, meeting_id: MeetingId) -> Meeting | None:
        """The meeting, ended or not; None when there is none of that id.

        May be some seconds old: ending is also told by placement.
        """


class NodeControl(Protocol):
    """The control plane of the SFU nodes."""

    async def call(self, assignment: Assignment, ops: Sequence[Operation]) -> Results:
        """Runs the operations on the meeting's home, in order.

        Raises:
            NodeRefused: the node refused the batch (`code` of `NodeError`).
            NodeUnreachable: no answer: refused, reset, or too late. They may have run.
        """


class NodeRefused(Exception):
    """The node refused the whole batch."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class NodeUnreachable(Exception):
    """The node does not answer."""
