"""Logins and local accounts on record."""

import asyncio

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from kcs_contracts.ids import UserId
from kcs_signaling.records import Records
from kcs_signaling.records.accounts import Account
from kcs_signaling.records.tables import RefreshTokenRow
from kcs_signaling.tokens import Tokens, User

ADA = User(user_id=UserId("ada"), user_name="Ada")
TOKENS = Tokens(Ed25519PrivateKey.generate(), issuer="kcs", access_minutes=15, refresh_days=7)


async def test_of_many_exchanges_of_one_refresh_token_at_once_one_wins(
    records: Records, now: float
) -> None:
    _, old = TOKENS.refresh(ADA)
    await records.refresh_tokens.begin(old, now=now)
    new = [TOKENS.refresh(ADA, family=old.family)[1] for _ in range(20)]
    won = await asyncio.gather(*(records.refresh_tokens.rotate(old, one) for one in new))
    assert won.count(True) == 1
    winner = new[won.index(True)]
    assert await records.refresh_tokens.rotate(winner, TOKENS.refresh(ADA)[1])


async def test_a_revoked_login_rotates_no_more_and_others_stay(
    records: Records, now: float
) -> None:
    (_, one), (_, other) = TOKENS.refresh(ADA), TOKENS.refresh(ADA)
    for login in (one, other):
        await records.refresh_tokens.begin(login, now=now)
    assert await records.refresh_tokens.revoke(one.family)
    assert not await records.refresh_tokens.revoke(one.family)
    _, new = TOKENS.refresh(ADA, family=one.family)
    assert not await records.refresh_tokens.rotate(one, new)
    assert await records.refresh_tokens.rotate(other, new)


async def test_a_session_lasts_longer_each_time_until_it_is_ended(
    records: Records, now: float
) -> None:
    _, begun = TOKENS.session(ADA)
    await records.refresh_tokens.begin(begun, now=now)
    later = begun.model_copy(update={"expires_at": begun.expires_at + 3600})
    for each in (later, begun, later):  # of two tabs at once, either may be the last
        assert await records.refresh_tokens.extend(each)
    await records.refresh_tokens.begin(TOKENS.session(ADA)[1], now=begun.expires_at + 60)
    assert await records.refresh_tokens.extend(later)
    assert not await records.refresh_tokens.extend(later.model_copy(update={"jti": "another"}))
    assert await records.refresh_tokens.revoke(begun.family)
    assert not await records.refresh_tokens.extend(later)


async def test_all_logins_of_one_person_end_at_once(records: Records, now: float) -> None:
    bob = User(user_id=UserId("bob"), user_name="Bob")
    sessions = [TOKENS.session(each)[1] for each in (ADA, ADA, bob)]
    for each in sessions:
        await records.refresh_tokens.begin(each, now=now)
    await records.refresh_tokens.revoke_all(ADA.user_id)
    assert [await records.refresh_tokens.extend(each) for each in sessions] == [False, False, True]


async def test_tokens_are_stored_as_hashes_and_expired_logins_are_forgotten(
    records: Records, now: float
) -> None:
    async def stored() -> list[tuple[object, ...]]:
        async with records.database.begin() as connection:
            rows = await connection.execute(select(RefreshTokenRow.__table__))
            return [tuple(row) for row in rows]

    _, old = TOKENS.refresh(ADA)
    await records.refresh_tokens.begin(old, now=now)
    await records.refresh_tokens.begin(TOKENS.refresh(ADA)[1], now=old.expires_at - 1)
    assert len(await stored()) == 2
    assert old.jti not in str(await stored())
    await records.refresh_tokens.begin(TOKENS.refresh(ADA)[1], now=old.expires_at + 60)
    assert len(await stored()) == 1


def account(user_id: str, email: str | None) -> Account:
    return Account(
        user_id=UserId(user_id), email=email, user_name="A", password_hash="$argon2", created_at=1.0
    )


async def test_an_account_is_found_by_id_and_by_address_in_any_case(records: Records) -> None:
    assert await records.accounts.add(account("ada", "Ada@Example.org"))
    assert await records.accounts.add(account("bob", None))
    for login in ("ada", "ada@example.org", "ADA@EXAMPLE.ORG"):
        found = await records.accounts.find(login)
        assert found == account("ada", "ada@example.org")
    assert await records.accounts.find("ADA") is None
    assert await records.accounts.find("") is None


async def test_an_account_takes_nobodys_id_or_address(records: Records) -> None:
    assert await records.accounts.add(account("ada", "ada@example.org"))
    assert not await records.accounts.add(account("ada", "other@example.org"))
    assert not await records.accounts.add(account("eve", "ADA@example.org"))
    # an id that looks like an address is nobody else's way in
    assert await records.accounts.add(account("bob@example.org", None))
    assert await records.accounts.add(account("robert", "bob@example.org"))
    found = await records.accounts.find("bob@example.org")
    assert found is not None
    assert found.user_id == "bob@example.org"


async def test_a_password_is_changed_for_one_account(records: Records) -> None:
    for name in ("ada", "bob"):
        await records.accounts.add(account(name, None))
    assert await records.accounts.set_password(UserId("ada"), "$new")
    assert not await records.accounts.set_password(UserId("eve"), "$new")
    hashes = [(await records.accounts.find(name)) for name in ("ada", "bob")]
    assert [each.password_hash for each in hashes if each] == ["$new", "$argon2"]
