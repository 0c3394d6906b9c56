"""Local accounts on record. Passwords come here hashed, and are compared elsewhere."""

from sqlalchemy import or_, select, update

from kcs_contracts.ids import UserId
from kcs_contracts.models import Contract
from kcs_signaling.records.database import Database, insert_of
from kcs_signaling.records.tables import AccountRow


class Account(Contract):
    """A person who logs in with a password."""

    user_id: UserId
    email: str | None
    user_name: str
    campus_id: str = ""
    password_hash: str
    created_at: float
    """Unix time, in s."""


class Accounts:
    """Accounts on record."""

    def __init__(self, database: Database):
        self._database = database

    async def add(self, account: Account) -> bool:
        """Makes an account; False when its user id or its e-mail address is taken."""
        values = account.model_dump() | {"email": account.email and account.email.lower()}
        async with self._database.begin() as connection:
            result = await connection.execute(
                insert_of(connection, AccountRow).values(values).on_conflict_do_nothing()
            )
        return result.rowcount == 1

    async def find(self, login: str) -> Account | None:
        """The account of a user id or of an e-mail address, in whichever case; the id goes first.

        An id may look like somebody else's address (`ids` allows `@`): then it is the id's.
        """
        query = (
            select(AccountRow.__table__)
            .where(or_(AccountRow.user_id == login, AccountRow.email == login.lower()))
            .order_by(AccountRow.user_id != login)
            .limit(1)
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else Account.model_validate(dict(row))

    async def set_password(self, user_id: UserId, password_hash: str) -> bool:
        """Changes the password; False when there is no such account."""
        async with self._database.begin() as connection:
            result = await connection.execute(
                update(AccountRow)
                .where(AccountRow.user_id == user_id)
                .values(password_hash=password_hash)
            )
        return result.rowcount == 1
