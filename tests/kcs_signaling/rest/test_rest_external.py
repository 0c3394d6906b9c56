"""Signing in on the page with an identity provider: there, and back with a code."""

from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs
from tests.support.identity_provider import IdentityProvider

from kcs_contracts.limits import Limit
from kcs_signaling.http import external

PATH = "/api/v1/auth/external"
BACK = f"https://meet.example.org{PATH}/callback"
SESSION, BEGUN = "__Host-kcs-session", "__Host-kcs-sign-in"


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider(BACK) as running:
        yield running


@pytest.fixture
async def rest(
    start_rest: Any, redis: Any, provider: IdentityProvider, tmp_path: Path
) -> AsyncIterator[Any]:
    """A service whose people the provider knows."""
    async with start_rest(dev_login=False, external=provider.settings(tmp_path)) as running:
        yield running


def cookies(answer: Any) -> dict[str, Morsel[str]]:
    """What an answer sets, by name."""
    found: dict[str, Morsel[str]] = {}
    for header in answer.headers.getall("Set-Cookie", ()):
        found.update(SimpleCookie(header))
    return found


async def go(rest: Any, path: str, cookie: str = "") -> Any:
    """What a browser is told that goes there."""
    return await rest.call("GET", path, headers={"Cookie": cookie}, allow_redirects=False)


async def begin(rest: Any, to: str = "/m/k7f-x2mq-9tb") -> tuple[str, str]:
    """Goes to the provider and is sent back; the cookie, and the way back."""
    there = await go(rest, f"{PATH}?to={to}")
    assert there.status == 303
    begun = cookies(there)[BEGUN]
    async with rest.http.get(there.headers["Location"], allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        back = urlsplit(answer.headers["Location"])
    return f"{BEGUN}={begun.coded_value}", f"{back.path}?{back.query}"


async def refresh(rest: Any, session: str) -> Any:
    headers = {"Cookie": f"{SESSION}={session}"}
    return await rest.call("POST", "/api/v1/auth/session/refresh", headers=headers)


async def test_whoever_the_provider_knows_comes_back_signed_in(rest: Any) -> None:
    cookie, back = await begin(rest)
    answer = await go(rest, back, cookie)
    assert (answer.status, answer.headers["Location"]) == (303, "/m/k7f-x2mq-9tb#sign-in=done")
    session = cookies(answer)[SESSION]
    assert (session["httponly"], session["secure"]) == (True, True)
    assert session["samesite"].lower() == "strict"
    assert cookies(answer)[BEGUN]["max-age"] == "0"
    token = (await refresh(rest, session.value)).json["access_token"]
    identity = rest.services.tokens.verify(token)
    assert (identity.user_id, identity.user_name) == ("grace", "Grace Hopper")
    mine = await rest.services.records.persons.export("grace")
    assert [row["details"] for row in mine["tables"]["audit"]] == ['{"by":"external"}']


async def test_a_session_of_the_providers_ends_when_it_would_however_often_it_is_used(
    rest: Any,
) -> None:
    cookie, back = await begin(rest)
    text = cookies(await go(rest, back, cookie))[SESSION].value
    ends = rest.services.tokens.verify_session(text).expires_at
    later = await rest.services.records.refresh_tokens.extend(
        rest.services.tokens.verify_session(text)
    )
    assert later
    for _ in range(2):
        text = cookies(await refresh(rest, text))[SESSION].value
        assert rest.services.tokens.verify_session(text).expires_at == ends


async def test_what_goes_there_has_the_code_s_lock_and_no_secret(rest: Any) -> None:
    there = await go(rest, PATH)
    query = parse_qs(urlsplit(there.headers["Location"]).query)
    begun = cookies(there)[BEGUN]
    state, verifier, page = begun.value.split(" ")
    assert query["state"] == [state]
    assert query["code_challenge_method"] == ["S256"]
    assert verifier not in there.headers["Location"]
    assert "secret" not in there.headers["Location"]
    assert page == "/"
    assert (begun["httponly"], begun["secure"], begun["samesite"].lower()) == (True, True, "lax")


async def test_a_code_that_another_browser_began_signs_nobody_in(rest: Any) -> None:
    _, stolen = await begin(rest)
    mine, _ = await begin(rest)
    for cookie in ("", mine, f"{BEGUN}=nonsense", f'{BEGUN}="a b //evil.example"'):
        answer = await go(rest, stolen, cookie)
        assert answer.status == 303
        assert answer.headers["Location"] in ("/#sign-in=late", "/m/k7f-x2mq-9tb#sign-in=late")
        assert SESSION not in cookies(answer)


async def test_a_code_works_once(rest: Any) -> None:
    cookie, back = await begin(rest)
    assert SESSION in cookies(await go(rest, back, cookie))
    again = await go(rest, back, cookie)
    assert again.headers["Location"].endswith("#sign-in=refused")
    assert SESSION not in cookies(again)


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        ({"refuses": True}, "refused"),
        ({"audience": "another service"}, "refused"),
        ({"person": {"userName": "Nobody"}}, "refused"),
        ({"away": True}, "away"),
    ],
    ids=["no code", "a token for others", "no user id", "away"],
)
async def test_whoever_is_not_let_in_hears_why(
    rest: Any, provider: IdentityProvider, fault: dict[str, Any], heard: str
) -> None:
    for name, value in fault.items():
        setattr(provider, name, value)
    cookie, back = await begin(rest)
    answer = await go(rest, back, cookie)
    assert answer.headers["Location"] == f"/m/k7f-x2mq-9tb#sign-in={heard}"
    assert set(cookies(answer)) == {BEGUN}


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/m/a/b", "/m/a%0d%0ab"])
async def test_the_way_back_leads_to_pages_of_ours_alone(rest: Any, to: str) -> None:
    cookie, back = await begin(rest, to)
    assert (await go(rest, back, cookie)).headers["Location"] == "/#sign-in=done"


async def test_the_provider_is_asked_so_often_from_an_address(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "_RETURNS", Limit(count=2, per_seconds=300))
    heard = []
    for _ in range(3):
        cookie, back = await begin(rest)
        heard.append((await go(rest, back, cookie)).headers["Location"].partition("#")[2])
    assert heard == ["sign-in=done", "sign-in=done", "sign-in=away"]


async def test_without_a_provider_there_is_no_way_there_and_the_page_is_told(
    start_rest: Any, redis: Any, rest: Any
) -> None:
    assert (await rest.call("GET", "/api/v1/config")).json["external_login"] is True
    async with start_rest() as other:
        assert (await other.call("GET", "/api/v1/config")).json["external_login"] is False
        assert (await go(other, PATH)).status == 404
        assert (await go(other, f"{PATH}/callback?code=x&state=y")).status == 404


async def test_no_log_line_has_a_code_or_a_token(rest: Any) -> None:
    with capture_logs() as logs:
        cookie, back = await begin(rest)
        answer = await go(rest, back, cookie)
        await go(rest, back, cookie)
    assert [line["event"] for line in logs] == ["logged_in", "external_login_refused"]
    (code,) = parse_qs(urlsplit(back).query)["code"]
    for secret in (code, cookies(answer)[SESSION].value, *cookie.split(" ")):
        assert secret not in str(logs)
