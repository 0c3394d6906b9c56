"""Tokens: who may come in. REST issues them, both dialects and REST verify them on each entry.

All are JWTs signed with Ed25519 (RFC 7519, RFC 8037), told apart by the claim `typ`:

- `access`: a person at the API, for minutes; names no meeting.
- `meeting`: a person in one meeting, in one role, until an hour after the meeting's end. Stands in
  meeting links and is what a client resumes with.
- `refresh`: good for one exchange; its own audience, so that it opens nothing else. Which one of
  a login is the newest is on record (`records.refresh_tokens`).
- `session`: of a browser that is signed in, in a cookie (`http.sessions`); its own audience. What
  is on record of it stays the same while it lasts.

Access tokens may also come from one issuer from outside (`issuers`), told apart by its `kid`.
"""

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from kcs_contracts.ids import MeetingId, MeetingIdText, UserId, UserIdText
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied
from kcs_signaling.identity import Identity
from kcs_signaling.issuers import Issuer
from kcs_signaling.ports import Meeting

AUDIENCE = "kcs-meetings"
REFRESH_AUDIENCE = "kcs-meetings-refresh"
SESSION_AUDIENCE = "kcs-meetings-session"
MAX_TOKEN_LENGTH = 4096
"""Longer texts are refused before anything in them is read."""

_CLOCK_SKEW_S = 30
_GRACE_S = 3600
_OPEN_END_S = 24 * 3600
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class BadToken(AccessDenied):
    """The token is not one of ours, not for this, or too old. The text never echoes it."""


