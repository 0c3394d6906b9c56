"""Being signed in on the page: a session in a cookie that no script can read.

The page holds an access token in memory and asks for the next one by its cookie. Unlike refresh
tokens a session is not exchanged for another: all tabs of a browser share it and ask when they
like, and an answer that gets lost must sign nobody out. It lasts as long as a refresh token and
begins that time anew whenever it is used, but for people from outside (`external`).

Other sites cannot use the cookie (`SameSite=Strict`), nor plant one (`__Host-`, where the page is
served by HTTPS). What can change something else takes JSON, or DELETE, which browsers let other
origins send only after asking (CORS).
"""

import time
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field, SecretStr, StringConstraints

from kcs_contracts.models import Contract
from kcs_signaling.accounts import MAX_PASSWORD
from kcs_signaling.http.auth import REFRESHES, AccessToken, begin, by_password
from kcs_signaling.http.cookies import read, write
from kcs_signaling.http.needs import ClientAddress, RestServices, Services
from kcs_signaling.http.problems import documented, with_header
from kcs_signaling.tokens import BadToken, RefreshClaims

_log = structlog.get_logger()


class SignIn(Contract):
    """A local account, as its owner names it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"login": "ada@example.org", "password": "correct horse battery staple"}]
        }
    )

    login: Annotated[
        str, StringConstraints(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f\x7f]+$")
    ] = Field(description="Its e-mail address or user id.")
    password: SecretStr = Field(min_length=1, max_length=MAX_PASSWORD)


router = APIRouter(prefix="/api/v1/auth/session", tags=["tokens"])
_NAME = "kcs-session"
_COOKIE: dict[int | str, dict[str, Any]] = {
    200: with_header(
        "Set-Cookie",
        "The session. Over plain HTTP, on a developer's machine, its name is `kcs-session`.",
        "__Host-kcs-session=eyJ...; HttpOnly; Secure; SameSite=strict; Path=/; Max-Age=604800",
    )
}


@router.post("", responses=_COOKIE | documented(401, 403, 422, 429, 503))
async def sign_in(
    services: Services, request: Request, who: SignIn, address: ClientAddress, response: Response
) -> AccessToken:
    """Signs a browser in with a local account."""
    passwords = request.app.state.passwords
    user = await by_password(services, passwords, who.login, who.password, address)
    text, session = services.tokens.session(user)
    await begin(services, session, by="password")
    keep(services, response, text, session)
    return _access(services, session)


@router.post("/refresh", responses=_COOKIE | documented(401, 429, 503))
async def next_token(
    services: Services, request: Request, address: ClientAddress, response: Response
) -> AccessToken:
    """An access token for the browser that is signed in."""
    old = services.tokens.verify_session(read(services, request, _NAME))
    await services.limits.check("refresh", REFRESHES, who=old.user.user_id, address=address)
    text, session = services.tokens.continued(old)
    if not await services.records.refresh_tokens.extend(session):
        raise BadToken("the session has ended: sign in again")
    keep(services, response, text, session)
    return _access(services, session)


@router.delete("", status_code=204, responses=documented(503))
async def sign_out(services: Services, request: Request, response: Response) -> None:
    """Ends the session; access tokens of it run out by themselves."""
    try:
        session = services.tokens.verify_session(read(services, request, _NAME))
    except BadToken:
        pass  # it is over already
    else:
        await services.records.refresh_tokens.revoke(session.family)
        _log.info("logged_out", user_id=session.user.user_id, login=session.family)
    write(services, response, _NAME, "", seconds=0)


def keep(services: RestServices, response: Response, text: str, session: RefreshClaims) -> None:
    """Has the browser keep the session until its end."""
    seconds = max(1, round(session.expires_at - time.time()))
    write(services, response, _NAME, text, seconds=seconds)


def _access(services: RestServices, session: RefreshClaims) -> AccessToken:
    tokens = services.tokens
    return AccessToken(access_token=tokens.access(session.user), expires_in=tokens.access_seconds)
