"""Tokens over REST: dev login, refresh with rotation, logout, and the public keys."""

import time
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, StringConstraints

from kcs_contracts.ids import UserIdText
from kcs_contracts.models import Contract
from kcs_signaling.errors import AccessDenied
from kcs_signaling.http.needs import Services
from kcs_signaling.http.problems import documented
from kcs_signaling.tokens import MAX_TOKEN_LENGTH, BadToken, User

_log = structlog.get_logger()

NameText = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]
"""A name that people read: one line."""


class Login(Contract):
    """Who wants to come in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "ada", "user_name": "Ada Lovelace"}]}
    )

    user_id: UserIdText
    user_name: NameText
    email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    campus_id: Annotated[str, StringConstraints(max_length=64, pattern=r"^[\w.:@-]*$")] = ""


class RefreshRequest(Contract):
    """A refresh token to exchange or to end."""

    refresh_token: str = Field(max_length=MAX_TOKEN_LENGTH, examples=["eyJhbGciOiJFZERTQSJ9..."])


class TokenPair(Contract):
    """An access token and the refresh token that gives the next one."""

    access_token: str = Field(examples=["eyJhbGciOiJFZERTQSJ9..."])
    refresh_token: str = Field(
        description="Good for one exchange: the answer has the next one.",
        examples=["eyJhbGciOiJFZERTQSJ9..."],
    )
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="Lifetime of the access token, in s.", examples=[900])


class Jwk(Contract):
    """An Ed25519 public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str = Field(description="The key's thumbprint (RFC 7638).")
    alg: Literal["EdDSA"]
    use: Literal["sig"]


class Jwks(Contract):
    """The keys that tokens and node tickets are signed with (RFC 7517)."""

    keys: list[Jwk]


router = APIRouter(prefix="/api/v1/auth", tags=["tokens"])
keys_router = APIRouter(tags=["tokens"])


@router.post("/token", responses=documented(403, 422, 503))
async def log_in(services: Services, login: Login) -> TokenPair:
    """Tokens for whoever asks: only where the development login is on (`make run`)."""
    if not services.settings.auth.dev_login:
        raise AccessDenied("the development login is off: tokens come from your administrator")
    user = User(**login.model_dump())
    refresh, claims = services.tokens.refresh(user)
    await services.records.refresh_tokens.begin(claims, now=time.time())
    _log.info("logged_in", user_id=user.user_id, login=claims.family)
    return _pair(services, user, refresh)


@router.post("/refresh", responses=documented(401, 422, 503))
async def refresh_tokens(services: Services, request: RefreshRequest) -> TokenPair:
    """Exchanges a refresh token for an access token and the next refresh token.

    One that was exchanged before ends its login: every token of it stops working here.
    """
    old = services.tokens.verify_refresh(request.refresh_token)
    refresh, new = services.tokens.refresh(old.user, family=old.family)
    if not await services.records.refresh_tokens.rotate(old, new):
        if await services.records.refresh_tokens.revoke(old.family):
            _log.warning("refresh_token_replayed", user_id=old.user.user_id, login=old.family)
        raise BadToken("the refresh token was used before, or its login has ended: log in again")
    return _pair(services, old.user, refresh)


@router.post("/logout", status_code=204, responses=documented(401, 422, 503))
async def log_out(services: Services, request: RefreshRequest) -> None:
    """Ends the login of a refresh token; access tokens of it run out by themselves."""
    claims = services.tokens.verify_refresh(request.refresh_token)
    await services.records.refresh_tokens.revoke(claims.family)
    _log.info("logged_out", user_id=claims.user.user_id, login=claims.family)


@keys_router.get("/.well-known/jwks.json")
async def jwks(services: Services, response: Response) -> Jwks:
    """The public keys, for whoever verifies tokens or tickets."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return Jwks.model_validate(services.tokens.jwks())


def _pair(services: Services, user: User, refresh: str) -> TokenPair:
    return TokenPair(
        access_token=services.tokens.access(user),
        refresh_token=refresh,
        expires_in=services.tokens.access_seconds,
    )
