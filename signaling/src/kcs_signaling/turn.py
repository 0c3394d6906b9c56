"""ICE servers for a person: coturn's time-limited credentials, signed here, checked there.

The user name is `<expiry>:<user id>` and the password its HMAC under a secret that signaling and
coturn share, so neither asks the other anything. coturn counts a user's allocations by what
stands behind the colon, whichever credentials they came with.

Source: draft-uberti-behave-turn-rest-00; coturn's `use-auth-secret`.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from kcs_contracts.models import JsonObject
from kcs_signaling.settings import TurnServer, TurnSettings


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
        settings: which servers there are, and the secrets.
        region: of the people whom this replica serves.
        clock: Unix time, in s.
    """

    def __init__(self, settings: TurnSettings, region: str, clock: Callable[[], float] = time.time):
        near = [each for each in settings.servers if each.region in ("", region)]
        self._settings, self._clock = settings, clock
        self._servers = near or settings.servers

    def for_user(self, user_id: str) -> IceServers:
        """STUN and TURN servers, with credentials of that user's."""
        servers, turns = self.for_anybody(), [u for s in self._servers for u in _turn_urls(s)]
        if not turns:
            return IceServers(servers, None)
        ttl = self._settings.credential_seconds
        username, credential = credentials(
            self._settings.secrets[0].get_secret_value(), user_id, int(self._clock()) + ttl
        )
        turn = {"urls": turns, "username": username, "credential": credential}
        return IceServers([*servers, turn], ttl)

    def for_anybody(self) -> list[JsonObject]:
        """STUN servers alone: a relay is for people whom we know."""
        urls = [u for server in self._servers for u in _stun_urls(server)]
        return [{"urls": urls}] if urls else []


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
        urls.append(f"turns:{host}:{server.tls_port}?transport=tcp")
    return urls
