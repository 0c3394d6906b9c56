"""A socket that speaks the client guide's dialect."""

from kcs_contracts.protocol import guide_client as guide
from kcs_contracts.rooms import Producer
from kcs_signaling.adapters.socket_server import Connection
from kcs_signaling.dialects.client.announcements import Announcements
from kcs_signaling.dialects.table import SocketPeer
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Audience


class ClientPeer(SocketPeer):
    """It is told of streams one at a time."""

    def __init__(self, identity: Identity, connection: Connection, audience: Audience):
        super().__init__(identity, connection, audience)
        self.announcements = Announcements(self._announce)

    def _announce(self, producer: Producer) -> None:
        told: guide.NewProducer = {
            "participantId": producer.participant_id,
            "producerId": producer.id,
            "kind": producer.kind,
            "source": producer.source,
        }
        self.connection.emit("new-producer", told)
