"""The `/meeting` dialect (architecture guide, "WebSocket Events"): snake_case, acknowledgements.

Each request is answered by its acknowledgement and, where the guide names one, by an event with
the same data. WebRTC parameters keep mediasoup's camelCase inside: they go straight to and from
mediasoup-client.
"""

from kcs_signaling.dialects.meeting.dialect import MeetingDialect

__all__ = ["MeetingDialect"]
