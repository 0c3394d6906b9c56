"""Settings of the signaling service, read once at start from `KCS_*` environment variables.

A group's field is `KCS_<GROUP>__<FIELD>`, such as `KCS_HTTP__PORT`.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HttpSettings(_Group):
    """Where the service listens and who may speak to it."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port to listen on; 0 takes a free one."""
    public_url: str = "http://127.0.0.1:8080"
    """How browsers reach the service: the base of join links and the tokens' issuer."""
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may connect, as JSON: `["https://meet.example.org"]`. Never empty."""
    allow_missing_origin: bool = True
    """Whether a client that sends no Origin (a native client, a bot) may connect."""
    web_dir: Path | None = None
    """The built web client to serve at `/`; None serves none."""

    @model_validator(mode="after")
    def _origins_are_named(self) -> Self:
        if not self.allowed_origins:
            raise ValueError(
                "KCS_HTTP__ALLOWED_ORIGINS is empty: name the origins whose pages may connect, "
                'such as ["https://meet.example.org"]'
            )
        if "*" in self.allowed_origins:
            raise ValueError(
                "KCS_HTTP__ALLOWED_ORIGINS must name origins; `*` would let any page in"
            )
        return self


class AuthSettings(_Group):
    """Tokens and who issues them."""

    key_file: Path
    """PEM file with the Ed25519 private key that signs tokens and node tickets."""
    issuer: str = "kcs-meetings"
    """`iss` of the tokens."""
    access_minutes: int = Field(default=15, ge=1, le=60)
    """Lifetime of an access token."""
    refresh_days: int = Field(default=7, ge=1, le=90)
    """Lifetime of a refresh token."""
    dev_login: bool = False
    """Lets `POST /api/v1/auth/token` give tokens to anybody: for `make run` alone."""


class RedisSettings(_Group):
    """Placement and the bus."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """URL of the Redis server."""


class SqlSettings(_Group):
    """Records."""

    url: SecretStr = SecretStr("sqlite+aiosqlite:///kcs-meetings.sqlite")
    """SQLAlchemy URL of the database."""


class MeetingSettings(_Group):
    """What holds for every meeting unless it says otherwise."""

    max_participants: int = Field(default=200, ge=2, le=10_000)
    """How many may be in a meeting that names no limit."""
    presence_seconds: float = Field(default=30, gt=0)
    """How long a participant whose socket is gone stays in the meeting, to come back to it."""
    region: str = ""
    """Region of this replica's people, for the choice of a node."""


class SocketSettings(_Group):
    """Bounds on what one socket may do."""

    max_message_bytes: int = Field(default=64 * 1024, ge=4096)
    """A longer message closes the socket."""
    connect_timeout_seconds: float = Field(default=2, gt=0)
    """A socket that has not connected to a namespace by then is closed."""
    queue_length: int = Field(default=64, ge=8)
    """Commands of one peer that may wait; one more closes the socket."""


class Settings(BaseSettings):
    """All settings of the signaling service."""

    model_config = SettingsConfigDict(
        env_prefix="KCS_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    http: HttpSettings
    auth: AuthSettings
    redis: RedisSettings = RedisSettings()
    sql: SqlSettings = SqlSettings()
    meeting: MeetingSettings = MeetingSettings()
    socket: SocketSettings = SocketSettings()
