"""Adding people to a running meeting, as its hosts do: they come in without approval.

Mails go out by the outbox: a mail server that hangs holds up nobody's commands.

Whoever has an account comes in by that. A link with a token is made for guests alone: with one of
somebody else's, a co-host would sit in their place, be it the host's, and read what is theirs.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from kcs_contracts.ids import ParticipantId, UserId
from kcs_contracts.protocol.people import Invited
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied, NotFound
from kcs_signaling.ports import Meeting
from kcs_signaling.records.records import Records
from kcs_signaling.rooms.peer import Peer
from kcs_signaling.service.entry import main_of
from kcs_signaling.service.inviting import Inviting, Prepared
from kcs_signaling.service.outbox import Outbox
from kcs_signaling.service.people import People

_AT_ONCE = 10
_MAILED_WITHIN_S = 2.0
"""Longer nobody waits for the mail server; the answer then says that mails are on their way."""


class Adding:
    """`participant:add`."""

    def __init__(self, records: Records, inviting: Inviting, people: People, outbox: Outbox):
        self._records, self._inviting = records, inviting
        self._people, self._outbox = people, outbox

    async def add(
        self,
        peer: Peer,
        user_ids: Sequence[UserId],
        emails: Sequence[str],
        role: Role | None,
        address: str,
    ) -> list[Invited]:
        """A link for each, and mails to those who are named by their address.

        Who was removed before may come in again.

        Raises:
            AccessDenied: the role is host.
            RateLimited: too many mails; nobody was added.
        """
        if role is Role.HOST:
            raise AccessDenied("nobody is added as a host: change their role when they are in")
        seat = peer.seated()
        meeting = await self._records.meeting(main_of(seat.room.id) or seat.room.id)
        if meeting is None:
            raise NotFound("the meeting is not on record any more")
        for email in emails:
            await self._inviting.check_limits(meeting, email, address)
        welcome = tuple(ParticipantId(user_id) for user_id in user_ids)
        await self._people.welcome(peer, welcome, role, len(emails))
        link = self._inviting.plain_link(meeting.id)
        invited = [Invited(user_id=each, join_url=link, sent=False) for each in user_ids]
        return invited + await self._mail(peer, meeting, emails, role or meeting.default_role)

    async def _mail(
        self, peer: Peer, meeting: Meeting, emails: Sequence[str], role: Role
    ) -> list[Invited]:
        """All are invited when this returns; the mail server gets a moment of the peer's time."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def prepare(email: str) -> Prepared:
            async with turn:
                return await self._inviting.prepare(
                    meeting,
                    peer.identity,
                    email=email,
                    display_name=email.partition("@")[0][:80],
                    role=role,
                    admitted=True,
                )

        done = await asyncio.gather(*map(prepare, emails), return_exceptions=True)
        if errors := [each for each in done if isinstance(each, BaseException)]:
            raise errors[0]
        prepared = [each for each in done if not isinstance(each, BaseException)]
        mails = [self._outbox.send(each) for each in prepared]
        if mails:
            await asyncio.wait(mails, timeout=_MAILED_WITHIN_S)
        return [_invited(each, mail) for each, mail in zip(prepared, mails, strict=True)]


def _invited(prepared: Prepared, mail: "asyncio.Task[bool]") -> Invited:
    state: Literal["sent", "sending", "not_sent"] = "sending"
    if mail.done():
        state = "sent" if not mail.cancelled() and mail.result() else "not_sent"
    return Invited(
        email=prepared.record.email, join_url=prepared.link, sent=state == "sent", mail=state
    )
