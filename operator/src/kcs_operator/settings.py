"""Settings of the operator, read once at start from `KCS_*` environment variables."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.asyncio.connection import parse_url


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class OperatorGroup(_Group):
    """The operator itself."""

    namespace: str = "default"
    """The namespace whose pools and meetings it looks after."""
    identity: str = Field(default="kcs-operator", min_length=1, max_length=253)
    """Who holds the Lease: the pod's name."""
    lease_name: str = "kcs-operator"
    """The Lease by which one of the replicas leads."""
    lease_role: str = ""
    """The Role that the Lease belongs to, so that an uninstall takes it along; empty: it stays."""
    lease_seconds: int = Field(default=15, ge=3, le=120)
    """A leader that does not renew for so long is replaced."""
    instance: str = "kcs-meetings"
    """Value of the label `app.kubernetes.io/instance` of all that it makes: the release."""
    tick_seconds: float = Field(default=1.0, gt=0, le=60)
    """How often pools are looked at when no object changed."""
    redis_settle_seconds: float = Field(default=60.0, ge=0, le=3600)
    """So long after Redis was empty no pod is drained or deleted: nodes and signaling are still
    telling it who is where."""
    status_seconds: float = Field(default=5.0, ge=0, le=300)
    """Least time between two writes of one status."""


class ImagesGroup(_Group):
    """Images of the pods that it makes."""

    sfu: str = "kcs-meetings/sfu-node:0.1.0"
    """The SFU node's, for pools whose template names none."""
    turn: str = "kcs-meetings/coturn:0.1.0"
    """coturn's."""
    pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    """When images are pulled."""


class PodsGroup(_Group):
    """What every SFU pod is told."""

    redis_secret: str = "kcs-meetings-redis"
    """The Secret with Redis's URL, under `redis_secret_key`."""
    redis_secret_key: str = "url"
    """See `redis_secret`."""
    turn_secret: str = "kcs-meetings-turn"
    """The Secret with coturn's shared secrets, a JSON list under `secrets`: the first signs."""
    turn_secret_copy_in: str = ""
    """The namespace where signaling has a Secret of the same name, if it is another one."""
    turn_secret_days: float = Field(default=30, ge=0, le=3650)
    """After so many days coturn's secret is replaced, with no call cut; 0: never."""
    turn_credential_seconds: int = Field(default=300, ge=10, le=300)
    """How long signaling's credentials are good (its `KCS_TURN__CREDENTIAL_SECONDS`): a coturn pod
    that is to go stays as long."""
    jwks_url: str = "http://kcs-meetings-signaling:8080/.well-known/jwks.json"
    """Signaling's public keys."""
    stop_seconds: int = Field(default=30, ge=5, le=600)
    """How long a pod that is deleted may take to end; its meetings move meanwhile."""


class RedisGroup(_Group):
    """Placement."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """URL of the Redis server."""

    @field_validator("url")
    @classmethod
    def _is_of_redis(cls, url: SecretStr) -> SecretStr:
        try:
            parse_url(url.get_secret_value())
        except ValueError:  # its text may quote the password
            raise ValueError("a URL of Redis is written as redis://host:6379/0") from None
        return url


class SignalingGroup(_Group):
    """Where declared meetings are registered."""

    url: str = "http://kcs-meetings-signaling:8080"
    """Signaling's internal address."""
    key: SecretStr = SecretStr("")
    """What signaling knows as `KCS_INTERNAL__KEY`."""


class HttpGroup(_Group):
    """What it listens on."""

    host: str = "0.0.0.0"
    """Address of metrics, health and the webhook."""
    port: int = Field(default=8081, ge=0, le=65535)
    """Port of /metrics, /healthz and /readyz; 0 takes a free one."""
    webhook_port: int = Field(default=8443, ge=0, le=65535)
    """Port of the webhook for evictions (TLS)."""
    webhook_certificate: Path | None = None
    """Folder with `tls.crt`, `tls.key` and `path`, the secret end of the webhook's address (16 to
    63 of a-z and 0-9); None: no webhook."""


class TracingGroup(_Group):
    """Where its traces go. All else is said by OpenTelemetry's own variables, `OTEL_*`."""

    endpoint: str = ""
    """Address of what takes OTLP over HTTP (a collector, Jaeger, Tempo), such as
    `http://collector:4318`; `/v1/traces` is added. Empty: no traces."""

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, endpoint: str) -> str:
        if endpoint and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", endpoint):
            raise ValueError("a receiver of traces is written as http://collector:4318")
        return endpoint


class Settings(BaseSettings):
    """All settings of the operator."""

    model_config = SettingsConfigDict(
        env_prefix="KCS_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    operator: OperatorGroup = OperatorGroup()
    images: ImagesGroup = ImagesGroup()
    pods: PodsGroup = PodsGroup()
    redis: RedisGroup = RedisGroup()
    signaling: SignalingGroup = SignalingGroup()
    http: HttpGroup = HttpGroup()
    tracing: TracingGroup = TracingGroup()
