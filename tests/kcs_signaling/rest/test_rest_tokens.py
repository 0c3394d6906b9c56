"""Tokens over REST: login, rotation, replay, logout, keys."""

import asyncio
import time
from typing import Any

import jwt
import pytest

from kcs_contracts.rooms import Role
from kcs_signaling.tokens import Tokens

LOGIN = {"user_id": "ada", "user_name": "Ada", "email": "ada@example.org", "campus_id": "c1"}


async def log_in(rest: Any) -> Any:
    answer = await rest.call("POST", "/api/v1/auth/token", json=LOGIN)
    assert answer.status == 200
    return answer.json


async def refresh(rest: Any, token: str) -> Any:
    return await rest.call("POST", "/api/v1/auth/refresh", json={"refresh_token": token})


def is_problem(answer: Any, status: int, code: str) -> bool:
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "code"} <= set(answer.json)
    assert answer.json["status"] == status
    assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
    return bool(answer.json["code"] == code)


async def test_the_development_login_gives_tokens_that_open_the_api(rest: Any) -> None:
    pair = await log_in(rest)
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 900)
    made = await rest.call("POST", "/api/v1/meetings", token=pair["access_token"], json={})
    assert made.status == 201
    assert made.json["host_id"] == "ada"
    identity = rest.services.tokens.verify(pair["access_token"])
    assert (identity.email, identity.campus_id) == ("ada@example.org", "c1")


async def test_without_the_development_login_nobody_gets_a_token(start_rest: Any) -> None:
    async with start_rest(dev_login=False) as rest:
        answer = await rest.call("POST", "/api/v1/auth/token", json=LOGIN)
        assert is_problem(answer, 403, "ACCESS_DENIED")
        assert (await rest.call("GET", "/api/v1/config")).json["dev_login"] is False


async def test_a_refresh_token_gives_the_next_pair(rest: Any) -> None:
    pair = await log_in(rest)
    for _ in range(3):
        answer = await refresh(rest, pair["refresh_token"])
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json["refresh_token"] != pair["refresh_token"]
        pair = answer.json
    identity = rest.services.tokens.verify(pair["access_token"])
    assert (identity.user_id, identity.email) == ("ada", "ada@example.org")


async def test_a_replayed_refresh_token_ends_its_login_and_no_other(rest: Any) -> None:
    stolen, other = await log_in(rest), await log_in(rest)
    newer = (await refresh(rest, stolen["refresh_token"])).json
    assert is_problem(await refresh(rest, stolen["refresh_token"]), 401, "ACCESS_DENIED")
    assert is_problem(await refresh(rest, newer["refresh_token"]), 401, "ACCESS_DENIED")
    assert (await refresh(rest, other["refresh_token"])).status == 200


async def test_of_ten_exchanges_at_once_one_wins_and_the_login_ends(rest: Any) -> None:
    token = (await log_in(rest))["refresh_token"]
    answers = await asyncio.gather(*(refresh(rest, token) for _ in range(10)))
    won = [answer.json for answer in answers if answer.status == 200]
    assert len(won) == 1
    assert is_problem(await refresh(rest, won[0]["refresh_token"]), 401, "ACCESS_DENIED")


async def test_logout_ends_the_login_whichever_of_its_tokens_is_sent(rest: Any) -> None:
    first = await log_in(rest)
    second = (await refresh(rest, first["refresh_token"])).json
    body = {"refresh_token": first["refresh_token"]}
    for _ in range(2):  # and again does no harm
        assert (await rest.call("POST", "/api/v1/auth/logout", json=body)).status == 204
    assert is_problem(await refresh(rest, second["refresh_token"]), 401, "ACCESS_DENIED")


async def test_other_tokens_refresh_nothing(rest: Any) -> None:
    pair = await log_in(rest)
    for token in (pair["access_token"], "", "x.y.z", pair["refresh_token"][:-4] + "AAAA"):
        assert is_problem(await refresh(rest, token), 401, "ACCESS_DENIED")
    assert (await refresh(rest, pair["refresh_token"])).status == 200


async def test_the_published_keys_verify_the_tokens(rest: Any) -> None:
    answer = await rest.call("GET", "/.well-known/jwks.json")
    assert "max-age" in answer.headers["Cache-Control"]
    assert "d" not in answer.json["keys"][0]
    pair = await log_in(rest)
    kid = jwt.get_unverified_header(pair["access_token"])["kid"]
    key = jwt.PyJWKSet.from_dict(answer.json)[kid].key
    claims = jwt.decode(pair["access_token"], key, algorithms=["EdDSA"], audience="kcs-meetings")
    assert claims["userName"] == "Ada"


def _at(tokens: Tokens, now: float) -> Tokens:
    """The same key at another time."""
    return Tokens(
        tokens.key, issuer="kcs-meetings", access_minutes=15, refresh_days=7, now=lambda: now
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda rest: None,
        lambda rest: "garbage",
        lambda rest: "a" * 10_000,
        lambda rest: rest.services.tokens.refresh(rest.ada)[0],
        lambda rest: _at(rest.services.tokens, time.time() - 901).access(rest.ada),
        lambda rest: _at(rest.services.tokens, time.time() + 60).access(rest.ada),
    ],
    ids=["none", "garbage", "10 KB", "refresh", "expired", "future"],
)
async def test_a_bad_bearer_opens_nothing_and_is_not_echoed(rest: Any, make: Any) -> None:
    meeting = await rest.meeting()
    token = make(rest)
    for method, path in (
        ("POST", "/api/v1/meetings"),
        ("GET", f"/api/v1/meetings/{meeting['id']}"),
        ("POST", f"/api/v1/meetings/{meeting['id']}/end"),
        ("POST", f"/api/v1/meetings/{meeting['id']}/tokens"),
    ):
        body = {} if method == "POST" else None
        answer = await rest.call(method, path, token=token, json=body)
        assert is_problem(answer, 401, "ACCESS_DENIED")
        assert token is None or token not in answer.text
    owner = rest.access(rest.ada)
    still = await rest.call("GET", f"/api/v1/meetings/{meeting['id']}", token=owner)
    assert still.json["ended_at"] is None


async def test_basic_authentication_is_no_bearer(rest: Any) -> None:
    headers = {"Authorization": "Basic YWRhOmFkYQ=="}
    answer = await rest.call("GET", "/api/v1/meetings/x", headers=headers)
    assert is_problem(answer, 401, "ACCESS_DENIED")


async def test_a_role_in_an_access_token_gives_nothing(rest: Any) -> None:
    meeting = await rest.meeting()
    tokens = rest.services.tokens
    claims = jwt.decode(tokens.access(rest.bob), options={"verify_signature": False})
    claims |= {"role": Role.HOST.value, "meeting_id": meeting["id"]}
    forged = jwt.encode(claims, tokens.key, algorithm="EdDSA", headers={"kid": tokens.signer_kid})
    answer = await rest.call("POST", f"/api/v1/meetings/{meeting['id']}/end", token=forged)
    assert is_problem(answer, 403, "ACCESS_DENIED")
