"""Settings of the signaling service, read once at start from `KCS_*` environment variables.

A group's field is `KCS_<GROUP>__<FIELD>`, such as `KCS_HTTP__PORT`.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kcs_contracts.turn_servers import TurnServer

LIST_EXAMPLE = """such as KCS_HTTP__ALLOWED_ORIGINS='["https://meet.example.org"]'"""


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
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks of the proxies in front, as JSON: `["10.0.0.0/8"]`. From these alone the client's
    address in X-Forwarded-For is believed; limits count by it."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _proxies_are_networks(cls, value: object) -> object:
        return [_network(each) for each in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _origins_are_named(self) -> Self:
        if not self.allowed_origins:
            raise ValueError(
                "KCS_HTTP__ALLOWED_ORIGINS is empty: name the origins whose pages may connect, "
                f"{LIST_EXAMPLE}"
            )
        if "*" in self.allowed_origins:
            raise ValueError(
                "KCS_HTTP__ALLOWED_ORIGINS must name origins; `*` would let any page in"
            )
        return self


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(str(value))
    except ValueError as error:
        raise ValueError(
            f"{error}: name networks, such as KCS_HTTP__TRUSTED_PROXIES='[\"10.0.0.0/8\"]'"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{network} would let every client choose the address that it is known by")
    return network


Algorithm = Literal["EdDSA", "ES256", "RS256"]


class ExternalLoginSettings(_Group):
    """How people sign in with it on the page: OpenID Connect's authorization code flow with PKCE.

    Our client there has the redirect URI `<KCS_HTTP__PUBLIC_URL>/api/v1/auth/external/callback`.
    The access tokens that it gets are such as `KCS_AUTH__EXTERNAL__*` describes.
    """

    client_id: str = Field(min_length=1)
    """The name of our client there."""
    client_secret: SecretStr | None = None
    """Its secret; None for a public client, which needs none."""
    authorize_url: str = Field(pattern=r"^https?://[^\s#]+$")
    """Its authorization endpoint, where browsers go."""
    token_url: str = Field(pattern=r"^https?://[^\s#]+$")
    """Its token endpoint, which signaling asks."""
    scope: str = "openid profile email"
    """What is asked for."""


class ExternalIssuerSettings(_Group):
    """An identity provider whose tokens are access tokens here: it says who people are.

    Its tokens have `user_id` and may have `campus_id`, `userName` and `email`.
    """

    issuer: str = Field(min_length=1)
    """`iss` of its tokens."""
    audience: str = Field(min_length=1)
    """`aud` of its tokens for us."""
    key_file: Path
    """File with its public key: one JWK, or PEM."""
    kid: str = Field(min_length=1)
    """`kid` of that key."""
    algorithm: Algorithm
    """The one algorithm that it signs with."""
    login: ExternalLoginSettings | None = None
    """How people sign in with it on the page; None: only programs bring its tokens."""


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
    local_accounts: bool = False
    """Lets people sign in, on the page and by REST, with the passwords of
    `python -m kcs_signaling.accounts add`."""
    external: ExternalIssuerSettings | None = None
    """An identity provider; None: nobody else's tokens are taken."""

    @model_validator(mode="after")
    def _issuers_differ(self) -> Self:
        if self.external is not None and self.external.issuer == self.issuer:
            raise ValueError("KCS_AUTH__EXTERNAL__ISSUER must differ from KCS_AUTH__ISSUER")
        return self


