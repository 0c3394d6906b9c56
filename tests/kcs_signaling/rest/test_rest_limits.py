"""Limits of REST: 429 with Retry-After, by person and by address."""

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.limits import Limit
from kcs_contracts.rooms import Role
from kcs_signaling.http import auth, chat, me, meetings, needs
from kcs_signaling.service import inviting
from kcs_signaling.settings import LimitSettings
from kcs_signaling.tokens import User

LOGIN = {"user_id": "ada", "password": "a wrong password"}
FEW = Limit(count=3, per_seconds=300)


def assert_limited(answer: Any, limit: Limit) -> None:
    """A problem that says when to come again."""
    assert answer.status == 429, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["code"] == "RATE_LIMIT_EXCEEDED"
    wait_s = int(answer.headers["Retry-After"])
    assert 1 <= wait_s <= limit.per_seconds / limit.count + 1


async def guess(rest: Any, address: str = "192.0.2.7", **login: str) -> Any:
    headers = {"X-Forwarded-For": address}
    return await rest.call("POST", "/api/v1/auth/token", json=LOGIN | login, headers=headers)


async def guesses(rest: Any, tries: int, address: str = "192.0.2.7", **login: str) -> list[int]:
    return [(await guess(rest, address, **login)).status for _ in range(tries)]


@pytest.fixture
async def behind_proxy(redis: Redis, start_rest: Any) -> Any:
    """A service with local accounts that trusts a proxy on this machine."""
    async with start_rest(local_accounts=True, proxies=("127.0.0.1/32",)) as running:
        yield running


async def test_passwords_of_an_account_may_be_tried_ten_times_from_an_address(
    behind_proxy: Any,
) -> None:
    assert await guesses(behind_proxy, 10) == [401] * 10
    assert_limited(await guess(behind_proxy), auth.LOGINS)
    assert_limited(await guess(behind_proxy, user_id="ADA"), auth.LOGINS)
    assert (await guess(behind_proxy, "192.0.2.8")).status == 401
    assert (await guess(behind_proxy, user_id="bob")).status == 401


async def test_passwords_may_be_tried_so_often_from_an_address_whatever_the_account(
    behind_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "LOGINS", FEW)
    tries = FEW.count * auth.LOGINS_ADDRESS_FACTOR
    statuses = [await guesses(behind_proxy, 1, user_id=f"u{n}") for n in range(tries)]
    assert statuses == [[401]] * tries
    assert_limited(await guess(behind_proxy, user_id="u-more"), FEW)
    assert (await guess(behind_proxy, "192.0.2.8")).status == 401


async def test_passwords_of_an_account_may_be_tried_so_often_from_all_addresses(
    behind_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "LOGINS_ANYWHERE", FEW)
    statuses = [await guesses(behind_proxy, 1, f"192.0.2.{n}") for n in range(5)]
    assert statuses == [[401], [401], [401], [429], [429]]


async def test_a_header_of_the_clients_own_gives_it_no_new_address(
    redis: Redis, start_rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "LOGINS", FEW)
    async with start_rest(local_accounts=True) as rest:
        statuses = [await guesses(rest, 1, f"192.0.2.{n}") for n in range(5)]
        assert statuses == [[401], [401], [401], [429], [429]]


async def test_names_of_accounts_do_not_stand_in_redis(behind_proxy: Any, redis: Redis) -> None:
    await guess(behind_proxy, user_id="grace.hopper")
    await guess(behind_proxy, user_id="", email="grace.hopper@example.org")
    assert await redis.keys("kcs:limit:login/*")
    assert await redis.keys("*grace*") == []


