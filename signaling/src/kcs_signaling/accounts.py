"""Local accounts, for installations without an identity provider: passwords by argon2.

`python -m kcs_signaling.accounts add ada --name "Ada Lovelace" --email ada@example.org` makes one,
`... password ada` sets another password and ends their logins. Both read the database's address
from `KCS_SQL__URL`, as the service does, and the password from the terminal, or a line of standard
input.
"""

import argparse
import asyncio
import getpass
import re
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kcs_contracts.ids import UserId, UserIdText
from kcs_signaling.errors import AccessDenied, SignalingError, Unavailable
from kcs_signaling.mail import EMAIL
from kcs_signaling.records import Records, open_records
from kcs_signaling.records.accounts import Account
from kcs_signaling.settings import SqlSettings

T = TypeVar("T")
MIN_PASSWORD, MAX_PASSWORD = 10, 1024
_MAX_NAME = 80
_AT_ONCE = 2
"""Each takes 64 MiB and four threads for about 50 ms."""
_WAIT_S = 3.0


class WrongPassword(AccessDenied):
    """There is no such account, or its password is another: which one is not said."""


class Passwords:
    """Compares passwords, taking as long where there is no account."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._nobodys = self._hasher.hash("of nobody")
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def log_in(self, records: Records, login: str, password: str) -> Account:
        """The account of a user id or an address, whose password this is.

        Raises:
            WrongPassword: it is not.
            Unavailable: too many are logging in at once.
        """
        account = await records.accounts.find(login)
        known = self._nobodys if account is None else account.password_hash
        matches = await self._run(self._matches, known, password)
        if account is None or not matches:
            raise WrongPassword("the account or the password is wrong")
        if self._hasher.check_needs_rehash(account.password_hash):
            better = await self._run(self._hasher.hash, password)
            await records.accounts.set_password(account.user_id, better)
        return account

    def _matches(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *args: str) -> T:
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("too many people are logging in", retry_after_s=2) from None
        try:
            return await asyncio.to_thread(work, *args)
        finally:
            self._turn.release()


class _Environment(BaseSettings):
    """The part of the service's settings that the command line needs."""

    model_config = SettingsConfigDict(
        env_prefix="KCS_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    sql: SqlSettings = SqlSettings()


async def add(records: Records, account: Account) -> None:
    """Makes an account.

    Raises:
        ValueError: its user id or address is taken.
    """
    if not await records.accounts.add(account):
        raise ValueError("there is an account of that user id or e-mail address already")


async def set_password(records: Records, user_id: UserId, password_hash: str) -> None:
    """Gives an account another password.

    Raises:
        ValueError: there is no such account.
    """
    if not await records.accounts.set_password(user_id, password_hash):
        raise ValueError("there is no account of that user id")


def _checked(options: argparse.Namespace) -> UserId:
    """The user id; raises ValueError for what the rest of the service would not take."""
    if options.command == "add":
        if options.email is not None and not re.fullmatch(EMAIL, options.email):
            raise ValueError("--email is no e-mail address in ASCII")
        if not (options.name or "x").isprintable() or len(options.name or "") > _MAX_NAME:
            raise ValueError(f"--name is one line of at most {_MAX_NAME} characters")
    return TypeAdapter(UserIdText).validate_python(options.user_id)


async def _run_command(options: argparse.Namespace) -> None:
    user_id = _checked(options)
    password_hash = PasswordHasher().hash(_new_password())
    async with open_records(_Environment().sql.url.get_secret_value()) as records:
        if options.command == "password":
            await set_password(records, user_id, password_hash)
            await records.refresh_tokens.revoke_all(user_id)
            return
        account = Account(
            user_id=user_id,
            email=options.email,
            user_name=options.name or user_id,
            campus_id=options.campus_id,
            password_hash=password_hash,
            created_at=time.time(),
        )
        await add(records, account)


def _new_password() -> str:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise ValueError("the two are different")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ValueError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return password


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Makes local accounts and sets their passwords.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("add", help="makes an account")
    new.add_argument("user_id")
    new.add_argument("--name", help="how others see them; left out: the user id")
    new.add_argument("--email", help="to log in with, beside the user id")
    new.add_argument("--campus-id", default="")
    commands.add_parser("password", help="sets another one, ends logins").add_argument("user_id")
    return parser.parse_args()


def main() -> None:
    """The command line."""
    try:
        asyncio.run(_run_command(_options()))
    except ValidationError as error:
        sys.exit("; ".join(each["msg"] for each in error.errors(include_input=False)))
    except (ValueError, SignalingError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
