"""ICE servers for a person: coturn's time-limited credentials, signed here, checked there.

The user name is `<expiry>:<user id>` and the password its HMAC under a secret that signaling and
coturn share, so neither asks the other anything. coturn counts a user's allocations by what
stands behind the colon, whichever credentials they came with.

Source: draft-uberti-behave-turn-rest-00; coturn's `use-auth-secret`.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import structlog
from pydantic import StringConstraints, TypeAdapter
from redis.exceptions import RedisError

from kcs_contracts.models import JsonObject
from kcs_contracts.placement import Placement
from kcs_contracts.turn_servers import TurnServer
from kcs_signaling.settings import TurnSettings

_log = structlog.get_logger()
_READ_EVERY_S = 5.0
_SECRETS = TypeAdapter(list[Annotated[str, StringConstraints(min_length=16, max_length=255)]])


@dataclass(frozen=True)
class IceServers:
    """What a browser's peer connection takes."""

    servers: list[JsonObject]
    """As `RTCIceServer`: `urls`, and `username` and `credential` where they are needed."""
    ttl_seconds: int | None
    """How long the credentials are good for new allocations; None: there are none."""


class Turn:
    """Mints ICE servers.

    Args:
        settings: servers that there are always, and the secrets.
        region: of the people whom this replica serves.
        clock: Unix time, in s.
    """

    def __init__(self, settings: TurnSettings, region: str, clock: Callable[[], float] = time.time):
        self._settings, self._region, self._clock = settings, region, clock
        self._secrets = Secrets(settings)
        self._issued: tuple[TurnServer, ...] = ()

    async def follow(self, placement: Placement) -> None:
        """Reads the pools' servers again and again; keeps the last ones while Redis is away."""
        while True:
            with suppress(RedisError, OSError, TimeoutError):
                self._issued = await placement.turn_servers()
            await asyncio.sleep(_READ_EVERY_S)

    @property
    def _servers(self) -> Sequence[TurnServer]:
        every = (*self._settings.servers, *self._issued)
        return [each for each in every if each.region in ("", self._region)] or every

    def for_user(self, user_id: str) -> IceServers:
        """STUN and TURN servers, with credentials of that user's."""
        servers, turns = self.for_anybody(), [u for s in self._servers for u in _turn_urls(s)]
        secret = self._secrets.first() if turns else None
        if secret is None:
            return IceServers(servers, None)
        ttl = self._settings.credential_seconds
        username, credential = credentials(secret, user_id, int(self._clock()) + ttl)
        turn = {"urls": turns, "username": username, "credential": credential}
        return IceServers([*servers, turn], ttl)

    def for_anybody(self) -> list[JsonObject]:
        """STUN servers alone: a relay is for people whom we know."""
        urls = [u for server in self._servers for u in _stun_urls(server)]
        return [{"urls": urls}] if urls else []


class Secrets:
    """The secrets that sign; a file with them is read again when it has changed."""

    def __init__(self, settings: TurnSettings):
        self._file = settings.secrets_file
        self._read_at: float | None = None
        self._first = settings.secrets[0].get_secret_value() if settings.secrets else None

    def first(self) -> str | None:
        """The one that signs; None when there is none. What cannot be read leaves the last."""
        if self._file is None:
            return self._first
        try:
            changed = self._file.stat().st_mtime
            if changed != self._read_at:
                self._first = _SECRETS.validate_json(self._file.read_bytes())[0]
                self._read_at = changed
        except (OSError, ValueError, IndexError):
            _log.warning("turn_secrets_unreadable", file=str(self._file))
        return self._first


def credentials(secret: str, user_id: str, expires_at: int) -> tuple[str, str]:
    """User name and password that are good until `expires_at` (Unix time, in s)."""
    username = f"{expires_at}:{user_id}"
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return username, base64.b64encode(digest).decode()


def _stun_urls(server: TurnServer) -> list[str]:
    return [f"stun:{server.host}:{server.udp_port}"] if server.udp_port else []


def _turn_urls(server: TurnServer) -> list[str]:
    host, urls = server.host, []
    if server.udp_port:
        urls.append(f"turn:{host}:{server.udp_port}?transport=udp")
    if server.tcp_port:
        urls.append(f"turn:{host}:{server.tcp_port}?transport=tcp")
    if server.tls_port:
        urls.append(f"turns:{server.tls_host or host}:{server.tls_port}?transport=tcp")
    return urls
