"""Mails on their way: invitations that are on record go out here, in nobody's turn.

A mail that a replica has not handed over when it ends is not sent; its invitation says so.
"""

import asyncio

import structlog

from kcs_signaling.service.inviting import Inviting, Prepared

_log = structlog.get_logger()
_AT_ONCE = 10
_MAX_WAITING = 1000
"""More are not sent: the mail server takes none, or far fewer than people write."""
_CLOSED_WITHIN_S = 2.0


class Outbox:
    """The mails of one replica; whoever opens it closes it."""

    def __init__(self, inviting: Inviting):
        self._inviting = inviting
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._mails: set[asyncio.Task[bool]] = set()

    def send(self, prepared: Prepared) -> "asyncio.Task[bool]":
        """Begins to send; the task says whether the mail server took it, and never raises."""
        room = len(self._mails) < _MAX_WAITING
        mail = asyncio.create_task(self._send(prepared) if room else _refused(prepared))
        self._mails.add(mail)
        mail.add_done_callback(self._mails.discard)
        return mail

    async def close(self) -> None:
        """Waits a moment for the mails on their way, and gives the others up."""
        mails = list(self._mails)
        if mails:
            await asyncio.wait(mails, timeout=_CLOSED_WITHIN_S)
        for mail in mails:
            mail.cancel()
        await asyncio.gather(*mails, return_exceptions=True)

    async def _send(self, prepared: Prepared) -> bool:
        async with self._turn:
            try:
                made = await self._inviting.deliver(prepared)
            except Exception:
                _log.exception("mail_failed", meeting_id=prepared.meeting.id)
                return False
        return made.not_sent_because is None


async def _refused(prepared: Prepared) -> bool:
    _log.warning("mail_not_sent", meeting_id=prepared.meeting.id, reason="too many mails wait")
    return False