class Person(Protocol):
    """Whoever a token is for; `Identity` is one, `User` is one."""

    @property
    def user_id(self) -> UserId: ...
    @property
    def user_name(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def campus_id(self) -> str: ...


class User(Contract):
    """A person as a login or an invitation names them."""

    user_id: UserId
    user_name: str
    email: str = ""
    campus_id: str = ""


class RefreshClaims(Contract):
    """What a refresh token says, or a session."""

    user: User
    family: str
    """One login: every refresh token that came of it has the same."""
    jti: str
    expires_at: float
    """Unix time, in s."""
    outside: bool = False
    """Whether it is a session of somebody whom another issuer knows."""


class _Someone(BaseModel):
    """The claims of every token; others are ignored (RFC 7519, section 4)."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    iat: float
    exp: float
    nbf: float = 0
    user_id: UserIdText
    user_name: Annotated[str, StringConstraints(max_length=200)] = Field("", alias="userName")
    email: Annotated[str, StringConstraints(max_length=254)] = ""
    campus_id: Annotated[str, StringConstraints(max_length=64)] = ""


class _Claims(_Someone):
    """The claims of every token of ours."""

    jti: str = Field(min_length=1, max_length=64)


class _AccessClaims(_Claims):
    typ: Literal["access"]


class _MeetingClaims(_Claims):
    typ: Literal["meeting"]
    meeting_id: MeetingIdText
    role: Role = Field(strict=False)
    admitted: bool = False


class _LoginClaims(_Claims):
    family: str = Field(min_length=1, max_length=64)


class _RefreshClaims(_LoginClaims):
    typ: Literal["refresh"]


class _SessionClaims(_LoginClaims):
    typ: Literal["session"]
    outside: bool = False


def _clean(text: object) -> object:
    """Without what no login of ours has in a name, as NUL or line breaks, which logs, mails and
    databases would stumble over."""
    return " ".join(_CONTROLS.sub(" ", text).split()) if isinstance(text, str) else text


_Cleaned = BeforeValidator(_clean)


class _OutsideClaims(_Someone):
    """What an issuer from outside says of a person, who cannot help how it is spelled there."""

    user_name: Annotated[str, _Cleaned, StringConstraints(max_length=200)] = Field(
        "", alias="userName"
    )
    email: Annotated[str, _Cleaned, StringConstraints(max_length=254)] = ""
    campus_id: Annotated[str, _Cleaned, StringConstraints(max_length=64)] = ""


_EnteringClaims = Annotated[_AccessClaims | _MeetingClaims, Field(discriminator="typ")]
_ENTERING: TypeAdapter[_AccessClaims | _MeetingClaims] = TypeAdapter(_EnteringClaims)
_REFRESHING: TypeAdapter[_RefreshClaims] = TypeAdapter(_RefreshClaims)
_SESSION: TypeAdapter[_SessionClaims] = TypeAdapter(_SessionClaims)
_OUTSIDE: TypeAdapter[_OutsideClaims] = TypeAdapter(_OutsideClaims)
_C = TypeVar("_C", bound=_Someone)


class Tokens:
    """Issues and verifies tokens with one key, which also signs node tickets.

    Args:
        key: signs; its public half is in `jwks`.
        issuer: `iss` of all tokens.
        access_minutes: lifetime of access tokens.
        refresh_days: lifetime of refresh tokens.
        external: whose tokens are access tokens too; its `kid` and name differ from ours.
        now: Unix time, in s.
    """

    def __init__(
        self,
        key: Ed25519PrivateKey,
        *,
        issuer: str,
        access_minutes: int,
        refresh_days: int,
        external: Issuer | None = None,
        now: Callable[[], float] = time.time,
    ):
        self._key, self._issuer, self._now = key, issuer, now
        self.access_seconds = access_minutes * 60
        self.refresh_seconds = refresh_days * 86_400
        self._jwk = _jwk(key.public_key())
        self.signer_kid = self._jwk["kid"]
        self._external = external

    @property
    def key(self) -> Ed25519PrivateKey:
        """The private key, for the ticket signer."""
        return self._key

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys as a JWK set (RFC 7517), for SFU nodes and other services."""
        return {"keys": [self._jwk]}

    def access(self, person: Person) -> str:
        """An access token, valid for `access_seconds`."""
        return self._sign("access", AUDIENCE, person, self._now() + self.access_seconds)

    def meeting(
        self,
        meeting_id: MeetingId,
        person: Person,
        role: Role,
        *,
        expires_at: float,
        admitted: bool = False,
    ) -> str:
        """A token for one meeting and one role; see `meeting_token_expiry` for `expires_at`.

        `admitted`: a host has added its bearer, who passes the waiting room.
        """
        claims: dict[str, Any] = {"meeting_id": meeting_id, "role": role.value}
        if admitted:
            claims["admitted"] = True
        return self._sign("meeting", AUDIENCE, person, expires_at, **claims)

    def refresh(self, person: Person, *, family: str | None = None) -> tuple[str, RefreshClaims]:
        """A refresh token and what it says; without `family` it begins a new login."""
        login = self._login(person, family or secrets.token_urlsafe(16))
        return self._of_login("refresh", REFRESH_AUDIENCE, login), login

    def session(self, person: Person, *, outside: bool = False) -> tuple[str, RefreshClaims]:
        """A session, valid for `refresh_seconds`, and what it says."""
        login = self._login(person, secrets.token_urlsafe(16))
        login = login.model_copy(update={"outside": outside})
        return self._of_login("session", SESSION_AUDIENCE, login), login

    def continued(self, session: RefreshClaims) -> tuple[str, RefreshClaims]:
        """The same session, valid for as long as a new one; the older text stays good until its own
        end. One from outside ends when it would: then its issuer is asked again."""
        later = self._login(session.user, session.family, session.jti)
        login = session if session.outside else later
        return self._of_login("session", SESSION_AUDIENCE, login), login

    def verify(self, text: str, audience: str = AUDIENCE) -> Identity:
        """The bearer of an access or meeting token.

        Raises:
            BadToken: it is anything else, or has expired.
        """
        if self._external is not None and _kid(text) == self._external.kid:
            return _identity(self._open(text, self._external, _OUTSIDE))
        return _identity(self._open(text, self._ourselves(audience), _ENTERING))

    def verify_refresh(self, text: str) -> RefreshClaims:
        """What a refresh token says; whether it is the newest of its family is on record.

        Raises:
            BadToken: it is no refresh token, or has expired.
        """
        return _login(self._open(text, self._ourselves(REFRESH_AUDIENCE), _REFRESHING))

    def verify_session(self, text: str) -> RefreshClaims:
        """What a session says; whether it was ended is on record.

        Raises:
            BadToken: it is no session, or has expired.
        """
        return _login(self._open(text, self._ourselves(SESSION_AUDIENCE), _SESSION))

    def _login(self, person: Person, family: str, jti: str | None = None) -> RefreshClaims:
        return RefreshClaims(
            user=_user(person),
            family=family,
            jti=jti or secrets.token_urlsafe(24),
            expires_at=float(int(self._now() + self.refresh_seconds)),
        )

    def _of_login(self, typ: str, audience: str, login: RefreshClaims) -> str:
        more: dict[str, Any] = {"jti": login.jti, "family": login.family}
        if login.outside:
            more["outside"] = True
        return self._sign(typ, audience, login.user, login.expires_at, **more)

    def _sign(self, typ: str, audience: str, person: Person, expires_at: float, **more: Any) -> str:
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": audience,
            "sub": person.user_id,
            "iat": int(self._now()),
            "exp": int(expires_at),
            "jti": secrets.token_urlsafe(12),
            "typ": typ,
            "user_id": person.user_id,
            "userName": person.user_name,
            "email": person.email,
            "campus_id": person.campus_id,
        }
        headers = {"kid": self.signer_kid}
        return jwt.encode(claims | more, self._key, algorithm="EdDSA", headers=headers)

    def _ourselves(self, audience: str) -> Issuer:
        return Issuer(
            name=self._issuer,
            audience=audience,
            kid=self.signer_kid,
            key=self._key.public_key(),
            algorithm="EdDSA",
            required=("exp", "iat", "aud", "iss", "jti", "typ"),
        )

    def _open(self, text: str, issuer: Issuer, model: TypeAdapter[_C]) -> _C:
        """The claims of a token that the issuer signed and that is valid now."""
        if _kid(text) != issuer.kid:
            raise BadToken("the token is signed by an unknown key")
        try:
            payload = jwt.decode(
                text,
                issuer.key,
                algorithms=[issuer.algorithm],
                audience=issuer.audience,
                issuer=issuer.name,
                options={
                    "require": list(issuer.required),
                    "verify_exp": False,  # by our own clock, below
                    "verify_iat": False,
                    "verify_nbf": False,
                    "strict_aud": issuer.one_audience,
                },
            )
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise _invalid(error) from None
        try:
            claims = model.validate_python(payload)
        except ValidationError as error:
            names = ", ".join(sorted({str(e["loc"][-1]) for e in error.errors() if e["loc"]}))
            raise BadToken(f"the token has the wrong {names or 'typ'}") from None
        if claims.exp <= self._now():
            raise BadToken("the token has expired")
        if max(claims.iat, claims.nbf) > self._now() + _CLOCK_SKEW_S:
            raise BadToken("the token is from the future")
        return claims


