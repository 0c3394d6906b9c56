"""Signaling's public keys, by which tickets are verified, fetched in the background.

The node starts without them and refuses tickets until they are there. A ticket by an unknown key
makes it look again: signaling may have rotated. Source of the format: RFC 7517, RFC 8037.
"""

import asyncio
import time
from pathlib import Path
from urllib.request import urlopen

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_log = structlog.get_logger(__name__)
_FETCH_S = 2.0
_MAX_BYTES = 256 * 1024
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.2, 5.0
_REFRESH_S = 300.0
_UNKNOWN_KID_S = 5.0
"""An unknown key makes the node look again at most so often."""


class KeyRing:
    """The keys by `kid`; `run` fetches them."""

    def __init__(self, source: str):
        self.keys: dict[str, Ed25519PublicKey] = {}
        self._source = source
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def run(self) -> None:
        """Fetches until the keys are there, then again every five minutes, until cancelled."""
        retry = _FIRST_RETRY_S
        while True:
            await self.fetch()
            await asyncio.sleep(_REFRESH_S if self.keys else retry)
            retry = min(retry * 2, _LONGEST_RETRY_S)

    async def look_again(self, kid: str) -> bool:
        """Whether the key is known; fetches unless that was tried just now."""
        async with self._fetching:
            due = self._tried_at + (_UNKNOWN_KID_S if self.keys else _FIRST_RETRY_S)
            if kid not in self.keys and due <= time.monotonic():
                await self._fetch()
        return kid in self.keys

    async def fetch(self) -> None:
        """Reads the source once; a failure is logged and leaves the keys as they are."""
        async with self._fetching:
            await self._fetch()

    async def _fetch(self) -> None:
        try:
            text = await asyncio.to_thread(_read, self._source)
            found = _ed25519_keys(text)
        except (OSError, ValueError, jwt.PyJWTError) as error:
            _log.warning("ticket_keys_not_fetched", source=self._source, error=str(error))
        else:
            if found.keys() != self.keys.keys():
                _log.info("ticket_keys", source=self._source, kids=sorted(found))
            self.keys.clear()
            self.keys.update(found)  # in place: the verifier looks here
        self._tried_at = time.monotonic()


def _read(source: str) -> str:
    if not source.startswith(("http://", "https://")):
        return Path(source).read_text()
    with urlopen(source, timeout=_FETCH_S) as answer:
        body: bytes = answer.read(_MAX_BYTES)
    return body.decode()


def _ed25519_keys(jwks: str) -> dict[str, Ed25519PublicKey]:
    keys = jwt.PyJWKSet.from_json(jwks).keys
    found = {
        key.key_id: key.key for key in keys if key.key_id and isinstance(key.key, Ed25519PublicKey)
    }
    if not found:
        raise ValueError("no Ed25519 public key with a kid in it")
    return found
