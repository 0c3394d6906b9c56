"""The tables. Times are Unix times in s, as on the wire."""

from sqlalchemy import Double, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables: `Base.metadata`."""


class MeetingRow(Base):
    """A meeting, kept after its end."""

    __tablename__ = "meetings"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    display_name: Mapped[str] = mapped_column(String(200))
    host_id: Mapped[str] = mapped_column(String(64), index=True)
    max_participants: Mapped[int]
    expected_participants: Mapped[int]
    region: Mapped[str] = mapped_column(String(64))
    default_role: Mapped[str] = mapped_column(String(16))
    starts_at: Mapped[float | None] = mapped_column(Double)
    duration_minutes: Mapped[int | None]
    created_at: Mapped[float] = mapped_column(Double)
    ended_at: Mapped[float | None] = mapped_column(Double)


class RefreshTokenRow(Base):
    """The newest refresh token of a login. An older one of the family is a replay."""

    __tablename__ = "refresh_tokens"

    family: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(64), index=True)
    token_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the token's jti, in hex: the table alone lets nobody in."""
    expires_at: Mapped[float] = mapped_column(Double, index=True)
