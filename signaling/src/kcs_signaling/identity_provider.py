"""The only caller of the identity provider: OpenID Connect's code flow with PKCE (RFC 7636).

The browser brings a code; what it is worth is asked here, so that no page ever holds a token of the
provider's. Whether we take that token is `tokens`' to say.
"""

import base64
import hashlib
import json
from urllib.parse import urlencode

import aiohttp

from kcs_signaling.errors import AccessDenied, Unavailable
from kcs_signaling.settings import ExternalLoginSettings

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_MAX_BYTES = 64 * 1024


class Refused(AccessDenied):
    """The provider gives no token for that code."""


def where_to_sign_in(
    settings: ExternalLoginSettings, redirect_uri: str, state: str, verifier: str
) -> str:
    """The provider's page, which sends the browser back with a code and the state."""
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": settings.scope,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    separator = "&" if "?" in settings.authorize_url else "?"
    return f"{settings.authorize_url}{separator}{urlencode(query)}"


async def token_for(
    settings: ExternalLoginSettings, redirect_uri: str, code: str, verifier: str
) -> str:
    """The provider's access token for a code.

    Raises:
        Refused: the code is not good, or not any more.
        Unavailable: the provider does not answer as it should.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": settings.client_id,
        "code_verifier": verifier,
    }
    if settings.client_secret is not None:
        form["client_secret"] = settings.client_secret.get_secret_value()
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as http,
            http.post(settings.token_url, data=form, allow_redirects=False) as answer,
        ):
            status, body = answer.status, b""
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > _MAX_BYTES:
                    raise Unavailable("the identity provider answers without end")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable("the identity provider does not answer") from error
    if status in (400, 401, 403):
        raise Refused("the identity provider refuses the code")
    try:
        return str(json.loads(body)["access_token"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"the identity provider answers with {status}, no token") from error
