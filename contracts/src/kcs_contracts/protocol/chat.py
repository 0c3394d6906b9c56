"""Chat and reactions. A message is on record before it is acknowledged."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from kcs_contracts.ids import MeetingId, MeetingIdText, ParticipantId, ParticipantIdText
from kcs_contracts.protocol.declare import (
    CONTROL,
    ClientEvent,
    Payload,
    ServerEvent,
    per_minute,
    per_second,
)
from kcs_contracts.protocol.roles import Action
from kcs_contracts.protocol.views import Message

MAX_MESSAGE = 4000
Emoji = Literal["👍", "❤️", "😂", "😮", "😢", "👏", "🎉", "🤔", "👎", "🔥"]
"""The client guide's list."""


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("no NUL character")  # PostgreSQL takes none
    return text


MessageText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_MESSAGE, strip_whitespace=True),
    AfterValidator(_storable),
]
MessageIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
RecipientType = Literal["all", "private", "host"]
"""`host` reaches hosts and co-hosts."""


class Send(Payload):
    meeting_id: MeetingIdText
    message: MessageText
    reply_to: MessageIdText | None = None
    recipient_type: RecipientType = "all"
    recipient_id: ParticipantIdText | None = None
    """Needed with `private`, and only with it."""

    @model_validator(mode="after")
    def _whom(self) -> Self:
        if (self.recipient_type == "private") != (self.recipient_id is not None):
            raise ValueError("recipient_id goes with recipient_type private, and only with it")
        return self


class Typing(Payload):
    meeting_id: MeetingIdText
    is_typing: bool


class TypingIs(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    is_typing: bool


class History(Payload):
    meeting_id: MeetingIdText
    before: Annotated[str, StringConstraints(max_length=200)] | None = None
    """`next` of an earlier answer."""
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class Messages(TypedDict):
    meeting_id: MeetingId
    messages: list[Message]
    """The newest first."""
    next: str | None


class Delete(Payload):
    meeting_id: MeetingIdText
    message_id: MessageIdText


class DeletedIs(TypedDict):
    meeting_id: MeetingId
    message_id: str


class React(Payload):
    meeting_id: MeetingIdText
    emoji: Emoji


class Reaction(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    display_name: str
    emoji: str
    timestamp: str


SEND = ClientEvent(
    "chat:send",
    Send,
    Message,
    "Says something to all, to one, or to the hosts.",
    per_minute(10),
    Action.CHAT,
    errors=("NOT_FOUND",),
    guide="architecture",
)
TYPING = ClientEvent(
    "chat:typing",
    Typing,
    TypingIs,
    "Says that you are writing, or no longer.",
    per_second(1),
    Action.CHAT,
    guide="architecture",
)
HISTORY = ClientEvent(
    "chat:history",
    History,
    Messages,
    "What was said, as far as you may see it; from before you joined if `chat_history` is on.",
    per_minute(60),
    Action.READ_CHAT,
)
DELETE = ClientEvent(
    "chat:delete",
    Delete,
    DeletedIs,
    "Takes a message's text away for good: your own, or, for hosts, anybody's.",
    CONTROL,
    Action.READ_CHAT,
    errors=("NOT_FOUND",),
)
REACT = ClientEvent(
    "reaction:send",
    React,
    Reaction,
    "Shows an emoji.",
    per_second(3),
    Action.REACT,
    guide="architecture",
)

CLIENT_EVENTS = (SEND, TYPING, HISTORY, DELETE, REACT)

SERVER_EVENTS = (
    ServerEvent(
        "chat:message",
        Message,
        "Something was said; you too hear what you said.",
        "all",
        "architecture",
    ),
    ServerEvent("chat:typing", TypingIs, "Somebody is writing.", "others", "architecture"),
    ServerEvent("chat:deleted", DeletedIs, "A message is gone."),
    ServerEvent("reaction:received", Reaction, "A reaction.", "all", "architecture"),
)
