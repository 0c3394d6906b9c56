"""Who may do what in a meeting: one table, role x action, asked before a command reaches the room.

The roles are the architecture guide's ("Role-Based Access Control"); a guest only views.
"""

from enum import StrEnum

from kcs_contracts.rooms import Role, Source
from kcs_signaling.errors import AccessDenied


class Action(StrEnum):
    """Something that a role allows or not; the words stand in the error that refuses it."""

    RECEIVE = "receive media"
    SEND_AUDIO = "send audio"
    SEND_VIDEO = "send video"
    SHARE_SCREEN = "share a screen"


_VIEW = frozenset({Action.RECEIVE})
_TALK = _VIEW | {Action.SEND_AUDIO, Action.SEND_VIDEO}
_PRESENT = _TALK | {Action.SHARE_SCREEN}

ALLOWED: dict[Role, frozenset[Action]] = {
    Role.HOST: _PRESENT,
    Role.CO_HOST: _PRESENT,
    Role.PRESENTER: _PRESENT,
    Role.ATTENDEE: _TALK,
    Role.GUEST: _VIEW,
}

SENDING: dict[Source, Action] = {
    Source.MIC: Action.SEND_AUDIO,
    Source.CAMERA: Action.SEND_VIDEO,
    Source.SCREEN: Action.SHARE_SCREEN,
    Source.SCREEN_AUDIO: Action.SHARE_SCREEN,
}
"""The action that sending from a source is."""


def authorise(role: Role, action: Action) -> None:
    """Passes when the role allows the action.

    Raises:
        AccessDenied: it does not.
    """
    if action not in ALLOWED[role]:
        raise AccessDenied(f"a {role.value.replace('_', '-')} may not {action.value}")
