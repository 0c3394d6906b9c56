"""What the architecture guide's clients ask in words of their own, once they are in a meeting."""

from kcs_contracts.protocol import chat, media, moving, people
from kcs_contracts.protocol.views import Consumer, Message, Transport
from kcs_signaling.dialects import views
from kcs_signaling.dialects.table import Dialect, Handlers, SocketPeer
from kcs_signaling.dialects.welcome import ice_servers
from kcs_signaling.errors import SignalingError
from kcs_signaling.service.consumers import Subscription

handlers = Handlers()
Meeting = Dialect[SocketPeer]


@handlers.of(media.CREATE_TRANSPORT)
async def create_transport(
    dialect: Meeting, peer: SocketPeer, request: media.TransportCreate
) -> Transport:
    """A way for media."""
    (made,) = await dialect.services.transports.create(
        peer, [request.direction], epoch=request.epoch
    )
    return views.transport(made, ice_servers(dialect.services, peer))


@handlers.of(media.CONNECT_TRANSPORT)
async def connect_transport(
    dialect: Meeting, peer: SocketPeer, request: media.TransportConnect
) -> media.TransportIs:
    """The client's half of DTLS."""
    await dialect.services.transports.connect(
        peer, request.transport_id, request.dtls_parameters, epoch=request.epoch
    )
    return {"transport_id": request.transport_id}


@handlers.of(media.PRODUCE)
async def produce(
    dialect: Meeting, peer: SocketPeer, request: media.ProduceRequest
) -> media.Produced:
    """A stream of the peer's."""
    producer = await dialect.services.producers.produce(
        peer,
        request.media_source,
        request.rtp_parameters,
        transport_id=request.transport_id,
        paused=request.paused,
        epoch=request.epoch,
    )
    return {
        "producer_id": producer.id,
        "kind": producer.kind,
        "source": producer.source,
        "paused": producer.paused,
    }


@handlers.of(media.CONSUME)
async def consume(dialect: Meeting, peer: SocketPeer, request: media.ConsumeRequest) -> Consumer:
    """Somebody's stream."""
    made = await dialect.services.consumers.consume(
        peer, request.producer_id, request.rtp_capabilities, epoch=request.epoch
    )
    return views.consumer(made)


@handlers.of(media.CONSUME_BATCH)
async def consume_batch(
    dialect: Meeting, peer: SocketPeer, request: media.ConsumeBatch
) -> media.ConsumedBatch:
    """Several streams."""
    outcomes = await dialect.services.consumers.consume_batch(
        peer,
        request.producer_ids,
        request.rtp_capabilities,
        paused=request.paused,
        epoch=request.epoch,
    )
    both = list(zip(request.producer_ids, outcomes, strict=True))
    return {
        "consumers": [views.consumer(made) for _, made in both if isinstance(made, Subscription)],
        "failed": [
            {"producer_id": which, "code": error.code, "message": error.message}
            for which, error in both
            if isinstance(error, SignalingError)
        ],
    }


@handlers.of(media.RESUME_CONSUMER)
async def resume_consumer(
    dialect: Meeting, peer: SocketPeer, request: media.ConsumerNamed
) -> media.ConsumerIs:
    """Its media flows."""
    await dialect.services.consumers.resume(peer, request.consumer_id, epoch=request.epoch)
    return {"consumer_id": request.consumer_id}


@handlers.of(media.RESUME_CONSUMERS)
async def resume_consumers(
    dialect: Meeting, peer: SocketPeer, request: media.ConsumersNamed
) -> media.ConsumersAre:
    """Their media flows."""
    there = await dialect.services.consumers.resume_batch(
        peer, request.consumer_ids, epoch=request.epoch
    )
    return {"consumer_ids": there}


@handlers.of(media.PAUSE_CONSUMER)
async def pause_consumer(
    dialect: Meeting, peer: SocketPeer, request: media.ConsumerNamed
) -> media.ConsumerIs:
    """Its media is held back."""
    await dialect.services.consumers.pause(peer, request.consumer_id, epoch=request.epoch)
    return {"consumer_id": request.consumer_id}


@handlers.of(media.CHANGE_QUALITY)
async def change_quality(
    dialect: Meeting, peer: SocketPeer, request: media.QualityChange
) -> media.QualityChanged:
    """A layer at most."""
    await dialect.services.consumers.prefer_layer(
        peer, request.producer_id, request.layer, epoch=request.epoch
    )
    return {"producer_id": request.producer_id, "layer": request.layer}


@handlers.of(moving.CROSS)
async def cross(dialect: Meeting, peer: SocketPeer, request: moving.Crossed) -> moving.CrossedTo:
    """The peer's media is at the next server, too."""
    await dialect.services.moving.cross(peer, request.epoch)
    return {"meeting_id": request.meeting_id, "epoch": request.epoch}


@handlers.of(people.MUTE)
async def mute(dialect: Meeting, peer: SocketPeer, request: people.Mute) -> people.Muted:
    """Somebody's stream is paused at the server."""
    await dialect.services.people.mute(
        peer, request.target_user_id, request.kind, request.muted, request.reason
    )
    return {
        "meeting_id": request.meeting_id,
        "target_user_id": request.target_user_id,
        "kind": request.kind,
        "muted": request.muted,
    }


@handlers.of(chat.SEND)
async def send(dialect: Meeting, peer: SocketPeer, request: chat.Send) -> Message:
    """Something said."""
    said = await dialect.services.chat.send(
        peer,
        request.message,
        reply_to=request.reply_to,
        to=request.recipient_type,
        recipient=request.recipient_id,
    )
    return views.posted(request.meeting_id, said)


@handlers.of(chat.TYPING)
async def typing(dialect: Meeting, peer: SocketPeer, request: chat.Typing) -> chat.TypingIs:
    """About to say something."""
    await dialect.services.chat.typing(peer, request.is_typing)
    return {
        "meeting_id": request.meeting_id,
        "user_id": peer.seated().participant_id,
        "is_typing": request.is_typing,
    }
