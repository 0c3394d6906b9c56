"""What a caller was or is in a meeting: for what participants may see over REST, each their own.

The host sees everything at any time. Others must have been let in: a link alone, or a place in
the waiting room, shows nothing. They see what a participant saw: until they left last, and, where
the meeting keeps its history from newcomers, from when they first came. Whoever was removed sees
nothing while the meeting runs. Co-hosts see and do what hosts do until it is over.
"""

from typing import Annotated

from fastapi import Depends

from kcs_contracts.models import Contract
from kcs_contracts.placement import Known
from kcs_contracts.protocol.roles import HOSTS
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied
from kcs_signaling.http.needs import Caller, FoundMeeting, KnownThere, Services, is_host
from kcs_signaling.identity import Identity
from kcs_signaling.ports import Meeting


class Standing(Contract):
    """Somebody who may see what participants see."""

    role: Role
    """Now, or when they would come back; once it is over, none of `HOSTS` but for its host."""
    since: float | None = None
    """They see nothing from before: Unix time, in s; None: all of it."""
    until: float | None = None
    """They see nothing from after it; None: all of it."""

    @property
    def is_host(self) -> bool:
        """Whether what is for the hosts is for them."""
        return self.role in HOSTS

    def covers(self, at: float) -> bool:
        """Whether they see what was at that time."""
        return (self.since is None or self.since <= at) and (self.until is None or at <= self.until)


async def _standing(
    services: Services, caller: Caller, meeting: FoundMeeting, known: KnownThere
) -> Standing:
    if caller.user_id == meeting.host_id and is_host(caller, meeting):
        return Standing(role=Role.HOST)
    there, role = known.there if known else None, _role(caller, meeting, known)
    stay = await services.records.sessions.stay(meeting.id, caller.user_id)
    if stay is None and there is None:
        raise AccessDenied("only people who are or were in the meeting may see this")
    came = [stay.since] if stay else []
    came += [there.joined_at_ms / 1000] if there else []
    return Standing(
        role=role,
        since=None if role in HOSTS or meeting.room_settings.chat_history else min(came),
        until=stay.until if stay and there is None else None,
    )


Insider = Annotated[Standing, Depends(_standing)]
"""What the caller is in the meeting of the path; 403 for whoever never was in it."""


def _role(caller: Identity, meeting: Meeting, known: Known | None) -> Role:
    """The role that the caller has in the meeting, or has when they come back.

    What the meeting says stands above the token. One that is over says nothing any more: a
    co-host may have been demoted or removed there, so nobody leads it but whose it was.
    """
    role = caller.role or meeting.default_role
    if known is not None:
        return known.there.role if known.there else known.given or role
    return Role.PRESENTER if role in HOSTS else role
