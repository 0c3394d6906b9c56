"""What dialects work with: the services of the rooms, made once per process."""

from dataclasses import dataclass

from kcs_signaling.service.adding import Adding
from kcs_signaling.service.breakouts import RoomBreakouts
from kcs_signaling.service.chat import RoomChat
from kcs_signaling.service.consumers import RoomConsumers
from kcs_signaling.service.endings import Endings
from kcs_signaling.service.entry import Entry
from kcs_signaling.service.limits import Limiter
from kcs_signaling.service.moving import Moving
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.outbox import Outbox
from kcs_signaling.service.people import People
from kcs_signaling.service.producers import RoomProducers
from kcs_signaling.service.quality import Quality
from kcs_signaling.service.registry import RoomRegistry
from kcs_signaling.service.rooms import RoomService
from kcs_signaling.service.screens import RoomScreens
from kcs_signaling.service.transports import RoomTransports
from kcs_signaling.services import Services
from kcs_signaling.tokens import Tokens
from kcs_signaling.turn import Turn


@dataclass(frozen=True)
class RoomServices:
    """All of them."""

    rooms: RoomService
    transports: RoomTransports
    producers: RoomProducers
    consumers: RoomConsumers
    screens: RoomScreens
    moving: Moving
    people: People
    adding: Adding
    outbox: Outbox
    chat: RoomChat
    breakouts: RoomBreakouts
    quality: Quality
    endings: Endings
    limits: Limiter
    tokens: Tokens
    turn: Turn


def make_room_services(
    services: Services, registry: RoomRegistry, nodes: RoomNodes
) -> RoomServices:
    """The services over what the process has opened."""
    settings, records, placement = services.settings, services.records, services.placement
    people = People(placement, nodes, records)
    producers = RoomProducers(placement, nodes)
    entry = Entry(records, placement)
    outbox = Outbox(services.inviting)
    return RoomServices(
        rooms=RoomService(settings.meeting, entry, placement, registry, nodes, records.journal),
        transports=RoomTransports(nodes, producers),
        producers=producers,
        consumers=RoomConsumers(nodes),
        screens=RoomScreens(placement, nodes, producers),
        moving=Moving(placement, registry, nodes),
        people=people,
        adding=Adding(records, services.inviting, people, outbox),
        outbox=outbox,
        chat=RoomChat(placement, records),
        breakouts=RoomBreakouts(placement, nodes),
        quality=Quality(placement, records.journal),
        endings=services.endings,
        limits=services.limits,
        tokens=services.tokens,
        turn=services.turn,
    )
