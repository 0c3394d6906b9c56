"""Records as the rest of signaling holds them: one object per concern, over one database."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kcs_contracts.ids import MeetingId
from kcs_signaling.ports import Meeting
from kcs_signaling.records.accounts import Accounts
from kcs_signaling.records.audit import Audit
from kcs_signaling.records.chat import Chat
from kcs_signaling.records.database import Database, open_database
from kcs_signaling.records.invitations import Invitations
from kcs_signaling.records.meetings import Meetings
from kcs_signaling.records.migrate import migrate
from kcs_signaling.records.persons import Persons
from kcs_signaling.records.refresh_tokens import RefreshTokens
from kcs_signaling.records.sessions import Sessions
from kcs_signaling.records.stats import Stats

_KEPT_S = 2.0
_KEPT = 10_000


class Records:
    """All that is on record.

    Every method raises `Unavailable` when the database does not answer in time.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic):
        self.database, self._clock = database, clock
        self.accounts = Accounts(database)
        self.audit = Audit(database)
        self.chat = Chat(database)
        self.invitations = Invitations(database)
        self.meetings = Meetings(database)
        self.persons = Persons(database)
        self.refresh_tokens = RefreshTokens(database)
        self.sessions = Sessions(database)
        self.stats = Stats(database)
        self._kept: OrderedDict[MeetingId, tuple[Meeting, float]] = OrderedDict()

    async def meeting(self, meeting_id: MeetingId) -> Meeting | None:
        """The meeting, ended or not, as it was at most 2 s ago; None when there is none.

        That there is none is never kept: the next moment somebody makes it elsewhere.
        """
        meeting, until = self._kept.get(meeting_id, (None, 0.0))
        if meeting is not None and until > self._clock():
            return meeting
        read = await self.meetings.read(meeting_id)
        if read is None:
            self._kept.pop(meeting_id, None)
            return None
        return self._keep(read)

    async def ping(self) -> None:
        """Raises `Unavailable` unless the database answers."""
        await self.database.ping()

    def _keep(self, meeting: Meeting) -> Meeting:
        self._kept[meeting.id] = (meeting, self._clock() + _KEPT_S)
        self._kept.move_to_end(meeting.id)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return meeting


@asynccontextmanager
async def open_records(url: str) -> AsyncIterator[Records]:
    """The records at a SQLAlchemy URL, migrated; closes the database's connections at the end."""
    await migrate(url)
    async with open_database(url) as database:
        yield Records(database)