async def test_refreshing_is_limited_and_bad_tokens_cost_nobody_anything(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REFRESHES", FEW)
    login = {"user_id": "ada", "user_name": "Ada"}
    pair = (await rest.call("POST", "/api/v1/auth/token", json=login)).json
    for _ in range(5):
        bad = {"refresh_token": pair["access_token"]}
        assert (await rest.call("POST", "/api/v1/auth/refresh", json=bad)).status == 401
    for _ in range(3):
        body = {"refresh_token": pair["refresh_token"]}
        answer = await rest.call("POST", "/api/v1/auth/refresh", json=body)
        assert answer.status == 200
        pair = answer.json
    body = {"refresh_token": pair["refresh_token"]}
    assert_limited(await rest.call("POST", "/api/v1/auth/refresh", json=body), FEW)


async def test_making_meetings_is_limited_for_each_user(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meetings, "CREATIONS", FEW)
    for _ in range(3):
        await rest.meeting()
    ada = rest.access(rest.ada)
    assert_limited(await rest.call("POST", "/api/v1/meetings", token=ada, json={}), FEW)
    await rest.meeting(rest.bob)
    listed = await rest.call("GET", "/api/v1/meetings", token=ada)
    assert len(listed.json["items"]) == 3


async def test_what_a_host_changes_is_limited_all_together(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "CHANGES", FEW)
    meeting, ada = await rest.meeting(), rest.access(rest.ada)
    path = f"/api/v1/meetings/{meeting['id']}"
    guest = {"display_name": "Guest"}
    rename = {"json": {"display_name": "Renamed"}, "headers": {"If-Match": "*"}}
    assert (await rest.call("POST", f"{path}/tokens", token=ada, json=guest)).status == 201
    assert (await rest.call("PATCH", path, token=ada, **rename)).status == 200
    assert (await rest.call("POST", f"{path}/end", token=ada)).status == 200
    for method, where, body in (
        ("POST", f"{path}/tokens", {"json": guest}),
        ("PATCH", path, rename),
        ("PUT", f"{path}/debug", {"json": {"enabled": False}}),
        ("POST", f"{path}/end", {}),
        ("DELETE", path, {}),
    ):
        assert_limited(await rest.call(method, where, token=ada, **body), FEW)
    assert (await rest.call("GET", path, token=ada)).status == 200


async def test_invitations_are_limited_for_a_host_whichever_token_makes_them(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inviting, "INVITATIONS", FEW)
    meeting = await rest.meeting()
    path = f"/api/v1/meetings/{meeting['id']}"
    other = rest.services.tokens.meeting(  # whom the host made host in the call
        meeting["id"], rest.bob, Role.HOST, expires_at=time.time() + 60
    )
    tokens = [meeting["meeting_token"], other, rest.access(rest.ada)]
    for number, token in enumerate(tokens):
        body = {"email": f"guest{number}@example.org", "display_name": "Guest"}
        answer = await rest.call("POST", f"{path}/invitations", token=token, json=body)
        assert answer.status == 201, answer.text
    body = {"email": "guest9@example.org", "display_name": "Guest"}
    assert_limited(await rest.call("POST", f"{path}/invitations", token=tokens[1], json=body), FEW)


async def test_one_mailbox_gets_so_many_invitations_whoever_sends_them(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inviting, "INVITATIONS_TO_ONE", FEW)
    statuses = []
    for host in (rest.ada, rest.bob):
        meeting = await rest.meeting(host)
        for email in ("eve@example.org", "Eve@Example.org"):
            path = f"/api/v1/meetings/{meeting['id']}/invitations"
            body = {"email": email, "display_name": "Eve"}
            answer = await rest.call("POST", path, token=meeting["meeting_token"], json=body)
            statuses.append(answer.status)
    assert statuses == [201, 201, 201, 429]


async def test_exports_and_erasures_are_limited_for_each_person(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(me, "WHOLE_RECORDS", FEW)
    ada = rest.access(rest.ada)
    for _ in range(3):
        assert (await rest.call("GET", "/api/v1/me/export", token=ada)).status == 200
    assert_limited(await rest.call("GET", "/api/v1/me/export", token=ada), FEW)
    bob = rest.access(rest.bob)
    assert (await rest.call("GET", "/api/v1/me/export", token=bob)).status == 200
    # who was erased is not known any more, and neither is how often: the address is
    monkeypatch.setattr(me, "WHOLE_RECORDS_ADDRESS_FACTOR", 1)
    for _ in range(3):
        assert (await rest.call("DELETE", "/api/v1/me", token=bob)).status == 200
    assert_limited(await rest.call("DELETE", "/api/v1/me", token=bob), FEW)


async def test_dozens_may_log_in_for_development_at_once(rest: Any) -> None:
    for number in range(60):
        login = {"user_id": f"u{number}", "user_name": "Somebody"}
        assert (await rest.call("POST", "/api/v1/auth/token", json=login)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "meetings",
        "meetings/{id}",
        "meetings/{id}/chat",
        "meetings/{id}/participants",
        "meetings/{id}/stats",
        "meetings/{id}/invitations",
        "meetings/{id}/breakouts",
        "meetings/{id}/recordings",
        "meetings/none",
        "recordings/none",
        "audit",
    ],
)
async def test_reading_is_limited_for_each_person(
    rest: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(needs, "REQUESTS", FEW)
    meeting, ada = await rest.meeting(), rest.access(rest.ada)  # that is one
    where = "/api/v1/" + path.format(id=meeting["id"])
    for _ in range(2):
        assert (await rest.call("GET", where, token=ada)).status in (200, 404)
    assert_limited(await rest.call("GET", where, token=ada), FEW)
    assert (await rest.call("GET", where, token=rest.access(rest.bob))).status != 429


async def test_reading_is_limited_for_an_address_whoever_asks(
    behind_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "REQUESTS", Limit(count=1, per_seconds=300))
    factor = behind_proxy.services.settings.limits.address_factor

    async def listed(number: int, address: str) -> int:
        token = behind_proxy.access(User(user_id=f"u{number}", user_name="Somebody"))
        headers = {"X-Forwarded-For": address}
        answer = await behind_proxy.call("GET", "/api/v1/meetings", token=token, headers=headers)
        return int(answer.status)

    many = [await listed(number, "192.0.2.7") for number in range(factor + 10)]
    assert (many[:factor], 429 in many) == ([200] * factor, True)
    assert await listed(999, "192.0.2.8") == 200


async def test_exports_of_chats_are_limited_for_each_person_over_all_meetings(
    rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "EXPORTS", FEW)
    ada = rest.access(rest.ada)
    paths = [f"/api/v1/meetings/{(await rest.meeting())['id']}/chat" for _ in range(2)]
    for path in (*paths, paths[0]):
        assert (await rest.call("GET", f"{path}/export", token=ada)).status == 200
    assert_limited(await rest.call("GET", f"{paths[1]}/export", token=ada), FEW)
    assert (await rest.call("GET", paths[1], token=ada)).status == 200


async def test_without_limits_nobody_is_refused(
    redis: Redis, start_rest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meetings, "CREATIONS", FEW)
    async with start_rest(limits=LimitSettings(enabled=False)) as rest:
        for _ in range(8):
            await rest.meeting()
        assert await redis.keys("kcs:limit:*") == []


async def test_the_document_tells_of_every_limit(rest: Any) -> None:
    document = (await rest.call("GET", "/api/openapi.json")).json
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    limited = {
        name
        for name, operation in operations.items()
        if "Retry-After" in operation["responses"].get("429", {}).get("headers", {})
    }
    with_token = {name for name, operation in operations.items() if operation.get("security")}
    assert ("get", "/api/v1/meetings/{meeting_id}/chat/export") in with_token
    assert limited == with_token | {
        ("post", "/api/v1/auth/token"),
        ("post", "/api/v1/auth/refresh"),
        ("post", "/api/v1/auth/session"),
        ("post", "/api/v1/auth/session/refresh"),
    }