def _kid(text: str) -> str:
    """Which key a token says that it is signed with; nothing in it is verified yet."""
    if len(text) > MAX_TOKEN_LENGTH:
        raise BadToken("the token is too long")
    try:
        return str(jwt.get_unverified_header(text).get("kid"))
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise _invalid(error) from None


def _invalid(error: Exception) -> BadToken:
    """Raised without its cause, whose text may quote the token."""
    return BadToken(f"the token is not valid ({type(error).__name__})")


def _login(claims: _LoginClaims) -> RefreshClaims:
    return RefreshClaims(
        user=_user(claims),
        family=claims.family,
        jti=claims.jti,
        expires_at=claims.exp,
        outside=isinstance(claims, _SessionClaims) and claims.outside,
    )


def _identity(claims: _Someone) -> Identity:
    meeting = claims if isinstance(claims, _MeetingClaims) else None
    return Identity(
        kind="meeting" if meeting else "access",
        user_id=claims.user_id,
        user_name=claims.user_name,
        email=claims.email,
        campus_id=claims.campus_id,
        meeting_id=meeting.meeting_id if meeting else None,
        role=meeting.role if meeting else None,
        admitted=meeting is not None and meeting.admitted,
        issued_at=claims.iat,
        expires_at=claims.exp,
    )


def meeting_token_expiry(meeting: Meeting, now: float) -> float:
    """Until when a meeting token is good, in Unix s: an hour after the meeting's planned end.

    A meeting without a duration is taken to last a day; one that runs over its time still gives
    an hour.
    """
    start = meeting.starts_at or meeting.created_at
    if meeting.duration_minutes:
        end = start + meeting.duration_minutes * 60
    else:
        end = max(start, now) + _OPEN_END_S
    return max(end, now) + _GRACE_S


def _user(person: Person) -> User:
    return User(
        user_id=person.user_id,
        user_name=person.user_name,
        email=person.email,
        campus_id=person.campus_id,
    )


def _jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The public key as a JWK (RFC 8037); its kid is its thumbprint (RFC 7638)."""
    x = _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    required = {"crv": "Ed25519", "kty": "OKP", "x": x}
    digest = hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest()
    return {**required, "kid": _base64url(digest), "alg": "EdDSA", "use": "sig"}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
