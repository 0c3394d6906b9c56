"""A real SMTP server on loopback that keeps what it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

REFUSED = "nobody@example.org"
USER, PASSWORD = "meetings", "open sesame"


class Mailbox:
    """The messages that the server took, as whoever gets them reads them."""

    def __init__(self) -> None:
        self.port = 0
        self.envelopes: list[Envelope] = []

    @property
    def messages(self) -> list[EmailMessage]:
        texts = [bytes(envelope.content or b"") for envelope in self.envelopes]
        read = [message_from_bytes(text, policy=policy.default) for text in texts]
        return cast("list[EmailMessage]", read)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        if address == REFUSED:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope
    ) -> str:
        self.envelopes.append(envelope)
        return "250 OK"


@asynccontextmanager
async def smtp_server(**options: Any) -> AsyncIterator[Mailbox]:
    """Runs until the end of the block, on a free port."""
    mailbox, loop = Mailbox(), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, hostname="mail.test", loop=loop, **options), "127.0.0.1", 0
    )
    try:
        mailbox.port = server.sockets[0].getsockname()[1]
        yield mailbox
    finally:
        server.close()


def only_meetings(
    _: SMTP, __: Session, ___: Envelope, ____: str, data: LoginPassword
) -> AuthResult:
    """An authenticator that knows one user."""
    known = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=known, handled=False)
