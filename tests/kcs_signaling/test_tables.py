"""Each dialect handles what is declared for its namespace, and nothing else."""

from kcs_contracts.protocol import CLIENT, MEETING
from kcs_signaling.dialects.client import ClientDialect
from kcs_signaling.dialects.meeting import MeetingDialect


def test_the_meeting_dialect_handles_every_declared_event_and_no_other() -> None:
    assert MeetingDialect.handlers.names == {event.name for event in MEETING.client_events}


def test_the_client_dialect_handles_every_declared_event_and_no_other() -> None:
    assert ClientDialect.handlers.names == {event.name for event in CLIENT.client_events}
