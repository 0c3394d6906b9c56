"""Signing in on the page with the identity provider: there, and back with a code.

Both routes are where browsers go, and answer with where to go next. What was begun waits in a
cookie: the state, which shows that the code came of what this browser began, the verifier without
which the code is worth nothing, and the page to come back to. It is `Lax`, since the way back
begins at another site.
"""

import re
import secrets
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from kcs_contracts.limits import Limit
from kcs_signaling.errors import NotFound, RateLimited, SignalingError, Unavailable
from kcs_signaling.http.auth import begin
from kcs_signaling.http.cookies import read, write
from kcs_signaling.http.needs import ClientAddress, RestServices, Services
from kcs_signaling.http.sessions import keep
from kcs_signaling.identity_provider import token_for, where_to_sign_in
from kcs_signaling.settings import ExternalLoginSettings

_log = structlog.get_logger()
_COOKIE = "kcs-sign-in"
_SECONDS = 600
_PAGE = re.compile(r"/(m/[\w.:@%-]+)?", re.ASCII)
_RETURNS = Limit(count=60, per_seconds=300)
"""From one address; each asks the provider."""

router = APIRouter(prefix="/api/v1/auth/external", include_in_schema=False)


@router.get("")
async def go_there(
    services: Services, to: Annotated[str, Query(max_length=200)] = "/"
) -> RedirectResponse:
    """Sends the browser to the provider; `to` is the page of ours to come back to."""
    login = _login(services)
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    page = to if _PAGE.fullmatch(to) else "/"
    response = _to(where_to_sign_in(login, _redirect_uri(services), state, verifier))
    begun = f"{state} {verifier} {page}"
    write(services, response, _COOKIE, begun, seconds=_SECONDS, samesite="lax")
    return response


@router.get("/callback")
async def come_back(
    services: Services,
    request: Request,
    address: ClientAddress,
    code: Annotated[str, Query(max_length=4096)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
) -> RedirectResponse:
    """Signs the browser in, and goes back to the page; that hears how it went in the fragment."""
    login = _login(services)
    begun = read(services, request, _COOKIE).split(" ")
    if len(begun) != 3 or not _PAGE.fullmatch(begun[2]):
        return _to("/#sign-in=late")
    expected, verifier, page = begun
    if not secrets.compare_digest(expected.encode(), state.encode()):
        return _to(f"{page}#sign-in=late")
    response = _to(f"{page}#sign-in=done")
    try:
        await services.limits.check("external_login", _RETURNS, who=address, address=address)
        await _sign_in(services, login, response, code, verifier)
    except SignalingError as error:
        passing = isinstance(error, Unavailable | RateLimited)
        _log.info("external_login_refused", reason=error.code)
        response = _to(f"{page}#sign-in={'away' if passing else 'refused'}")
    write(services, response, _COOKIE, "", seconds=0, samesite="lax")
    return response


async def _sign_in(
    services: RestServices,
    login: ExternalLoginSettings,
    response: RedirectResponse,
    code: str,
    verifier: str,
) -> None:
    token = await token_for(login, _redirect_uri(services), code, verifier)
    person = services.tokens.verify(token)
    text, session = services.tokens.session(person, outside=True)
    await begin(services, session, by="external")
    keep(services, response, text, session)


def _login(services: RestServices) -> ExternalLoginSettings:
    external = services.settings.auth.external
    if external is None or external.login is None:
        raise NotFound("there is no identity provider to sign in with here")
    return external.login


def _redirect_uri(services: RestServices) -> str:
    return f"{services.settings.http.public_url.rstrip('/')}{router.prefix}/callback"


def _to(address: str) -> RedirectResponse:
    return RedirectResponse(address, status_code=303)
