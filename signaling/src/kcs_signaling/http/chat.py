"""The chat of a meeting over REST: read, exported, and messages deleted."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from time import time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from kcs_contracts.events import ChatDeleted
from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.limits import Limit as RateLimit
from kcs_contracts.models import Contract
from kcs_contracts.placement import MeetingIsOver
from kcs_contracts.protocol.chat import DELETE
from kcs_contracts.protocol.roles import Action, allows
from kcs_signaling.errors import AccessDenied, NotFound
from kcs_signaling.http.audit import note
from kcs_signaling.http.meeting_models import time_of
from kcs_signaling.http.needs import (
    Caller,
    ClientAddress,
    FoundMeeting,
    MeetingIdInPath,
    RestServices,
    Services,
)
from kcs_signaling.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from kcs_signaling.http.problems import documented, with_header
from kcs_signaling.http.standing import Insider, Standing
from kcs_signaling.identity import Identity
from kcs_signaling.records.chat import ChatMessage, may_see
from kcs_signaling.records.paging import MAX_LIMIT
from kcs_signaling.records.paging import Page as RecordsPage

EXPORTS = RateLimit(count=10, per_seconds=300)
"""Of chats, by one person: each reads a whole one."""

_DOWNLOAD = with_header("Content-Disposition", "A file name to keep it under.", "attachment")


class MessageView(Contract):
    """A chat message; a deleted one has no text."""

    id: str = Field(examples=["5d2c1f0e"])
    sender_id: UserId = Field(examples=["ada"])
    sender_name: str = Field(examples=["Ada Lovelace"])
    text: str = Field(examples=["Hello"])
    reply_to: str | None = Field(description="The id of another message.")
    recipient_type: Literal["all", "host", "private"]
    recipient_id: UserId | None = Field(description="With `private`.")
    at: datetime
    deleted_at: datetime | None


class ChatExport(Contract):
    """All messages of a meeting that somebody may see, the oldest first."""

    meeting_id: MeetingId = Field(examples=["k7f-x2mq-9tb"])
    exported_at: datetime
    messages: list[MessageView]


async def _chat_id(
    meeting: FoundMeeting, meeting_id: MeetingIdInPath, standing: Insider
) -> MeetingId:
    if meeting_id != meeting.id and not standing.is_host:
        raise AccessDenied("what was said in a breakout room is for the hosts of the meeting")
    return MeetingId(meeting_id)


ChatId = Annotated[MeetingId, Depends(_chat_id)]
"""Whose chat it is: the meeting in the path, or, for its hosts, one of its breakout rooms."""

router = APIRouter(prefix="/api/v1/meetings/{meeting_id}/chat", tags=["chat"])


@router.get("", responses=documented(401, 403, 404, 422, 429, 503))
async def read_chat(
    services: Services,
    caller: Caller,
    chat_id: ChatId,
    standing: Insider,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[MessageView]:
    """What was said to all, and to or by the caller, and, for hosts, to the hosts; newest first.

    Participants see what was said until they left last, and, where the meeting's `chat_history`
    is off, since they first came.

    A breakout room has a chat of its own, under the room's id: it is for the hosts of the meeting.
    """
    page = await services.records.chat.history(
        chat_id,
        caller.user_id,
        is_host=standing.is_host,
        since=standing.since,
        until=standing.until,
        after=cursor,
        limit=limit,
    )
    return page_of(_view, page)


@router.get(
    "/export",
    response_model=ChatExport,
    responses={200: _DOWNLOAD, **documented(401, 403, 404, 429, 503)},
)
async def export_chat(
    services: Services,
    caller: Caller,
    chat_id: ChatId,
    standing: Insider,
    address: ClientAddress,
) -> Response:
    """All that the caller may see of the chat, as one JSON file, the oldest first."""
    await services.limits.check("export_chat", EXPORTS, who=caller.user_id, address=address)
    first = await _page(services, caller, chat_id, standing, None)  # fails before it has begun
    name = f"chat-{chat_id.replace(':', '-')}.json"
    return StreamingResponse(
        _document(services, caller, chat_id, standing, first),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.delete("/{message_id}", status_code=204, responses=documented(401, 403, 404, 429, 503))
async def delete_message(
    services: Services,
    caller: Caller,
    chat_id: ChatId,
    standing: Insider,
    address: ClientAddress,
    message_id: Annotated[str, Path(description="A message's id.", examples=["5d2c1f0e"])],
) -> None:
    """Takes a message's text away for good: its author's right, and the hosts'; once the meeting
    is over, its author's and its host's.

    Asked again, it tells the meeting again: do so where the answer did not come.
    """
    who = f"{chat_id}/{caller.user_id}"
    await services.limits.check(DELETE.name, DELETE.limit, who=who, address=address)
    message = await services.records.chat.read(chat_id, message_id)
    if message is None or not _sees(standing, caller, message):
        raise NotFound("there is no such message")
    is_theirs = message.sender_id == caller.user_id
    if not is_theirs and not allows(standing.role, Action.MODERATE_CHAT):
        raise AccessDenied("only its author and the hosts may delete a message")
    is_new = await services.records.chat.delete(chat_id, message.id, at=time())
    if is_new and not is_theirs:
        await note(
            services,
            "chat.deleted",
            caller,
            meeting_id=chat_id,
            subject=message.sender_id,
            details={"message": message.id},
        )
    deleted = ChatDeleted(message_id=message.id, by=ParticipantId(caller.user_id))
    with suppress(MeetingIsOver):
        await services.placement.publish(chat_id, deleted)


def _sees(standing: Standing, caller: Identity, message: ChatMessage) -> bool:
    is_for_them = may_see(message, caller.user_id, is_host=standing.is_host)
    return is_for_them and standing.covers(message.at)


async def _page(
    services: RestServices,
    caller: Identity,
    chat_id: MeetingId,
    standing: Standing,
    after: str | None,
) -> RecordsPage[ChatMessage]:
    return await services.records.chat.history(
        chat_id,
        caller.user_id,
        is_host=standing.is_host,
        since=standing.since,
        until=standing.until,
        after=after,
        limit=MAX_LIMIT,
        newest_first=False,
    )


async def _document(
    services: RestServices,
    caller: Identity,
    chat_id: MeetingId,
    standing: Standing,
    page: RecordsPage[ChatMessage],
) -> AsyncIterator[str]:
    """A `ChatExport`, page by page: never more than one of them is in memory."""
    head = ChatExport(meeting_id=chat_id, exported_at=datetime.now(UTC), messages=[])
    yield head.model_dump_json().removesuffix("]}")
    comma = ""
    while True:
        for message in page.items:
            yield comma + _view(message).model_dump_json()
            comma = ","
        if page.next is None:
            break
        page = await _page(services, caller, chat_id, standing, page.next)
    yield "]}"


def _view(message: ChatMessage) -> MessageView:
    said = message.model_dump(exclude={"meeting_id", "at", "deleted_at"})
    at = datetime.fromtimestamp(message.at, UTC)
    return MessageView(**said, at=at, deleted_at=time_of(message.deleted_at))
