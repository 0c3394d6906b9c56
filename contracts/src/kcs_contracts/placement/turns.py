"""TURN servers of the pools: the operator issues them, signaling hands them out.

A coturn pod that drains leaves the list first; it is deleted when the credentials that name it
are over and nobody is connected. The list stays when the operator is away.
"""

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from kcs_contracts.placement.functions import Functions
from kcs_contracts.turn_servers import TurnServer

_SERVERS = "kcs:turn_servers"
_LIST = TypeAdapter(tuple[TurnServer, ...])


class Turns(Functions):
    """The part of `Placement` about TURN servers."""

    async def issue_turn_servers(self, pool: str, servers: Sequence[TurnServer]) -> None:
        """From now on these are the pool's; none takes the pool off the list."""
        if servers:
            text = _LIST.dump_json(tuple(servers)).decode()
            await self._whole(self._redis.hset(_SERVERS, pool, text))
        else:
            await self._whole(self._redis.hdel(_SERVERS, pool))

    async def turn_servers(self) -> tuple[TurnServer, ...]:
        """Those of all pools, by pool; what is malformed is left out."""
        rows = await self._whole(self._redis.hgetall(_SERVERS))
        found: list[TurnServer] = []
        for _, text in sorted(rows.items()):
            try:
                found += _LIST.validate_json(text)
            except ValidationError:
                continue
        return tuple(found)

    async def issued_turn_servers(self, pool: str) -> tuple[TurnServer, ...]:
        """One pool's; none where they are malformed."""
        text = await self._whole(self._redis.hget(_SERVERS, pool))
        try:
            return () if text is None else _LIST.validate_json(text)
        except ValidationError:
            return ()

    async def turn_pools(self) -> tuple[str, ...]:
        """The pools that are on the list."""
        names = await self._whole(self._redis.hkeys(_SERVERS))
        return tuple(sorted(each.decode() if isinstance(each, bytes) else each for each in names))
