"""Local accounts: made by the command line, logged in to by password."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

PASSWORD = "correct horse battery"


async def command(home: Path, *args: str, password: str = PASSWORD) -> tuple[int, str]:
    """Runs `python -m kcs_signaling.accounts`; its exit status and what it said."""
    sql = {"KCS_SQL__URL": f"sqlite+aiosqlite:///{home}/records.sqlite"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kcs_signaling.accounts",
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], **sql},
    )
    said, _ = await process.communicate(f"{password}\n".encode())
    return process.returncode or 0, said.decode()


async def log_in(rest: Any, **who: Any) -> Any:
    return await rest.call("POST", "/api/v1/auth/token", json={"password": PASSWORD} | who)


async def test_an_account_of_the_command_line_logs_in_by_id_or_address(
    start_rest: Any, redis: Any, tmp_path: Path
) -> None:
    made = ("add", "ada", "--name", "Ada L.", "--email", "Ada@example.org", "--campus-id", "c1")
    assert await command(tmp_path, *made) == (0, "")
    code, said = await command(tmp_path, *made)
    assert (code, "already" in said) == (1, True)
    async with start_rest(dev_login=False, local_accounts=True) as rest:
        for who in ({"user_id": "ada"}, {"email": "ada@EXAMPLE.org"}):
            answer = await log_in(rest, **who)
            assert answer.status == 200, answer.text
            identity = rest.services.tokens.verify(answer.json["access_token"])
            assert (identity.user_id, identity.user_name) == ("ada", "Ada L.")
            assert (identity.email.lower(), identity.campus_id) == ("ada@example.org", "c1")
        assert await command(tmp_path, "password", "ada", password="another one, longer") == (0, "")
        assert (await log_in(rest, user_id="ada")).status == 401
        changed = await log_in(rest, user_id="ada", password="another one, longer")
        assert changed.status == 200
        mine = await rest.services.records.persons.export("ada")
        assert [row["action"] for row in mine["tables"]["audit"]] == ["login"] * 3
        assert mine["tables"]["audit"][0]["details"] == '{"by":"password"}'
        assert PASSWORD not in str(mine)


@pytest.mark.parametrize(
    ("args", "password"),
    [
        (("add", "../x"), PASSWORD),
        (("add", "eve"), "short"),
        (("add", "eve", "--email", "no address"), PASSWORD),
        (("password", "nobody"), PASSWORD),
    ],
)
async def test_the_command_says_what_is_wrong(
    tmp_path: Path, args: tuple[str, ...], password: str
) -> None:
    code, said = await command(tmp_path, *args, password=password)
    assert code == 1
    assert said.strip()
    assert "Traceback" not in said
    assert password not in said


async def test_a_wrong_password_and_an_unknown_account_look_and_take_the_same(
    start_rest: Any, redis: Any, tmp_path: Path
) -> None:
    assert await command(tmp_path, "add", "ada") == (0, "")
    async with start_rest(local_accounts=True) as rest:
        answers: dict[str, Any] = {}
        took: dict[str, list[float]] = {"ada": [], "nobody": []}
        for _ in range(4):
            for user in took:
                began = time.perf_counter()
                answers[user] = await log_in(rest, user_id=user, password="wrong password")
                took[user].append(time.perf_counter() - began)
        known, unknown = answers["ada"], answers["nobody"]
        assert known.status == 401
        assert (known.status, known.text) == (unknown.status, unknown.text)
        assert known.headers["WWW-Authenticate"] == "Bearer"
        # the hash is what takes long: without it an unknown account would answer at once
        ratio = min(took["nobody"]) / min(took["ada"])
        assert 1 / 3 < ratio < 3
        with capture_logs() as logs:
            await log_in(rest, email="somebody@example.org", password="a secret, mistyped")
            await log_in(rest, user_id="ada")
        assert "secret" not in str(logs)
        assert "somebody" not in str(logs)
        assert PASSWORD not in str(logs)


async def test_many_logins_at_once_are_answered(
    start_rest: Any, redis: Any, tmp_path: Path
) -> None:
    assert await command(tmp_path, "add", "ada") == (0, "")
    async with start_rest(local_accounts=True) as rest:
        tries = (log_in(rest, user_id="ada") for _ in range(10))
        health = rest.call("GET", "/healthz")
        *answers, healthy = await asyncio.gather(*tries, health)
        assert healthy.status == 200
        statuses = {answer.status for answer in answers}
        assert 200 in statuses
        assert statuses <= {200, 503}


async def test_passwords_and_the_development_login_are_on_by_their_own_settings(
    start_rest: Any, redis: Any, tmp_path: Path
) -> None:
    assert await command(tmp_path, "add", "ada") == (0, "")
    async with start_rest(dev_login=True, local_accounts=False) as rest:
        assert (await log_in(rest, user_id="ada")).status == 403
    async with start_rest(dev_login=False, local_accounts=True) as rest:
        dev = {"user_id": "ada", "user_name": "Ada"}
        assert (await rest.call("POST", "/api/v1/auth/token", json=dev)).status == 403
        assert (await log_in(rest, user_id="ada", user_name="Ada")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"password": PASSWORD},
        {"password": "", "user_id": "ada"},
        {"password": "x" * 1025, "user_id": "ada"},
        {"password": None, "user_id": "ada"},
        {"password": 5, "user_id": "ada"},
        {"user_id": "ada"},
        {"user_name": "Ada"},
        {"password": PASSWORD, "user_id": "../x"},
    ],
)
async def test_a_wrong_login_is_refused_without_an_echo(rest: Any, body: Any) -> None:
    answer = await rest.call("POST", "/api/v1/auth/token", json=body)
    assert answer.status == 422
    assert PASSWORD not in answer.text
