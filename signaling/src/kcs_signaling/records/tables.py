"""The tables. Times are Unix times in s, as on the wire.

A change here comes with a migration (`migrations/versions`), and a new column with its line in
`persons.py`, which says whether it tells of a person; tests fail without either.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Double, Index, Integer, String, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class Words(TypeDecorator[str]):
    """Any text that a client may send: what PostgreSQL cannot hold is shown as a substitute."""

    impl = String
    cache_ok = True
    python_type = str

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kept(value)

    @staticmethod
    def kept(value: str) -> str:
        """As it is read back."""
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


_Serial = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself in INTEGER alone."""


class Base(DeclarativeBase):
    """All tables: `Base.metadata`."""


class MeetingRow(Base):
    """A meeting, kept after its end."""

    __tablename__ = "meetings"
    __table_args__ = (Index("ix_meetings_of_host", "host_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    display_name: Mapped[str] = mapped_column(Words(200))
    host_id: Mapped[str] = mapped_column(Words(64))
    """Empty when the host was erased: nobody is the host any more."""
    max_participants: Mapped[int]
    expected_participants: Mapped[int]
    region: Mapped[str] = mapped_column(Words(64))
    default_role: Mapped[str] = mapped_column(String(16))
    starts_at: Mapped[float | None] = mapped_column(Double)
    duration_minutes: Mapped[int | None]
    created_at: Mapped[float] = mapped_column(Double)
    ended_at: Mapped[float | None] = mapped_column(Double)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, server_default=text("'{}'"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    """Grows with each change."""
    pool: Mapped[str] = mapped_column(String(63), server_default=text("''"))
    """The SFUPool that takes it; empty: any."""


class DeclarationRow(Base):
    """A meeting that is declared in Kubernetes, until its end was told to all."""

    __tablename__ = "declarations"
    __table_args__ = (Index("ix_declarations_of_namespace", "namespace", "meeting_id"),)

    meeting_id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    namespace: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(Words(253))
    """The object's."""
    said: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Its settings as they were declared last: what hosts changed since stays."""


class RefreshTokenRow(Base):
    """The newest refresh token of a login. An older one of the family is a replay."""

    __tablename__ = "refresh_tokens"

    family: Mapped[str] = mapped_column(Words(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(Words(64), index=True)
    token_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the token's jti, in hex: the table alone lets nobody in."""
    expires_at: Mapped[float] = mapped_column(Double, index=True)


class IdempotencyKeyRow(Base):
    """A key under which somebody made a meeting, for 24 h."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    key: Mapped[str] = mapped_column(Words(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the request, in hex: the same key with another request is an error."""
    meeting_id: Mapped[str] = mapped_column(Words(64), index=True)
    created_at: Mapped[float] = mapped_column(Double, index=True)


_OPEN = text("closed_at IS NULL")
_NAMED = text("user_id IS NOT NULL")
"""Most rows are old and name nobody any more: retention looks for the others."""


class SessionRow(Base):
    """A stay of a person in a meeting; None for the person once it is anonymised."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(
            "uq_sessions_open",
            "meeting_id",
            "user_id",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("ix_sessions_of_meeting", "meeting_id", "opened_at", "id"),
        Index("ix_sessions_named", "opened_at", sqlite_where=_NAMED, postgresql_where=_NAMED),
    )

    id: Mapped[int] = mapped_column(_Serial, primary_key=True)
    meeting_id: Mapped[str] = mapped_column(Words(64))
    user_id: Mapped[str | None] = mapped_column(Words(64), index=True)
    user_name: Mapped[str] = mapped_column(Words(200))
    role: Mapped[str] = mapped_column(String(16))
    opened_at: Mapped[float] = mapped_column(Double, index=True)
    closed_at: Mapped[float | None] = mapped_column(Double)


class ChatMessageRow(Base):
    """A message; a deleted one keeps its place without its text."""

    __tablename__ = "chat_messages"
    __table_args__ = (Index("ix_chat_messages_of_meeting", "meeting_id", "at", "id"),)

    id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    meeting_id: Mapped[str] = mapped_column(Words(64))
    sender_id: Mapped[str] = mapped_column(Words(64), index=True)
    sender_name: Mapped[str] = mapped_column(Words(200))
    text: Mapped[str] = mapped_column(Words())
    reply_to: Mapped[str | None] = mapped_column(Words(64))
    recipient_type: Mapped[str] = mapped_column(String(16))
    recipient_id: Mapped[str | None] = mapped_column(Words(64), index=True)
    at: Mapped[float] = mapped_column(Double, index=True)
    deleted_at: Mapped[float | None] = mapped_column(Double)


class StatsRow(Base):
    """What one participant's connection was like in one minute, as sums: averages follow."""

    __tablename__ = "stats"
    __table_args__ = (
        Index("uq_stats_minute", "meeting_id", "user_id", "minute", unique=True),
        Index("ix_stats_of_meeting", "meeting_id", "minute", "id"),
        Index("ix_stats_named", "minute", sqlite_where=_NAMED, postgresql_where=_NAMED),
    )

    id: Mapped[int] = mapped_column(_Serial, primary_key=True)
    meeting_id: Mapped[str] = mapped_column(Words(64))
    user_id: Mapped[str | None] = mapped_column(Words(64), index=True)
    minute: Mapped[int] = mapped_column(BigInteger, index=True)
    """Unix time of its start, in s."""
    samples: Mapped[int]
    rtt_ms_sum: Mapped[float] = mapped_column(Double)
    rtt_ms_max: Mapped[float] = mapped_column(Double)
    jitter_ms_sum: Mapped[float] = mapped_column(Double)
    jitter_ms_max: Mapped[float] = mapped_column(Double)
    loss_percent_sum: Mapped[float] = mapped_column(Double)
    loss_percent_max: Mapped[float] = mapped_column(Double)
    bitrate_bps_sum: Mapped[float] = mapped_column(Double)
    bitrate_bps_max: Mapped[float] = mapped_column(Double)


class PersonRow(Base):
    """Who hides behind a pseudonym of the audit log. Without this row nobody can tell."""

    __tablename__ = "persons"

    pseudonym: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Random."""
    user_id: Mapped[str] = mapped_column(Words(64), unique=True)


class AuditRow(Base):
    """What was done, by whom; never changed. Its hash covers the row before."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1, 2, 3, without a gap."""
    at: Mapped[float] = mapped_column(Double)
    action: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(String(32), index=True)
    """A pseudonym of `persons`."""
    subject: Mapped[str | None] = mapped_column(String(32), index=True)
    """A pseudonym: to whom it was done."""
    meeting_id: Mapped[str | None] = mapped_column(Words(64), index=True)
    details: Mapped[str] = mapped_column(String)
    """Canonical JSON, as it was hashed. Names nobody."""
    hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the hash before and this row's canonical JSON, in hex."""


class AuditHeadRow(Base):
    """The last row of the audit log: the one row here, which writers lock to take turns."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))


class InvitationRow(Base):
    """Somebody asked into a meeting; the link's token is not kept."""

    __tablename__ = "invitations"
    __table_args__ = (Index("ix_invitations_of_meeting", "meeting_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    meeting_id: Mapped[str] = mapped_column(Words(64))
    inviter_id: Mapped[str] = mapped_column(Words(64), index=True)
    email: Mapped[str] = mapped_column(Words(254), index=True)
    display_name: Mapped[str] = mapped_column(Words(200))
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[float] = mapped_column(Double)
    expires_at: Mapped[float] = mapped_column(Double, index=True)
    sent_at: Mapped[float | None] = mapped_column(Double)


class AccountRow(Base):
    """A local account, for installations without an identity provider."""

    __tablename__ = "accounts"

    user_id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    email: Mapped[str | None] = mapped_column(Words(254), unique=True)
    """In lower case."""
    user_name: Mapped[str] = mapped_column(Words(200))
    campus_id: Mapped[str] = mapped_column(Words(64))
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[float] = mapped_column(Double)
