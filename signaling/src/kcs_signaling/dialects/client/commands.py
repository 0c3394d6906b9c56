"""What the client guide's clients ask in words of their own, once they are in a meeting."""

from kcs_contracts.protocol import guide_client as guide
from kcs_contracts.protocol.roles import SENDING
from kcs_contracts.rooms import Producer, Source
from kcs_signaling.dialects.client.peer import ClientPeer
from kcs_signaling.dialects.client.rendering import message
from kcs_signaling.dialects.table import Answered, Dialect, Handlers
from kcs_signaling.errors import NotFound, SignalingError
from kcs_signaling.rooms.peer import Seat
from kcs_signaling.rooms.permissions import authorise
from kcs_signaling.service.producers import SOURCES

handlers = Handlers()
Client = Dialect[ClientPeer]


@handlers.of(guide.CREATE_TRANSPORT)
async def create_transport(
    dialect: Client, peer: ClientPeer, request: guide.CreateTransport
) -> Answered:
    """A way for media; once a client can receive, it is told what there is to receive."""
    if request.direction == "recv":
        peer.announcements.clear()
    (made,) = await dialect.services.transports.create(peer, [request.direction])
    created: guide.TransportCreated = {
        "direction": made.direction,
        "params": {
            "id": made.transport_id,
            "iceParameters": made.ice_parameters,
            "iceCandidates": list(made.ice_candidates),
            "dtlsParameters": made.dtls_parameters,
            "iceServers": list(dialect.services.turn.for_user(peer.identity.user_id).servers),
        },
    }

    def announce() -> None:
        seat = peer.seat
        if request.direction == "recv" and seat is not None:
            peer.announcements.open(
                each
                for each in seat.room.state.producers.values()
                if each.participant_id != seat.participant_id
            )

    return Answered(created, then=announce)


@handlers.of(guide.CONNECT_TRANSPORT)
async def connect_transport(
    dialect: Client, peer: ClientPeer, request: guide.ConnectTransport
) -> guide.TransportConnected:
    """The client's half of DTLS."""
    await dialect.services.transports.connect(peer, request.transport_id, request.dtls_parameters)
    return {"transportId": request.transport_id}


@handlers.of(guide.PRODUCE)
async def produce(dialect: Client, peer: ClientPeer, request: guide.Produce) -> guide.ProducedIs:
    """A stream of the peer's; video after `screen:start` is the screen."""
    seat = peer.seated()
    source = SOURCES[request.kind]
    if source is Source.CAMERA and seat.starts_screen:
        source = Source.SCREEN
        authorise(seat.role, SENDING[source], seat.room.state.live.settings)
    producer = await dialect.services.producers.produce(peer, source, request.rtp_parameters)
    if source is Source.SCREEN:
        seat.starts_screen = False
    return {"producerId": producer.id}


@handlers.of(guide.CONSUME)
async def consume(dialect: Client, peer: ClientPeer, request: guide.Consume) -> guide.Subscribed:
    """Somebody's stream: the one announced last of those that are meant."""
    producer = peer.announcements.find(request.producer_participant_id, request.kind)
    if producer is None:
        producer = _any_producer(peer.seated(), request)
    try:
        made = await dialect.services.consumers.consume(peer, producer.id, request.rtp_capabilities)
    except SignalingError:
        peer.announcements.refused(producer.id)
        raise
    peer.announcements.consumed(producer.id, made.consumer.consumer_id)
    return {
        "id": made.consumer.consumer_id,
        "producerId": producer.id,
        "kind": made.consumer.kind,
        "rtpParameters": made.consumer.rtp_parameters,
    }


@handlers.of(guide.RESUME_CONSUMER)
async def resume_consumer(
    dialect: Client, peer: ClientPeer, request: guide.ConsumerNamed
) -> guide.ConsumerIs:
    """Its media flows, and the next stream is announced."""
    await dialect.services.consumers.resume(peer, request.consumer_id)
    peer.announcements.resumed(request.consumer_id)
    return {"consumerId": request.consumer_id}


@handlers.of(guide.PAUSE_CONSUMER)
async def pause_consumer(
    dialect: Client, peer: ClientPeer, request: guide.ConsumerNamed
) -> guide.ConsumerIs:
    """Its media is held back."""
    await dialect.services.consumers.pause(peer, request.consumer_id)
    return {"consumerId": request.consumer_id}


@handlers.of(guide.CHANGE_QUALITY)
async def change_quality(
    dialect: Client, peer: ClientPeer, request: guide.QualityChange
) -> guide.QualityChanged:
    """A layer at most, for all video of a participant."""
    seat = peer.seated()
    streams = [
        each
        for each in seat.room.state.producers_of(request.participant_id)
        if each.kind == "video" and each.id in seat.consumers
    ]
    if not streams:
        raise NotFound("you receive no video of that participant")
    for producer in streams:
        await dialect.services.consumers.prefer_layer(peer, producer.id, request.quality)
    return {"participantId": request.participant_id, "quality": request.quality}


@handlers.of(guide.MUTE)
async def mute(dialect: Client, peer: ClientPeer, request: guide.Mute) -> guide.MuteIs:
    """Somebody's stream is paused at the server."""
    await dialect.services.people.mute(
        peer, request.target_user_id, request.mute_type, request.muted
    )
    return {
        "meetingId": request.meeting_id,
        "targetUserId": request.target_user_id,
        "muteType": request.mute_type,
        "muted": request.muted,
    }


@handlers.of(guide.SEND)
async def send(dialect: Client, peer: ClientPeer, request: guide.SendMessage) -> guide.NewMessage:
    """Something said."""
    private = request.recipient_type == "private"
    said = await dialect.services.chat.send(
        peer,
        request.message,
        reply_to=request.reply_to,
        to=request.recipient_type,
        recipient=request.recipient_id if private else None,
    )
    return message(request.meeting_id, said)


@handlers.of(guide.TYPING)
async def typing(dialect: Client, peer: ClientPeer, request: guide.Typing) -> guide.UserTyping:
    """About to say something."""
    await dialect.services.chat.typing(peer, request.typing)
    who = peer.seated().now
    return {"userId": who.id, "userName": who.display_name, "typing": request.typing}


def _any_producer(seat: Seat, request: guide.Consume) -> Producer:
    """A stream that was not announced, or is consumed already: asked for again."""
    for producer in reversed(seat.room.state.producers_of(request.producer_participant_id)):
        if producer.kind == request.kind:
            return producer
    raise NotFound(f"that participant sends no {request.kind}")
