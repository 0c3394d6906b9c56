"""A replica's copy of a meeting that is made from the bus alone, for tests of what is published."""

from kcs_contracts.events import MeetingEnded, ParticipantJoined, ParticipantLeft, Published
from kcs_contracts.ids import Generation, MeetingId, ParticipantId
from kcs_contracts.rooms import Participant, Producer, RoomSnapshot
from kcs_signaling.rooms.state import Applied, NextPlane, RoomState


def unknown(meeting_id: MeetingId) -> RoomSnapshot:
    """What placement says of a meeting that it knows nothing of."""
    return RoomSnapshot(
        meeting_id=meeting_id,
        version=0,
        assignment=None,
        generation=Generation(0),
        participants=(),
        producers=(),
    )


class Follower:
    """Hears every event from the meeting's first one on; a meeting that ends begins anew."""

    def __init__(self, meeting_id: MeetingId):
        self.meeting_id = meeting_id
        self.state = RoomState(unknown(meeting_id))

    @property
    def participants(self) -> dict[ParticipantId, Participant]:
        return self.state.participants

    @property
    def producers(self) -> list[Producer]:
        return list(self.state.producers.values())

    def hear(self, published: Published) -> None:
        """Takes the event in; it must be the next one, and count people rightly."""
        state, event = self.state, published.event
        state.version = state.version or published.version - 1
        if isinstance(event, ParticipantLeft):
            assert event.participant_id in state.participants
        assert state.apply(published) is Applied.NOW, "a gap in the versions"
        if isinstance(event, ParticipantJoined | ParticipantLeft):
            assert event.count == len(state.participants)
        if isinstance(event, MeetingEnded):
            self.state = RoomState(unknown(self.meeting_id))

    def agrees_with(self, snapshot: RoomSnapshot) -> None:
        """Fails unless the snapshot says the same."""
        state, read = self.state, RoomState(snapshot)
        assert state.version == read.version
        assert state.participants == read.participants
        assert state.producers == read.producers
        assert state.waiting == read.waiting
        assert state.live.fields == read.live.fields
        assert state.inside == read.inside
        assert _plane(state.next) == _plane(read.next)


def _plane(plane: NextPlane | None) -> tuple[object, ...] | None:
    return plane and (plane.node, plane.epoch, plane.generation, plane.producers)
