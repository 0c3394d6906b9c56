"""Being signed in on the page: a session in a cookie, for local accounts."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from structlog.testing import capture_logs

from kcs_contracts.ids import UserId
from kcs_signaling import accounts
from kcs_signaling.http import auth
from kcs_signaling.records.accounts import Account

PATH = "/api/v1/auth/session"
NAME = "__Host-kcs-session"
PASSWORD = "correct horse battery"


@pytest.fixture
async def rest(start_rest: Any, redis: Any) -> AsyncIterator[Any]:
    """A service with local accounts, and one of ada's."""
    async with start_rest(dev_login=False, local_accounts=True) as running:
        ada = Account(
            user_id=UserId("ada"),
            email="ada@example.org",
            user_name="Ada L.",
            password_hash=PasswordHasher().hash(PASSWORD),
            created_at=1.0,
        )
        await accounts.add(running.services.records, ada)
        yield running


async def sign_in(rest: Any, **who: Any) -> Any:
    body = {"login": "ada@example.org", "password": PASSWORD} | who
    return await rest.call("POST", PATH, json=body)


def cookie(answer: Any) -> Morsel[str]:
    """The one cookie that an answer sets."""
    (header,) = answer.headers.getall("Set-Cookie")
    ((name, morsel),) = SimpleCookie(header).items()
    assert name == NAME
    return morsel


async def with_cookie(rest: Any, method: str, path: str, value: str) -> Any:
    return await rest.call(method, path, headers={"Cookie": f"{NAME}={value}"})


async def refresh(rest: Any, value: str) -> Any:
    return await with_cookie(rest, "POST", f"{PATH}/refresh", value)


@pytest.mark.parametrize("login", ["ada", "ada@example.org", "ADA@example.org"])
async def test_a_password_gives_an_access_token_and_a_cookie_that_no_script_reads(
    rest: Any, login: str
) -> None:
    answer = await sign_in(rest, login=login)
    assert answer.status == 200, answer.text
    assert set(answer.json) == {"access_token", "token_type", "expires_in"}
    assert answer.headers["Cache-Control"] == "no-store"
    set_cookie = cookie(answer)
    assert set_cookie["httponly"] is True
    assert set_cookie["secure"] is True
    assert set_cookie["samesite"].lower() == "strict"
    assert (set_cookie["path"], set_cookie["domain"]) == ("/", "")
    week = 7 * 86_400
    assert week - 60 <= int(set_cookie["max-age"]) <= week
    assert set_cookie.value not in answer.text
    identity = rest.services.tokens.verify(answer.json["access_token"])
    assert (identity.user_id, identity.user_name) == ("ada", "Ada L.")
    made = await rest.call("POST", "/api/v1/meetings", token=answer.json["access_token"], json={})
    assert (made.status, made.json["host_id"]) == (201, "ada")


async def test_all_tabs_get_access_tokens_at_once_and_none_is_signed_out(rest: Any) -> None:
    first = cookie(await sign_in(rest)).value
    answers = await asyncio.gather(*(refresh(rest, first) for _ in range(6)))
    assert [answer.status for answer in answers] == [200] * 6
    later = cookie(answers[-1]).value
    for value in (first, later):  # an answer may be lost: then the older one is still there
        answer = await refresh(rest, value)
        assert answer.status == 200
        assert rest.services.tokens.verify(answer.json["access_token"]).user_name == "Ada L."


async def test_signing_out_ends_the_session_in_all_tabs_and_no_other_browsers(rest: Any) -> None:
    mine, phone = [cookie(await sign_in(rest)).value for _ in range(2)]
    later = cookie(await refresh(rest, mine)).value
    gone = await with_cookie(rest, "DELETE", PATH, later)
    assert (gone.status, gone.text) == (204, "")
    assert (cookie(gone).value, cookie(gone)["max-age"]) == ("", "0")
    assert [(await refresh(rest, each)).status for each in (mine, later)] == [401, 401]
    assert (await refresh(rest, phone)).status == 200


@pytest.mark.parametrize("value", ["", "nonsense", "a.b.c", "x" * 5000])
async def test_what_is_no_session_gives_no_token_and_can_be_signed_out(
    rest: Any, value: str
) -> None:
    refused = await refresh(rest, value)
    assert (refused.status, refused.json["code"]) == (401, "ACCESS_DENIED")
    assert (await with_cookie(rest, "DELETE", PATH, value)).status == 204
    assert (await rest.call("DELETE", PATH)).status == 204


