"""Who may do what in a meeting: one table, role x action.

The roles are the architecture guide's ("Role-Based Access Control"): a co-host does all that a
host does but end the meeting, a guest only views, and chats where the meeting's settings say so;
so it is with attendees who unmute themselves after a host has muted them.
"""

from enum import StrEnum

from kcs_contracts.rooms import Role, Source


class Action(StrEnum):
    """Something that a role allows or not; the words stand in the error that refuses it."""

    RECEIVE = "receive media"
    SEND_AUDIO = "send audio"
    SEND_VIDEO = "send video"
    SHARE_SCREEN = "share a screen"
    UNMUTE_SELF = "unmute oneself"
    CHAT = "write in the chat"
    READ_CHAT = "read the chat"
    REACT = "send reactions"
    RAISE_HAND = "raise a hand"
    ARRANGE = "arrange one's own view"
    REPORT = "report statistics"
    ARRANGE_FOR_ALL = "arrange everybody's view"
    SEE_STATS = "see everybody's statistics"
    MUTE_OTHERS = "mute others"
    LOWER_HANDS = "lower others' hands"
    REMOVE = "remove people"
    CHANGE_ROLES = "change roles"
    ADD_PEOPLE = "add people"
    ADMIT = "let people in from the waiting room"
    LOCK = "lock the meeting"
    CHANGE_SETTINGS = "change the meeting's settings"
    MODERATE_CHAT = "delete others' messages"
    RUN_BREAKOUTS = "run breakout rooms"
    RECORD = "control recording"
    STREAM = "control live streaming"
    END = "end the meeting for all"


_VIEW = frozenset({Action.RECEIVE, Action.READ_CHAT, Action.ARRANGE, Action.REPORT})
_TALK = _VIEW | {
    Action.SEND_AUDIO,
    Action.SEND_VIDEO,
    Action.CHAT,
    Action.REACT,
    Action.RAISE_HAND,
}
_PRESENT = _TALK | {Action.SHARE_SCREEN, Action.UNMUTE_SELF}
_HOST = frozenset(Action)

ALLOWED: dict[Role, frozenset[Action]] = {
    Role.HOST: _HOST,
    Role.CO_HOST: _HOST - {Action.END},
    Role.PRESENTER: _PRESENT,
    Role.ATTENDEE: _TALK,
    Role.GUEST: _VIEW,
}

GUESTS_WHO_CHAT = frozenset({Action.CHAT})
"""What the setting `guest_chat` adds for guests."""

HOSTS = (Role.HOST, Role.CO_HOST)

SENDING: dict[Source, Action] = {
    Source.MIC: Action.SEND_AUDIO,
    Source.CAMERA: Action.SEND_VIDEO,
    Source.SCREEN: Action.SHARE_SCREEN,
    Source.SCREEN_AUDIO: Action.SHARE_SCREEN,
}
"""The action that sending from a source is."""


def senders(source: Source) -> tuple[Role, ...]:
    """The roles that may send from it."""
    return tuple(role for role in Role if allows(role, SENDING[source]))


def allows(role: Role, action: Action, *, guest_chat: bool = False) -> bool:
    """Whether the role may; `guest_chat` is the meeting's setting."""
    if action in ALLOWED[role]:
        return True
    return role is Role.GUEST and guest_chat and action in GUESTS_WHO_CHAT
