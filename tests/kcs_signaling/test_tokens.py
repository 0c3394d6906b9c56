"""Tokens: what is issued is verified, and everything else is refused without being echoed."""

import base64
import json
import stat
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from kcs_contracts.rooms import Assignment, Role
from kcs_contracts.tickets import TicketSigner
from kcs_signaling.keys import KeyUnusable, create_key, load_key
from kcs_signaling.ports import Meeting
from kcs_signaling.tokens import BadToken, Tokens, User, meeting_token_expiry

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.generate()
ADA = User(user_id="ada", user_name="Ada Lovelace", email="ada@example.org", campus_id="c1")


def issuer(now: float = NOW, key: Ed25519PrivateKey = KEY, name: str = "kcs") -> Tokens:
    return Tokens(key, issuer=name, access_minutes=15, refresh_days=7, now=lambda: now)


def signed(changes: dict[str, object], headers: dict[str, object] | None = None) -> str:
    """An access token by the real key with some claims changed; None takes one away."""
    tokens = issuer()
    claims = jwt.decode(tokens.access(ADA), options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": tokens.signer_kid} if headers is None else headers
    return jwt.encode(claims, KEY, algorithm="EdDSA", headers=headers)


def handmade(header: dict[str, object], signature: bytes = b"") -> str:
    claims = jwt.decode(issuer().access(ADA), options={"verify_signature": False})
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def with_public_key_as_secret() -> str:
    """The classic: HMAC with what everybody knows, in the encoding an HMAC library would take."""
    tokens = issuer()
    claims = jwt.decode(tokens.access(ADA), options={"verify_signature": False})
    secret = base64.urlsafe_b64decode(tokens.jwks()["keys"][0]["x"] + "=")
    assert secret == KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return jwt.encode(claims, secret, algorithm="HS256", headers={"kid": tokens.signer_kid})


def ticket() -> str:
    home = Assignment(meeting_id="m", node="n", boot="b", epoch=1, control_url="http://n")
    return TicketSigner(KEY, issuer().signer_kid, now=lambda: NOW).ticket(home)


KID = issuer().signer_kid
HOSTILE = {
    "empty": lambda: "",
    "not a token": lambda: "let me in",
    "two segments": lambda: "a.b",
    "a null byte": lambda: "\x00.\x00.\x00",
    "beyond ASCII": lambda: "ä.ö.ü",
    "a lone surrogate": lambda: "\ud800.a.b",
    "10 KB": lambda: issuer().access(ADA) + "a" * 10_000,
    "10 KB of claims": lambda: signed({"userName": "a" * 10_000}),
    "nested 1,500 deep": lambda: base64.urlsafe_b64encode(b"[" * 1500).decode() + ".e30.e30",
    "expired": lambda: issuer(NOW - 901).access(ADA),
    "expired this second": lambda: signed({"exp": NOW}),
    "from the future": lambda: signed({"iat": NOW + 31, "exp": NOW + 900}),
    "unsigned": lambda: handmade({"alg": "none", "kid": KID}),
    "unsigned, spelt oddly": lambda: handmade({"alg": "nOnE", "kid": KID}),
    "no signature": lambda: handmade({"alg": "EdDSA", "kid": KID}),
    "a wrong signature": lambda: handmade({"alg": "EdDSA", "kid": KID}, bytes(64)),
    "HS256 with the public key": with_public_key_as_secret,
    "another key, our kid": lambda: jwt.encode(
        jwt.decode(issuer().access(ADA), options={"verify_signature": False}),
        Ed25519PrivateKey.generate(),
        algorithm="EdDSA",
        headers={"kid": KID},
    ),
    "another key, its kid": lambda: issuer(key=Ed25519PrivateKey.generate()).access(ADA),
    "no kid": lambda: signed({}, headers={}),
    "kid is a path": lambda: signed({}, headers={"kid": "../../dev/null"}),
    "its own key in the header": lambda: jwt.encode(
        jwt.decode(issuer().access(ADA), options={"verify_signature": False}),
        KEY,
        algorithm="EdDSA",
        headers={"kid": "x", "jwk": issuer().jwks()["keys"][0]},
    ),
    "an unknown critical header": lambda: signed({}, headers={"kid": KID, "crit": ["x"], "x": 1}),
    "another audience": lambda: signed({"aud": "kcs-node"}),
    "our audience among others": lambda: signed({"aud": ["kcs-meetings", "kcs-node"]}),
    "another issuer": lambda: issuer(name="mallory").access(ADA),
    "a refresh token": lambda: issuer().refresh(ADA)[0],
    "a refresh token for our audience": lambda: signed({"typ": "refresh"}),
    "a node ticket": ticket,
    "an unknown typ": lambda: signed({"typ": "admin"}),
    "a typ that is no text": lambda: signed({"typ": ["access"]}),
    "a meeting token of no meeting": lambda: signed({"typ": "meeting", "role": "host"}),
    "a meeting token of no role": lambda: signed({"typ": "meeting", "meeting_id": "m"}),
    "an unknown role": lambda: signed({"typ": "meeting", "meeting_id": "m", "role": "root"}),
    "a meeting id with a slash": lambda: signed(
        {"typ": "meeting", "meeting_id": "a/b", "role": "host"}
    ),
    "a user id with a slash": lambda: signed({"user_id": "../ada"}),
    "a user id that is a number": lambda: signed({"user_id": 7}),
    "exp as text": lambda: signed({"exp": str(NOW + 60)}),
    "exp without end": lambda: signed({"exp": float("inf")}),
    "iat as truth": lambda: signed({"iat": True}),
    **{f"no {name}": lambda name=name: signed({name: None}) for name in
       ("exp", "iat", "aud", "iss", "jti", "typ", "user_id")},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_refused_and_not_echoed(name: str) -> None:
    text = HOSTILE[name]()
    with pytest.raises(BadToken) as caught:
        issuer().verify(text)
    assert caught.value.code == "ACCESS_DENIED"
    assert caught.value.__cause__ is None
    assert len(caught.value.message) < 200
    for part in text.split("."):
        assert len(part) < 4 or part not in caught.value.message


def test_the_base_of_the_hostile_tokens_is_itself_accepted() -> None:
    assert issuer().verify(signed({})).user_id == "ada"
    assert issuer().verify(signed({"iat": NOW + 29, "nonsense": 1})).user_id == "ada"


def test_an_access_token_says_who_and_for_how_long() -> None:
    tokens = issuer()
    identity = tokens.verify(tokens.access(ADA))
    assert (identity.kind, identity.user_id, identity.user_name) == ("access", "ada", ADA.user_name)
    assert (identity.email, identity.campus_id) == ("ada@example.org", "c1")
    assert (identity.meeting_id, identity.role, identity.expires_at) == (None, None, NOW + 900)


def test_a_token_has_the_claims_of_both_guides() -> None:
    text = issuer().meeting("m-1", ADA, Role.CO_HOST, expires_at=NOW + 60)
    claims = jwt.decode(text, options={"verify_signature": False})
    said = {name: claims[name] for name in ("user_id", "campus_id", "userName", "email", "role")}
    assert said == {
        "user_id": "ada",
        "campus_id": "c1",
        "userName": "Ada Lovelace",
        "email": "ada@example.org",
        "role": "co_host",
    }
    assert claims["sub"] == "ada"


def test_a_meeting_token_is_for_one_meeting_in_one_role() -> None:
    tokens = issuer()
    identity = tokens.verify(tokens.meeting("m-1", ADA, Role.GUEST, expires_at=NOW + 60.9))
    assert (identity.kind, identity.meeting_id, identity.role) == ("meeting", "m-1", Role.GUEST)
    assert identity.expires_at == NOW + 60


def test_a_token_can_be_made_again_from_the_identity_of_another() -> None:
    tokens = issuer()
    identity = tokens.verify(tokens.access(ADA))
    resumed = tokens.verify(tokens.meeting("m-1", identity, Role.HOST, expires_at=NOW + 60))
    assert (resumed.user_id, resumed.user_name) == ("ada", "Ada Lovelace")


def test_a_refresh_token_is_read_by_nothing_but_the_exchange() -> None:
    tokens = issuer()
    text, claims = tokens.refresh(ADA)
    assert tokens.verify_refresh(text) == claims
    assert claims.user == ADA
    next_text, next_claims = tokens.refresh(ADA, family=claims.family)
    assert next_claims.family == claims.family
    assert next_claims.jti != claims.jti
    assert next_text != text
    with pytest.raises(BadToken):
        tokens.verify_refresh(tokens.access(ADA))
    with pytest.raises(BadToken):
        issuer(NOW + 7 * 86_400).verify_refresh(text)


def test_kid_is_the_thumbprint_of_the_rfc_8037_example_key() -> None:
    d = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    tokens = issuer(key=Ed25519PrivateKey.from_private_bytes(d))
    assert tokens.signer_kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    (jwk,) = tokens.jwks()["keys"]
    assert jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert "d" not in jwk


def test_a_published_key_verifies_what_was_signed() -> None:
    tokens = issuer()
    key = jwt.PyJWKSet.from_dict(tokens.jwks())[tokens.signer_kid].key
    claims = jwt.decode(
        tokens.access(ADA),
        key,
        algorithms=["EdDSA"],
        audience="kcs-meetings",
        options={"verify_iat": False},
    )
    assert claims["user_id"] == "ada"


@pytest.mark.parametrize(
    ("starts_at", "minutes", "expected"),
    [
        (NOW + 7200, 60, NOW + 7200 + 3600 + 3600),  # scheduled: its end and an hour
        (None, 30, NOW - 60 + 1800 + 3600),  # at once: from its making
        (NOW - 86_400, 60, NOW + 3600),  # over its time: an hour from now
        (None, None, NOW + 86_400 + 3600),  # no end planned: a day and an hour
        (NOW + 86_400, None, NOW + 2 * 86_400 + 3600),
    ],
)
def test_a_meeting_token_is_good_until_an_hour_after_the_end(
    starts_at: float | None, minutes: int | None, expected: float
) -> None:
    meeting = Meeting(
        id="m",
        display_name="M",
        host_id="ada",
        max_participants=10,
        expected_participants=0,
        region="",
        default_role=Role.PRESENTER,
        starts_at=starts_at,
        duration_minutes=minutes,
        created_at=NOW - 60,
        ended_at=None,
    )
    assert meeting_token_expiry(meeting, NOW) == expected


def test_a_key_is_made_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    command = [sys.executable, "-m", "kcs_signaling.keys", str(path)]
    subprocess.run(command, check=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = path.read_bytes()
    assert issuer(key=load_key(path)).signer_kid
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "exists" in again.stderr
    assert path.read_bytes() == made


def test_a_missing_key_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match=r"python -m kcs_signaling\.keys .*key\.pem"):
        load_key(tmp_path / "key.pem")
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_another_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("hello")
    with pytest.raises(KeyUnusable, match="holds no unencrypted PEM"):
        load_key(path)
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnusable, match="another kind of key"):
        load_key(path)
    with pytest.raises(FileExistsError):
        create_key(path)
