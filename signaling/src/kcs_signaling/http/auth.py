"""Tokens over REST: login, refresh with rotation, logout, and the public keys.

A login is by password, where local accounts are on, or the development login, which lets anybody
in. How often one may try is bounded.
"""

import time
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field, SecretStr, StringConstraints, model_validator

from kcs_contracts.ids import UserId, UserIdText
from kcs_contracts.limits import Limit
from kcs_contracts.models import Contract
from kcs_signaling.accounts import MAX_PASSWORD, Passwords
from kcs_signaling.errors import AccessDenied
from kcs_signaling.http.audit import note
from kcs_signaling.http.meeting_models import NameText
from kcs_signaling.http.needs import ClientAddress, RestServices, Services
from kcs_signaling.http.problems import documented
from kcs_signaling.tokens import MAX_TOKEN_LENGTH, BadToken, RefreshClaims, User

_log = structlog.get_logger()

LOGINS = Limit(count=10, per_seconds=300)
"""With passwords, of one account from one address."""
LOGINS_ADDRESS_FACTOR = 5
LOGINS_ANYWHERE = Limit(count=100, per_seconds=300)
"""Of one account from all addresses: guesses from many are few, and yet nobody elsewhere can
easily keep the account's owner out."""
DEVELOPMENT_LOGINS = Limit(count=600, per_seconds=60)
REFRESHES = Limit(count=60, per_seconds=300)
"""Of one user; a client asks once in an access token's lifetime."""


def _login_schema(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)  # ours alone: which fields must be there is said by anyOf
    schema["anyOf"] = [
        {"required": ["password", "user_id"]},
        {"required": ["password", "email"]},
        {"required": ["user_id", "user_name"]},
    ]
    schema["examples"] = [
        {"email": "ada@example.org", "password": "correct horse battery staple"},
        {"user_id": "ada", "user_name": "Ada Lovelace"},
    ]


class Login(Contract):
    """Who wants to come in: with a password, or, where the development login is on, by a name."""

    model_config = ConfigDict(json_schema_extra=_login_schema)

    user_id: UserIdText = UserId("")
    email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    password: SecretStr | None = Field(None, min_length=1, max_length=MAX_PASSWORD)
    user_name: NameText = Field("", description="Of the development login, as is what follows.")
    campus_id: Annotated[str, StringConstraints(max_length=64, pattern=r"^[\w.:@-]*$")] = ""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.password is not None and not (self.user_id or self.email):
            raise ValueError("a password needs user_id or email")
        if self.password is None and not (self.user_id and self.user_name):
            raise ValueError("send password with user_id or email, or user_id and user_name")
        return self


class RefreshRequest(Contract):
    """A refresh token to exchange or to end."""

    refresh_token: str = Field(max_length=MAX_TOKEN_LENGTH, examples=["eyJhbGciOiJFZERTQSJ9..."])


class AccessToken(Contract):
    """What REST takes as a bearer token, and sockets as their `token`."""

    access_token: str = Field(examples=["eyJhbGciOiJFZERTQSJ9..."])
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="Lifetime of the access token, in s.", examples=[900])


class TokenPair(AccessToken):
    """An access token and the refresh token that gives the next one."""

    refresh_token: str = Field(
        description="Good for one exchange: the answer has the next one.",
        examples=["eyJhbGciOiJFZERTQSJ9..."],
    )


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


router = APIRouter(tags=["tokens"])


@router.post("/api/v1/auth/token", responses=documented(401, 403, 422, 429, 503))
async def log_in(
    services: Services, request: Request, login: Login, address: ClientAddress
) -> TokenPair:
    """Tokens for a local account, or, on a developer's machine, for whoever asks."""
    if login.password is not None:
        name, passwords = login.user_id or login.email, request.app.state.passwords
        user = await by_password(services, passwords, name, login.password, address)
    elif services.settings.auth.dev_login:
        await services.limits.check(
            "development_login", DEVELOPMENT_LOGINS, who=login.user_id, address=address
        )
        user = User(**login.model_dump(exclude={"password"}))
    else:
        raise AccessDenied("the development login is off: tokens come from your administrator")
    refresh, claims = services.tokens.refresh(user)
    await begin(services, claims, by="development" if login.password is None else "password")
    return _pair(services, user, refresh)


@router.post("/api/v1/auth/refresh", responses=documented(401, 422, 429, 503))
async def refresh_tokens(
    services: Services, request: RefreshRequest, address: ClientAddress
) -> TokenPair:
    """Exchanges a refresh token for an access token and the next refresh token.

    One that was exchanged before ends its login: every token of it stops working here.
    """
    old = services.tokens.verify_refresh(request.refresh_token)
    await services.limits.check("refresh", REFRESHES, who=old.user.user_id, address=address)
    refresh, new = services.tokens.refresh(old.user, family=old.family)
    if not await services.records.refresh_tokens.rotate(old, new):
        if await services.records.refresh_tokens.revoke(old.family):
            _log.warning("refresh_token_replayed", user_id=old.user.user_id, login=old.family)
        raise BadToken("the refresh token was used before, or its login has ended: log in again")
    return _pair(services, old.user, refresh)


@router.post("/api/v1/auth/logout", status_code=204, responses=documented(401, 422, 503))
async def log_out(services: Services, request: RefreshRequest) -> None:
    """Ends the login of a refresh token; access tokens of it run out by themselves."""
    claims = services.tokens.verify_refresh(request.refresh_token)
    await services.records.refresh_tokens.revoke(claims.family)
    _log.info("logged_out", user_id=claims.user.user_id, login=claims.family)


@router.get("/.well-known/jwks.json")
async def jwks(services: Services, response: Response) -> Jwks:
    """The public keys, for whoever verifies tokens or tickets."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return Jwks.model_validate(services.tokens.jwks())


async def begin(services: RestServices, login: RefreshClaims, *, by: str) -> None:
    """Puts a new login on record."""
    await services.records.refresh_tokens.begin(login, now=time.time())
    await note(services, "login", login.user, details={"by": by})
    _log.info("logged_in", user_id=login.user.user_id, login=login.family)


async def by_password(
    services: RestServices,
    passwords: Passwords | None,
    name: str,
    password: SecretStr,
    address: str,
) -> User:
    """The person of a local account, which `name` is the user id or the e-mail address of.

    Raises:
        AccessDenied: there are no local accounts here.
        RateLimited: there were too many tries.
        WrongPassword: there is no such account, or it has another password.
    """
    if passwords is None:
        raise AccessDenied("there are no local accounts here: log in where your tokens come from")
    await _limit_logins(services, name, address)
    account = await passwords.log_in(services.records, name, password.get_secret_value())
    return User(
        user_id=account.user_id,
        user_name=account.user_name,
        email=account.email or "",
        campus_id=account.campus_id,
    )


async def _limit_logins(services: RestServices, name: str, address: str) -> None:
    """Counts a try, whether there is such an account or not."""
    account = sha256(name.lower().encode()).hexdigest()[:32]  # names are long, and not Redis's
    await services.limits.check(
        "login",
        LOGINS,
        who=f"{account}@{address}",
        address=address,
        address_factor=LOGINS_ADDRESS_FACTOR,
    )
    await services.limits.check("login_anywhere", LOGINS_ANYWHERE, who=account, address=address)


def _pair(services: RestServices, user: User, refresh: str) -> TokenPair:
    return TokenPair(
        access_token=services.tokens.access(user),
        refresh_token=refresh,
        expires_in=services.tokens.access_seconds,
    )
