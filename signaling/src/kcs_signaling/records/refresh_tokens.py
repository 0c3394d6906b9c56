"""Which refresh token of a login is the newest: rotation with replay detection.

A login (a family of tokens) is one row that holds the hash of its newest token. Exchanging it
swaps the hash in one conditional UPDATE, so of two exchanges at once one wins. Whoever then comes
with an older token, thief or victim, ends the login for both (RFC 9700, section 4.14.2).

A browser's session (`http.sessions`) is such a row whose hash stays the same.
"""

import hashlib

from sqlalchemy import delete, insert, update

from kcs_contracts.ids import UserId
from kcs_signaling.records.database import Database
from kcs_signaling.records.tables import RefreshTokenRow
from kcs_signaling.tokens import RefreshClaims


class RefreshTokens:
    """Logins on record."""

    def __init__(self, database: Database):
        self._database = database

    async def begin(self, token: RefreshClaims, *, now: float) -> None:
        """Records a new login; forgets those that have expired."""
        async with self._database.begin() as connection:
            await connection.execute(
                delete(RefreshTokenRow).where(RefreshTokenRow.expires_at <= now)
            )
            await connection.execute(
                insert(RefreshTokenRow).values(
                    family=token.family,
                    user_id=token.user.user_id,
                    token_hash=_hash(token),
                    expires_at=token.expires_at,
                )
            )

    async def rotate(self, old: RefreshClaims, new: RefreshClaims) -> bool:
        """Puts `new` in the place of `old`; False when `old` is not the newest of its login."""
        async with self._database.begin() as connection:
            result = await connection.execute(
                update(RefreshTokenRow)
                .where(
                    RefreshTokenRow.family == old.family, RefreshTokenRow.token_hash == _hash(old)
                )
                .values(token_hash=_hash(new), expires_at=new.expires_at)
            )
        return result.rowcount == 1

    async def extend(self, session: RefreshClaims) -> bool:
        """Keeps a session on record until its end; False when it was ended."""
        async with self._database.begin() as connection:
            result = await connection.execute(
                update(RefreshTokenRow)
                .where(
                    RefreshTokenRow.family == session.family,
                    RefreshTokenRow.token_hash == _hash(session),
                )
                .values(expires_at=session.expires_at)
            )
        return result.rowcount == 1

    async def revoke_all(self, user_id: UserId) -> None:
        """Ends all logins of a person."""
        async with self._database.begin() as connection:
            await connection.execute(
                delete(RefreshTokenRow).where(RefreshTokenRow.user_id == user_id)
            )

    async def revoke(self, family: str) -> bool:
        """Ends a login; False when it had ended."""
        async with self._database.begin() as connection:
            result = await connection.execute(
                delete(RefreshTokenRow).where(RefreshTokenRow.family == family)
            )
        return result.rowcount == 1


def _hash(token: RefreshClaims) -> str:
    return hashlib.sha256(token.jti.encode()).hexdigest()
