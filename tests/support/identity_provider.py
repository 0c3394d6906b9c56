"""An identity provider of the tests' own, which does what OpenID Connect's code flow asks of one.

Whoever comes to its page is signed in at once as `person`; with `refuses` it sends them back
without a code.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from kcs_signaling.settings import ExternalIssuerSettings, ExternalLoginSettings

CLIENT, SECRET, KID = "kcs-page", "the client's secret", "provider-1"


@dataclass
class IdentityProvider:
    """Serves on a free port of this machine; an async context manager."""

    ours: str
    """The redirect URI that it knows."""
    person: dict[str, Any] = field(
        default_factory=lambda: {"user_id": "grace", "userName": "Grace Hopper"}
    )
    audience: str = "kcs"
    refuses: bool = False
    away: bool = False
    url: str = ""

    def __post_init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._codes: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.get("/authorize", self._page), web.post("/token", self._token)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def settings(self, home: Path) -> ExternalIssuerSettings:
        """What signaling is told of it."""
        key_file = home / "provider.pem"
        public = self._key.public_key()
        key_file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        login = ExternalLoginSettings(
            client_id=CLIENT,
            client_secret=SecretStr(SECRET),
            authorize_url=f"{self.url}/authorize",
            token_url=f"{self.url}/token",
        )
        return ExternalIssuerSettings(
            issuer=self.url,
            audience="kcs",
            key_file=key_file,
            kid=KID,
            algorithm="EdDSA",
            login=login,
        )

    def environment(self, home: Path) -> dict[str, str]:
        """The same, for a process."""
        told = self.settings(home).model_dump(mode="json")
        told["login"]["client_secret"] = SECRET
        return {"KCS_AUTH__EXTERNAL": json.dumps(told)}

    async def _page(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        known = (asked["client_id"], asked["redirect_uri"], asked["response_type"])
        if known != (CLIENT, self.ours, "code") or asked["code_challenge_method"] != "S256":
            return web.Response(status=400)
        back = {"state": asked["state"]}
        if self.refuses:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_urlsafe(16)
            self._codes[back["code"]] = asked["code_challenge"]
        raise web.HTTPFound(f"{self.ours}?{urlencode(back)}")

    async def _token(self, request: web.Request) -> web.StreamResponse:
        if self.away:
            return web.Response(status=503, text="later")
        form = await request.post()
        challenge = self._codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        client = (form["client_id"], form["client_secret"], form["redirect_uri"])
        if challenge != proof or client != (CLIENT, SECRET, self.ours):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {**self.person, "iss": self.url, "aud": self.audience, "iat": now, "exp": now + 60}
        token = jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": KID})
        body = json.dumps({"access_token": token, "token_type": "Bearer"}).encode()
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        for start in range(0, len(body), 100):  # in pieces, as large tokens come
            await answer.write(body[start : start + 100])
            await asyncio.sleep(0.01)
        return answer
