"""Chat on record: what was said, and what of it a participant may see."""

from typing import Annotated, Literal

from pydantic import StringConstraints
from sqlalchemy import ColumnElement, RowMapping, and_, or_, select, update

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract
from kcs_signaling.records.database import Database, insert_of
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import ChatMessageRow


class ChatMessage(Contract):
    """A message in a meeting."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    meeting_id: MeetingId
    sender_id: UserId
    sender_name: str
    text: Annotated[str, StringConstraints(max_length=4000)]
    reply_to: str | None = None
    """The id of another message of the meeting."""
    recipient_type: Literal["all", "host", "private"] = "all"
    recipient_id: UserId | None = None
    """Of a private message."""
    at: float
    """Unix time, in s."""
    deleted_at: float | None = None
    """A deleted message has no text any more."""


class Chat:
    """Messages on record."""

    def __init__(self, database: Database):
        self._database = database

    async def add(self, message: ChatMessage) -> None:
        """Puts a message on record; a second time changes nothing."""
        async with self._database.begin() as connection:
            await connection.execute(
                insert_of(connection, ChatMessageRow)
                .values(message.model_dump())
                .on_conflict_do_nothing()
            )

    async def read(self, meeting_id: MeetingId, message_id: str) -> ChatMessage | None:
        """A message, deleted or not; None when the meeting has none of that id."""
        query = select(ChatMessageRow.__table__).where(
            ChatMessageRow.meeting_id == meeting_id, ChatMessageRow.id == message_id
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _message(row)

    async def any(self, meeting_id: MeetingId) -> bool:
        """Whether anything was ever said in the meeting, deleted or not."""
        query = select(ChatMessageRow.id).where(ChatMessageRow.meeting_id == meeting_id).limit(1)
        async with self._database.begin() as connection:
            return (await connection.execute(query)).first() is not None

    async def delete(self, meeting_id: MeetingId, message_id: str, *, at: float) -> bool:
        """Takes a message's text away for good; False when there is none, or it was deleted."""
        async with self._database.begin() as connection:
            result = await connection.execute(
                update(ChatMessageRow)
                .where(
                    ChatMessageRow.meeting_id == meeting_id,
                    ChatMessageRow.id == message_id,
                    ChatMessageRow.deleted_at.is_(None),
                )
                .values(text="", deleted_at=at)
            )
        return result.rowcount == 1

    async def history(
        self,
        meeting_id: MeetingId,
        viewer: UserId,
        *,
        is_host: bool,
        since: float | None = None,
        until: float | None = None,
        after: str | None = None,
        limit: int = 50,
        newest_first: bool = True,
    ) -> Page[ChatMessage]:
        """What the viewer may see, newest first unless asked otherwise.

        That is: what went to all, what they wrote, what was written to them, and, where they are
        a host, what was written to the hosts.

        Args:
            since, until: of that time alone, both included; Unix times in s.
        """
        query = select(ChatMessageRow.__table__).where(
            ChatMessageRow.meeting_id == meeting_id,
            _visible_to(viewer, is_host),
            *([ChatMessageRow.at >= since] if since is not None else []),
            *([ChatMessageRow.at <= until] if until is not None else []),
        )
        keys = (ChatMessageRow.at, ChatMessageRow.id)
        async with self._database.begin() as connection:
            return await read_page(
                connection,
                query,
                keys,
                _message,
                after=after,
                limit=limit,
                newest_first=newest_first,
            )


def may_see(message: ChatMessage, viewer: UserId, *, is_host: bool) -> bool:
    """Whether a message is in the viewer's history; the rule of `Chat.history`."""
    if viewer == message.sender_id or message.recipient_type == "all":
        return True
    if message.recipient_type == "host":
        return is_host
    return viewer == message.recipient_id


def _visible_to(viewer: UserId, is_host: bool) -> ColumnElement[bool]:
    return or_(
        ChatMessageRow.recipient_type == "all",
        ChatMessageRow.sender_id == viewer,
        and_(ChatMessageRow.recipient_type == "private", ChatMessageRow.recipient_id == viewer),
        *([ChatMessageRow.recipient_type == "host"] if is_host else []),
    )


def _message(row: RowMapping) -> ChatMessage:
    return ChatMessage.model_validate(dict(row))
