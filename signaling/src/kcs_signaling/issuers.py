"""Whose tokens we take: ourselves, and at most one issuer from outside, such as a school's login.

All that a token could choose is fixed here: a key with its `kid`, one algorithm, one issuer, one
audience. The outside key comes from a file, a JWK or a PEM public key, read at start.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from kcs_signaling.keys import KeyUnusable
from kcs_signaling.settings import Algorithm, ExternalIssuerSettings

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
_MAX_FILE_BYTES = 64 * 1024
_MIN_RSA_BITS = 2048


@dataclass(frozen=True)
class Issuer:
    """Tokens of one audience that one key signs."""

    name: str
    """`iss`."""
    audience: str
    kid: str
    key: PublicKey
    algorithm: Algorithm
    required: tuple[str, ...]
    """Claims that must be there."""
    one_audience: bool = True
    """Whether `aud` names our audience alone, or may name others beside it (RFC 7519, 4.1.3)."""


def external_issuer(settings: ExternalIssuerSettings) -> Issuer:
    """The issuer from outside, with its key.

    Raises:
        KeyUnusable: the file is missing, or holds another kind of key than `algorithm` takes.
    """
    return Issuer(
        name=settings.issuer,
        audience=settings.audience,
        kid=settings.kid,
        key=_load(settings),
        algorithm=settings.algorithm,
        required=("exp", "iat", "aud", "iss", "user_id"),
        one_audience=False,
    )


def _load(settings: ExternalIssuerSettings) -> PublicKey:
    path = settings.key_file
    try:
        data = _read(path)
        key = _from_jwk(data, settings) if data.startswith(b"{") else load_pem_public_key(data)
    except OSError as error:
        raise KeyUnusable(
            f"KCS_AUTH__EXTERNAL__KEY_FILE {path} cannot be read ({error.strerror})"
        ) from error
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise KeyUnusable(
            f"KCS_AUTH__EXTERNAL__KEY_FILE {path} holds no public key as JWK or PEM"
        ) from error
    if not _fits(key, settings.algorithm):
        raise KeyUnusable(
            f"KCS_AUTH__EXTERNAL__KEY_FILE {path} holds another kind of key than "
            f"{settings.algorithm} takes"
        )
    assert isinstance(key, PublicKey)
    return key


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES).strip()


def _from_jwk(data: bytes, settings: ExternalIssuerSettings) -> object:
    jwk = json.loads(data)
    for name, expected in (("kid", settings.kid), ("alg", settings.algorithm), ("use", "sig")):
        if jwk.get(name, expected) != expected:
            raise ValueError(f"the JWK has another {name}")
    return jwt.PyJWK.from_dict(jwk, settings.algorithm).key


def _fits(key: object, algorithm: Algorithm) -> bool:
    match algorithm:
        case "EdDSA":
            return isinstance(key, Ed25519PublicKey)
        case "ES256":
            return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
        case "RS256":
            return isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS
