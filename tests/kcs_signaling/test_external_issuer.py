"""Tokens of an identity provider: its own are taken as access tokens, and nobody else's are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import get_default_algorithms
from pydantic import ValidationError

from kcs_signaling.issuers import external_issuer
from kcs_signaling.keys import KeyUnusable
from kcs_signaling.settings import AuthSettings, ExternalIssuerSettings, Settings
from kcs_signaling.tokens import BadToken, Tokens, User

NOW = 1_800_000_000.0
OURS = Ed25519PrivateKey.generate()
ISSUER, KID = "https://login.example.edu", "2026-01"
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
KEYS: dict[str, PrivateKey] = {
    "EdDSA": Ed25519PrivateKey.generate(),
    "ES256": generate_ec(SECP256R1()),
    "RS256": generate_rsa(65537, 2048),
}
GUIDE = {
    "user_id": "user_123",
    "campus_id": "campus_001",
    "userName": "John Doe",
    "email": "john@example.com",
}
"""The claims that the client guide shows."""
CLAIMS = {**GUIDE, "iss": ISSUER, "aud": "kcs", "iat": NOW - 5, "exp": NOW + 600}


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: PrivateKey, algorithm: str, **more: object) -> bytes:
    public: Any = key.public_key()
    return json.dumps(
        get_default_algorithms()[algorithm].to_jwk(public, as_dict=True) | more
    ).encode()


def settings_of(path: Path, algorithm: str = "EdDSA") -> ExternalIssuerSettings:
    return ExternalIssuerSettings.model_validate(
        {
            "issuer": ISSUER,
            "audience": "kcs",
            "key_file": path,
            "kid": KID,
            "algorithm": algorithm,
        }
    )


@pytest.fixture
def tokens(tmp_path: Path) -> Callable[..., Tokens]:
    """Our tokens, beside those of the provider with a key in this file."""

    def make(algorithm: str = "EdDSA", data: bytes | None = None) -> Tokens:
        path = tmp_path / "issuer.pub"
        path.write_bytes(pem(KEYS[algorithm]) if data is None else data)
        external = external_issuer(settings_of(path, algorithm))
        return Tokens(
            OURS,
            issuer="kcs",
            access_minutes=15,
            refresh_days=7,
            external=external,
            now=lambda: NOW,
        )

    return make


def signed(
    key: Any = None, algorithm: str = "EdDSA", headers: Any = None, **changes: object
) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    headers = {"kid": KID} if headers is None else headers
    return jwt.encode(claims, key or KEYS[algorithm], algorithm=algorithm, headers=headers)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_of_the_provider_says_who_somebody_is(
    tokens: Callable[..., Tokens], algorithm: str
) -> None:
    for data in (pem(KEYS[algorithm]), jwk(KEYS[algorithm], algorithm, kid=KID, alg=algorithm)):
        identity = tokens(algorithm, data).verify(signed(algorithm=algorithm))
        assert identity.kind == "access"
        assert (identity.user_id, identity.campus_id) == ("user_123", "campus_001")
        assert (identity.user_name, identity.email) == ("John Doe", "john@example.com")
        assert (identity.issued_at, identity.expires_at) == (NOW - 5, NOW + 600)
        assert (identity.meeting_id, identity.role) == (None, None)


@pytest.mark.parametrize(
    ("claimed", "name"),
    [
        ("Eve\x00", "Eve"),
        ("Eve\r\nBcc: all@example.org", "Eve Bcc: all@example.org"),
        (" \x1b[31mEve\x7f\x85\u2028", "[31mEve"),
        ("  Ann   Lee ", "Ann Lee"),
        ("Žofie 🙂", "Žofie 🙂"),
        ("\x00" * 200, ""),
    ],
)
def test_names_of_the_provider_are_spelled_as_ours_are(
    tokens: Callable[..., Tokens], claimed: str, name: str
) -> None:
    text = signed(userName=claimed, campus_id="c\x001", email="a\r\nb@example.org")
    identity = tokens().verify(text)
    assert identity.user_name == name
    assert (identity.campus_id, identity.email) == ("c 1", "a b@example.org")


def test_what_the_provider_adds_gives_no_role_and_opens_no_meeting(
    tokens: Callable[..., Tokens],
) -> None:
    text = signed(typ="meeting", meeting_id="m-1", role="host", aud=["account", "kcs"])
    identity = tokens().verify(text)
    assert (identity.kind, identity.meeting_id, identity.role) == ("access", None, None)


def test_our_own_tokens_work_as_before(tokens: Callable[..., Tokens]) -> None:
    both = tokens()
    ada = User(user_id="ada", user_name="Ada")
    assert both.verify(both.access(ada)).issued_at == NOW
    assert both.verify_refresh(both.refresh(ada)[0]).user == ada


HOSTILE: dict[str, Callable[[], str]] = {
    "another algorithm": lambda: signed(KEYS["ES256"], "ES256"),
    "another RSA": lambda: signed(KEYS["RS256"], "PS256"),
    "unsigned": lambda: jwt.encode(CLAIMS, None, algorithm="none", headers={"kid": KID}),
    "a secret that is the public key": lambda: signed(
        KEYS["EdDSA"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), "HS256"
    ),
    "another key, its kid": lambda: signed(Ed25519PrivateKey.generate()),
    "our key, its kid": lambda: signed(OURS),
    "another kid": lambda: signed(headers={"kid": "2025-01"}),
    "our kid": lambda: signed(
        headers={
            "kid": Tokens(OURS, issuer="kcs", access_minutes=1, refresh_days=1).signer_kid
        }
    ),
    "no kid": lambda: signed(headers={}),
    "another audience": lambda: signed(aud="account"),
    "our own audience": lambda: signed(aud="kcs-meetings"),
    "another issuer": lambda: signed(iss="https://evil.example"),
    "our own issuer": lambda: signed(iss="kcs"),
    "expired": lambda: signed(exp=NOW),
    "not yet": lambda: signed(nbf=NOW + 60),
    "from the future": lambda: signed(iat=NOW + 60),
    "a user id with a slash": lambda: signed(user_id="a/b"),
    "a user id that is a number": lambda: signed(user_id=7),
    "10 KB": lambda: signed(userName="a" * 10_000),
    **{f"no {name}": lambda name=name: signed(**{name: None}) for name in
       ("exp", "iat", "aud", "iss", "user_id")},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_token_that_is_not_the_providers_for_us_is_refused(
    tokens: Callable[..., Tokens], name: str
) -> None:
    text = HOSTILE[name]()
    with pytest.raises(BadToken) as caught:
        tokens().verify(text)
    assert caught.value.__cause__ is None
    for part in text.split("."):
        assert len(part) < 4 or part not in caught.value.message


def test_a_token_of_the_provider_is_no_refresh_token(tokens: Callable[..., Tokens]) -> None:
    with pytest.raises(BadToken):
        tokens().verify_refresh(signed(typ="refresh", aud="kcs-meetings-refresh", family="f"))


def test_an_rsa_provider_is_not_fooled_by_its_own_public_key_as_a_secret(
    tokens: Callable[..., Tokens],
) -> None:
    # by hand: PyJWT would not sign so
    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "kid": KID}).encode())
    body = jwt.utils.base64url_encode(json.dumps(CLAIMS).encode())
    hmac = get_default_algorithms()["HS256"]
    signature = hmac.sign(head + b"." + body, pem(KEYS["RS256"]))
    text = b".".join((head, body, jwt.utils.base64url_encode(signature))).decode()
    with pytest.raises(BadToken):
        tokens("RS256").verify(text)


@pytest.mark.parametrize(
    ("algorithm", "data"),
    {
        "nothing": ("EdDSA", b""),
        "no key": ("EdDSA", b"hello"),
        "broken JSON": ("EdDSA", b"{"),
        "another kind": ("RS256", pem(KEYS["EdDSA"])),
        "another kind as JWK": ("RS256", jwk(KEYS["EdDSA"], "EdDSA")),
        "another curve": ("ES256", pem(generate_ec(SECP384R1()))),
        "a short RSA key": ("RS256", pem(generate_rsa(65537, 1024))),
        "another kid": ("EdDSA", jwk(KEYS["EdDSA"], "EdDSA", kid="x")),
        "another alg": ("EdDSA", jwk(KEYS["EdDSA"], "EdDSA", alg="ES256")),
        "a key to encrypt with": ("EdDSA", jwk(KEYS["EdDSA"], "EdDSA", use="enc")),
        "a secret": ("EdDSA", b'{"kty": "oct", "k": "c2VjcmV0"}'),
        "a private key": (
            "EdDSA",
            KEYS["EdDSA"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ),
    }.values(),
)
def test_a_file_without_the_right_key_is_refused_at_start(
    tokens: Callable[..., Tokens], algorithm: str, data: bytes
) -> None:
    with pytest.raises(KeyUnusable, match="KCS_AUTH__EXTERNAL__KEY_FILE"):
        tokens(algorithm, data)


def test_a_missing_file_is_said_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match=r"KCS_AUTH__EXTERNAL__KEY_FILE .*No such file"):
        external_issuer(settings_of(tmp_path / "none"))


def test_the_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = settings_of(tmp_path / "key").model_dump(mode="json", exclude_none=True)
    for name, value in values.items():
        monkeypatch.setenv(f"KCS_AUTH__EXTERNAL__{name.upper()}", value)
    monkeypatch.setenv("KCS_AUTH__KEY_FILE", "/key")
    monkeypatch.setenv("KCS_HTTP__ALLOWED_ORIGINS", '["https://a.example"]')
    assert Settings().auth.external == settings_of(tmp_path / "key")
    monkeypatch.setenv("KCS_AUTH__EXTERNAL__ALGORITHM", "HS256")
    with pytest.raises(ValidationError):
        Settings()


def test_the_provider_is_not_called_as_we_are(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="must differ"):
        AuthSettings(key_file=tmp_path, issuer=ISSUER, external=settings_of(tmp_path))
