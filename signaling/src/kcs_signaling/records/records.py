"""Records as the rest of signaling holds them: one object per concern, over one database."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from kcs_contracts.ids import MeetingId
from kcs_signaling.ports import Meeting
from kcs_signaling.records.accounts import Accounts
from kcs_signaling.records.audit import Audit
from kcs_signaling.records.chat import Chat
from kcs_signaling.records.database import Database, open_database
from kcs_signaling.records.declarations import Declarations
from kcs_signaling.records.invitations import Invitations
from kcs_signaling.records.journal import Journal
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

    Every method raises `Unavailable` when the database does not answer in time; those of the
    journal wait for nothing.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic):
        self.database, self._clock = database, clock
        self.accounts = Accounts(database)
        self.audit = Audit(database)
        self.chat = Chat(database)
        self.invitations = Invitations(database)
        self.journal = Journal(database)
        self.meetings = Meetings(database)
        self.declarations = Declarations(database, self.meetings)
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

    async def changed_settings(
        self, meeting_id: MeetingId, changes: Mapping[str, object]
    ) -> Meeting | None:
        """The meeting with these of its settings changed; None when it is not on record or over."""
        while (meeting := await self.meetings.read(meeting_id)) and meeting.ended_at is None:
            settings = {**meeting.settings, **changes}
            changed = await self.meetings.change(meeting_id, meeting.version, settings=settings)
            if changed is not None:  # else somebody else changed it at the same moment
                return self._keep(changed)
        return None

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
    """The records at a SQLAlchemy URL, migrated, with their journal running.

    At the end the journal writes what waits (`Journal.flush`); then connections are closed.
    """
    await migrate(url)
    async with open_database(url) as database:
        records = Records(database)
        async with records.journal.running():
            yield records
