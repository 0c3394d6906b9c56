"""Who may do what in a meeting, asked before a command reaches the room.

The table is `kcs_contracts.protocol.roles`; here stands what asks it, and what it says to people.
"""

from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.protocol.roles import HOSTS, Action, allows
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied, SignalingError, UnauthorizedRecording


def authorise(role: Role, action: Action, settings: RoomSettings) -> None:
    """Passes when the role allows the action.

    Raises:
        AccessDenied: it does not; UnauthorizedRecording for recording.
    """
    if allows(role, action, guest_chat=settings.guest_chat):
        return
    kind: type[SignalingError] = AccessDenied
    if action is Action.RECORD:
        kind = UnauthorizedRecording
    raise kind(f"a {role.value.replace('_', '-')} may not {action.value}")


def authorise_over(actor: Role, target: Role | None) -> None:
    """Passes unless a co-host acts on a host; None: somebody who has no role here.

    Raises:
        AccessDenied: only a host may.
    """
    if target is Role.HOST and actor is not Role.HOST:
        raise AccessDenied("only a host may do that to a host")


def may_unmute_self(role: Role, settings: RoomSettings) -> bool:
    """Whether whom a host muted may end that."""
    return settings.allow_unmute_self or allows(role, Action.UNMUTE_SELF)


def is_host(role: Role) -> bool:
    """Host or co-host."""
    return role in HOSTS