class RedisSettings(_Group):
    """Placement and the bus."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """URL of the Redis server."""


class SqlSettings(_Group):
    """Records."""

    url: SecretStr = SecretStr("sqlite+aiosqlite:///kcs-meetings.sqlite")
    """SQLAlchemy URL of the database."""


class RetentionSettings(_Group):
    """How long records are kept (architecture guide, "Data Retention")."""

    metadata_days: float = Field(default=365, gt=0)
    """Meetings with their chat, sessions, statistics and invitations are deleted after so many."""
    analytics_days: float = Field(default=90, gt=0)
    """Sessions and statistics name nobody after so many."""
    sweep_minutes: float = Field(default=60, gt=0)
    """How often one of the replicas looks for what is too old."""


class MailSettings(_Group):
    """How invitations go out. Without a host nothing is sent, and the API says so."""

    host: str | None = None
    """The SMTP server; None sends no mail."""
    port: int = Field(default=587, ge=1, le=65535)
    """Its TCP port: 587 with STARTTLS, 465 with TLS."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`tls` from the first byte; `none` only to a server on the same machine or network."""
    username: str | None = None
    """Who logs in to the SMTP server; None for nobody."""
    password: SecretStr = SecretStr("")
    """The password of `username`."""
    sender: str = ""
    """Address in From, such as `meetings@example.org`."""
    timeout_seconds: float = Field(default=10, gt=0, le=60)
    """For a whole message; later ones count as not sent."""

    @model_validator(mode="after")
    def _sender_is_named(self) -> Self:
        if self.host is not None and "@" not in self.sender:
            raise ValueError("KCS_MAIL__SENDER must be an address when KCS_MAIL__HOST is set")
        return self


class MeetingSettings(_Group):
    """What holds for every meeting unless it says otherwise."""

    max_participants: int = Field(default=200, ge=2, le=10_000)
    """How many may be in a meeting that names no limit."""
    presence_seconds: float = Field(default=30, gt=0)
    """How long a participant whose socket is gone stays in the meeting, to come back to it."""
    region: str = ""
    """Region of this replica's people, for the choice of a node."""


class TurnSettings(_Group):
    """The way for people who cannot reach an SFU node directly."""

    servers: tuple[TurnServer, ...] = ()
    """The servers, as JSON: `[{"host": "turn.example.org", "tls_port": 443}]`; those of SFUPools
    come from the operator. Those of `KCS_MEETING__REGION` and of no region are offered; where there
    are none, all."""
    secrets: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = Field(
        default=(), max_length=2
    )
    """coturn's `static-auth-secret`, as a JSON list: the first signs. To change it, give coturn
    both, put the new one first here, and after `credential_seconds` take the old one away."""
    secrets_file: Path | None = None
    """A file with the same list, read again when it changes, as a mounted Secret does; it counts
    instead of `secrets`."""
    credential_seconds: int = Field(default=300, ge=10, le=300)
    """How long credentials are good; clients ask for new ones in half that time."""

    @model_validator(mode="after")
    def _something_signs(self) -> Self:
        if self.servers and not self.secrets and self.secrets_file is None:
            raise ValueError(
                "KCS_TURN__SERVERS names TURN servers, but KCS_TURN__SECRETS holds no secret that "
                "they share"
            )
        return self


class InternalSettings(_Group):
    """What the operator asks inside the cluster (`/internal/`, which no ingress may route)."""

    key: Annotated[SecretStr, Field(min_length=16)] | None = None
    """What the operator must show, such as 32 random characters; None: it is told that nothing is
    there."""


class SocketSettings(_Group):
    """Bounds on what one socket may do."""

    max_message_bytes: int = Field(default=64 * 1024, ge=4096)
    """A longer message closes the socket."""
    connect_timeout_seconds: float = Field(default=2, gt=0)
    """A socket that has not connected to a namespace by then is closed."""
    queue_length: int = Field(default=64, ge=8)
    """Commands of one peer that may wait; one more closes the socket."""


class LimitSettings(_Group):
    """How often people may do things. Each limit stands where the thing is declared."""

    enabled: bool = True
    """Whether there are limits at all: off for benchmarks alone."""
    address_factor: int = Field(default=50, ge=1, le=10_000)
    """How many times a person's limit all the people behind one address have together."""


class Settings(BaseSettings):
    """All settings of the signaling service."""

    model_config = SettingsConfigDict(
        env_prefix="KCS_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    http: HttpSettings = Field(default_factory=HttpSettings)
    auth: AuthSettings
    redis: RedisSettings = RedisSettings()
    sql: SqlSettings = SqlSettings()
    retention: RetentionSettings = RetentionSettings()
    mail: MailSettings = MailSettings()
    meeting: MeetingSettings = MeetingSettings()
    socket: SocketSettings = SocketSettings()
    turn: TurnSettings = TurnSettings()
    limits: LimitSettings = LimitSettings()
    internal: InternalSettings = InternalSettings()
