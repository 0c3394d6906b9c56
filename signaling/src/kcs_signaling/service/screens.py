"""Shared screens: the places for them, and the end of their streams."""

from contextlib import suppress

from kcs_contracts.ids import ParticipantId
from kcs_contracts.node_api import CloseProducer
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Source
from kcs_signaling.errors import NotFound
from kcs_signaling.rooms.peer import Peer
from kcs_signaling.rooms.permissions import authorise_over
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.producers import RoomProducers


class RoomScreens:
    """Those of a meeting; what is shown is a producer like any other."""

    def __init__(self, placement: Placement, nodes: RoomNodes, producers: RoomProducers):
        self._placement, self._nodes, self._producers = placement, nodes, producers

    async def start(self, peer: Peer) -> None:
        """Takes one of the places for shared screens, and tells all.

        Raises:
            ScreenShareTaken: there is none.
        """
        seat = peer.seated()
        async with redis_calls():
            await self._placement.start_screen(seat.room.id, seat.participant_id, peer.session)
        seat.starts_screen = True

    async def stop(self, peer: Peer, target: ParticipantId | None) -> None:
        """Closes the streams of a screen: the peer's, or, for a host, somebody else's.

        Raises:
            NotFound: they are not in the meeting.
            AccessDenied: they are a host, and the peer is not.
        """
        seat = peer.seated()
        who = target or seat.participant_id
        known = seat.room.state.participants.get(who)
        if known is None:
            raise NotFound("they are not in the meeting")
        if who != seat.participant_id:
            authorise_over(seat.role, known.role)
        seat.starts_screen = seat.starts_screen and who != seat.participant_id
        for epoch, producer in seat.room.state.streams_of(who):
            if producer.source in (Source.SCREEN, Source.SCREEN_AUDIO):
                op = CloseProducer(participant_id=who, producer_id=producer.id)
                with suppress(NotFound):
                    await self._nodes.ask(seat.room, op, epoch=epoch)
                await self._producers.closed(seat, producer.id, who, "closed")
        async with redis_calls():
            await self._placement.stop_screen(seat.room.id, who)
