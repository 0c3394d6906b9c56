"""All that the service is made of, opened at start and closed at the end in the reverse order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from kcs_contracts.placement import Placement, connect
from kcs_contracts.tickets import TicketSigner
from kcs_signaling.adapters.node_client import open_node_client
from kcs_signaling.issuers import external_issuer
from kcs_signaling.keys import load_key
from kcs_signaling.ports import NodeControl
from kcs_signaling.pseudonyms import Pseudonyms
from kcs_signaling.records import Records, open_records
from kcs_signaling.service.endings import Endings
from kcs_signaling.service.inviting import Inviting
from kcs_signaling.service.limits import Limiter
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.settings import Settings
from kcs_signaling.tokens import Tokens
from kcs_signaling.turn import Turn


@dataclass(frozen=True)
class Services:
    """What REST and the rooms work with."""

    settings: Settings
    tokens: Tokens
    records: Records
    redis: Redis
    placement: Placement
    nodes: NodeControl
    limits: Limiter
    inviting: Inviting
    endings: Endings
    pseudonyms: Pseudonyms
    turn: Turn


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Opens them. Redis need not be there: what needs it says so until it is.

    Raises:
        KeyUnusable: there is no key in `KCS_AUTH__KEY_FILE`, or none of the issuer from outside.
        Unavailable: the database does not answer.
    """
    key, external = load_key(settings.auth.key_file), settings.auth.external
    tokens = Tokens(
        key,
        issuer=settings.auth.issuer,
        access_minutes=settings.auth.access_minutes,
        refresh_days=settings.auth.refresh_days,
        external=external_issuer(external) if external is not None else None,
    )
    async with AsyncExitStack() as stack:
        redis = connect(settings.redis.url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        placement = Placement(redis)
        stack.push_async_callback(placement.settle)
        records = await stack.enter_async_context(open_records(settings.sql.url.get_secret_value()))
        signer = TicketSigner(key, tokens.signer_kid)
        nodes = await stack.enter_async_context(open_node_client(signer))
        limits = Limiter(placement, settings.limits)
        inviting = Inviting(settings, records, tokens, limits)
        yield Services(
            settings=settings,
            tokens=tokens,
            records=records,
            redis=redis,
            placement=placement,
            nodes=nodes,
            limits=limits,
            inviting=inviting,
            endings=Endings(placement, records, RoomNodes(placement, nodes)),
            pseudonyms=Pseudonyms(key),
            turn=Turn(settings.turn, settings.meeting.region),
        )
