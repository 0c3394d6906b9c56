"""All that the service is made of, opened at start and closed at the end in the reverse order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from kcs_contracts.placement import Placement, connect
from kcs_contracts.tickets import TicketSigner
from kcs_signaling.adapters.node_client import open_node_client
from kcs_signaling.keys import load_key
from kcs_signaling.ports import NodeControl
from kcs_signaling.records import Records, open_records
from kcs_signaling.settings import Settings
from kcs_signaling.tokens import Tokens


@dataclass(frozen=True)
class Services:
    """What REST and the rooms work with."""

    settings: Settings
    tokens: Tokens
    records: Records
    redis: Redis
    placement: Placement
    nodes: NodeControl


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Opens them. Redis need not be there: what needs it says so until it is.

    Raises:
        KeyUnusable: there is no key in `KCS_AUTH__KEY_FILE`.
        Unavailable: the database does not answer.
    """
    key = load_key(settings.auth.key_file)
    tokens = Tokens(
        key,
        issuer=settings.auth.issuer,
        access_minutes=settings.auth.access_minutes,
        refresh_days=settings.auth.refresh_days,
    )
    async with AsyncExitStack() as stack:
        redis = connect(settings.redis.url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        placement = Placement(redis)
        stack.push_async_callback(placement.settle)
        records = await stack.enter_async_context(open_records(settings.sql.url.get_secret_value()))
        signer = TicketSigner(key, tokens.signer_kid)
        nodes = await stack.enter_async_context(open_node_client(signer))
        yield Services(settings, tokens, records, redis, placement, nodes)
