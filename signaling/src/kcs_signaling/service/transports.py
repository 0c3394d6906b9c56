"""The ways of a peer's media: transports, made at the node."""

from collections.abc import Sequence

from kcs_contracts.ids import Epoch
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import (
    ConnectTransport,
    CreateTransport,
    Direction,
    IceRestarted,
    OpenRoom,
    RestartIce,
    RoomOpened,
    TransportCreated,
)
from kcs_signaling.rooms.peer import Peer
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.producers import RoomProducers


class RoomTransports:
    """Those of a peer that is in a meeting.

    While the meeting is moving, a command may name the epoch of the home that it is meant for;
    without one, the present home is meant. So it is with producers and consumers.
    """

    def __init__(self, nodes: RoomNodes, producers: RoomProducers):
        self._nodes, self._producers = nodes, producers

    async def create(
        self, peer: Peer, directions: Sequence[Direction], *, epoch: Epoch | None = None
    ) -> list[TransportCreated]:
        """New transports; an older one of the same direction goes, with all that it carried."""
        seat = peer.seated()
        if not directions:
            return []
        who, known = seat.participant_id, seat.producers_at(epoch)
        older = [each for each in known.values() if each.participant_id == who]
        done = await self._nodes.ask(
            seat.room,
            OpenRoom(),  # it may have been closed when it was empty, or have moved
            *(CreateTransport(participant_id=who, direction=d) for d in directions),
            epoch=epoch,
        )
        opened, *created = done.answers
        assert isinstance(opened, RoomOpened)
        seat.room.rtp_capabilities = opened.rtp_capabilities
        if "recv" in directions:
            seat.keep_consumers(seat.consumers.keys() - known.keys())
        for producer in older if "send" in directions else ():
            await self._producers.closed(seat, producer.id, who, "transport_closed")
        return [each for each in created if isinstance(each, TransportCreated)]

    async def connect(
        self,
        peer: Peer,
        transport_id: str,
        dtls_parameters: JsonObject,
        *,
        epoch: Epoch | None = None,
    ) -> None:
        """Hands the client's DTLS parameters over."""
        seat = peer.seated()
        op = ConnectTransport(
            participant_id=seat.participant_id,
            transport_id=transport_id,
            dtls_parameters=dtls_parameters,
        )
        await self._nodes.ask(seat.room, op, epoch=epoch)

    async def restart_ice(
        self, peer: Peer, transport_id: str, *, epoch: Epoch | None = None
    ) -> JsonObject:
        """New ICE parameters for a transport that lost its way."""
        seat = peer.seated()
        op = RestartIce(participant_id=seat.participant_id, transport_id=transport_id)
        restarted = (await self._nodes.ask(seat.room, op, epoch=epoch)).answers[0]
        assert isinstance(restarted, IceRestarted)
        return restarted.ice_parameters