async def test_neither_sessions_nor_refresh_tokens_nor_access_tokens_pass_for_each_other(
    rest: Any,
) -> None:
    signed_in = await sign_in(rest)
    session = cookie(signed_in).value
    login = {"user_id": "ada", "password": PASSWORD}
    pair = (await rest.call("POST", "/api/v1/auth/token", json=login)).json
    for value in (pair["refresh_token"], pair["access_token"]):
        assert (await refresh(rest, value)).status == 401
    body = {"refresh_token": session}
    for path in ("refresh", "logout"):
        assert (await rest.call("POST", f"/api/v1/auth/{path}", json=body)).status == 401
    assert (await rest.call("GET", "/api/v1/meetings", token=session)).status == 401
    assert (await refresh(rest, session)).status == 200


async def test_the_session_of_a_person_who_is_erased_has_ended(rest: Any) -> None:
    answer = await sign_in(rest)
    token = answer.json["access_token"]
    assert (await rest.call("DELETE", "/api/v1/me", token=token)).status == 200
    assert (await refresh(rest, cookie(answer).value)).status == 401


async def test_another_password_by_the_operator_ends_the_sessions(
    rest: Any, tmp_path: Path
) -> None:
    session = cookie(await sign_in(rest)).value
    database = f"sqlite+aiosqlite:///{tmp_path}/records.sqlite"
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kcs_signaling.accounts",
        "password",
        "ada",
        stdin=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "KCS_SQL__URL": database},
    )
    await command.communicate(b"another one, longer\n")
    assert command.returncode == 0
    assert (await refresh(rest, session)).status == 401
    assert (await sign_in(rest)).status == 401
    assert (await sign_in(rest, password="another one, longer")).status == 200


async def test_a_wrong_password_signs_nobody_in_and_says_no_more_than_that(rest: Any) -> None:
    wrong = await sign_in(rest, password="a secret, mistyped")
    unknown = await sign_in(rest, login="nobody@example.org")
    assert (wrong.status, wrong.json["code"]) == (401, "ACCESS_DENIED")
    assert wrong.text == unknown.text
    assert "Set-Cookie" not in wrong.headers


async def test_tries_count_whichever_way_they_are_made_and_the_answer_says_how_long_to_wait(
    rest: Any,
) -> None:
    for _ in range(auth.LOGINS.count // 2):
        assert (await sign_in(rest, login="ada", password="wrong")).status == 401
        guess = {"user_id": "ada", "password": "wrong"}
        assert (await rest.call("POST", "/api/v1/auth/token", json=guess)).status == 401
    limited = await sign_in(rest, login="ada")
    assert (limited.status, limited.json["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert int(limited.headers["Retry-After"]) >= 1


async def test_without_local_accounts_nobody_signs_in_and_the_page_is_told(
    start_rest: Any, redis: Any, rest: Any
) -> None:
    assert (await rest.call("GET", "/api/v1/config")).json["local_accounts"] is True
    async with start_rest(dev_login=True) as other:
        assert (await sign_in(other)).status == 403
        assert (await other.call("GET", "/api/v1/config")).json["local_accounts"] is False


@pytest.mark.parametrize(
    "body",
    [
        {"login": "ada"},
        {"password": PASSWORD},
        {"login": "", "password": PASSWORD},
        {"login": "ada\n", "password": PASSWORD},
        {"login": "a" * 255, "password": PASSWORD},
        {"login": "ada", "password": ""},
        {"login": "ada", "password": "x" * 1025},
    ],
)
async def test_a_wrong_form_is_refused_without_an_echo(rest: Any, body: Any) -> None:
    answer = await rest.call("POST", PATH, json=body)
    assert answer.status == 422
    assert PASSWORD not in answer.text


async def test_the_form_of_another_site_signs_nobody_in(rest: Any) -> None:
    text = f'{{"login": "ada", "password": "{PASSWORD}"}}'
    answer = await rest.call("POST", PATH, data=text, headers={"Content-Type": "text/plain"})
    assert answer.status == 422
    assert "Set-Cookie" not in answer.headers


async def test_no_log_line_has_a_session_or_a_password(rest: Any) -> None:
    with capture_logs() as logs:
        session = cookie(await sign_in(rest)).value
        await sign_in(rest, password="a secret, mistyped")
        await refresh(rest, session)
        await with_cookie(rest, "DELETE", PATH, session)
    assert [line["event"] for line in logs] == ["logged_in", "logged_out"]
    assert session not in str(logs)
    assert PASSWORD not in str(logs)
    assert "secret" not in str(logs)
