"""The errors that a person can meet, with the guide's codes; each dialect and REST renders them.

SignalingError
├── MeetingNotFound      MEETING_NOT_FOUND
├── AccessDenied         ACCESS_DENIED
├── MeetingFull          MEETING_FULL
├── MeetingEnded         MEETING_ENDED
├── MeetingLocked        MEETING_LOCKED
├── MeetingNotOpen       MEETING_NOT_OPEN
├── RateLimited          RATE_LIMIT_EXCEEDED
├── InvalidRequest       INVALID_REQUEST
├── UnknownEvent         UNKNOWN_EVENT
├── NotJoined            NOT_JOINED
├── NotFound             NOT_FOUND
├── CannotConsume        CANNOT_CONSUME
├── ScreenShareTaken     SCREEN_SHARE_TAKEN
├── UnauthorizedRecording UNAUTHORIZED_RECORDING
├── RecordingDisabled    RECORDING_DISABLED
├── StreamingDisabled    STREAMING_DISABLED
├── NoCapacity           NO_CAPACITY
├── Unavailable          UNAVAILABLE
└── InternalError        INTERNAL_ERROR
"""


class SignalingError(Exception):
    """What went wrong, in words for a person, with a code for a program."""

    code = "INTERNAL_ERROR"

    def __init__(self, message: str, *, retry_after_s: float | None = None):
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class MeetingNotFound(SignalingError):
    """There is no such meeting."""

    code = "MEETING_NOT_FOUND"


class AccessDenied(SignalingError):
    """The token or the role does not allow it."""

    code = "ACCESS_DENIED"


class MeetingFull(SignalingError):
    """As many people are in as may be."""

    code = "MEETING_FULL"


class MeetingEnded(SignalingError):
    """The meeting is over."""

    code = "MEETING_ENDED"


class MeetingLocked(SignalingError):
    """A host locked it: nobody new comes in."""

    code = "MEETING_LOCKED"


class MeetingNotOpen(SignalingError):
    """It is scheduled for later; `retry_after_s` says when it opens."""

    code = "MEETING_NOT_OPEN"


class RateLimited(SignalingError):
    """Too many of these; `retry_after_s` says when again."""

    code = "RATE_LIMIT_EXCEEDED"


class InvalidRequest(SignalingError):
    """The payload is not what the event takes."""

    code = "INVALID_REQUEST"


class UnknownEvent(SignalingError):
    """No such event in this namespace."""

    code = "UNKNOWN_EVENT"


class NotJoined(SignalingError):
    """The command is for people in a meeting, and this socket is in none, or in another."""

    code = "NOT_JOINED"


class NotFound(SignalingError):
    """No such transport, producer, consumer or participant of this meeting."""

    code = "NOT_FOUND"


class CannotConsume(SignalingError):
    """The receiver's capabilities do not fit the producer."""

    code = "CANNOT_CONSUME"


class ScreenShareTaken(SignalingError):
    """As many screens are shared as the meeting allows."""

    code = "SCREEN_SHARE_TAKEN"


class UnauthorizedRecording(SignalingError):
    """Only hosts and co-hosts control recording."""

    code = "UNAUTHORIZED_RECORDING"


class RecordingDisabled(SignalingError):
    """Recording is off for this meeting, or nothing here can record."""

    code = "RECORDING_DISABLED"


class StreamingDisabled(SignalingError):
    """Streaming is off for this meeting, or nothing here can stream."""

    code = "STREAMING_DISABLED"


class NoCapacity(SignalingError):
    """No SFU node has room; `retry_after_s` says when to try again."""

    code = "NO_CAPACITY"


class Unavailable(SignalingError):
    """A part that this needs does not answer; try again."""

    code = "UNAVAILABLE"


class InternalError(SignalingError):
    """A bug of ours; the log has it."""

    code = "INTERNAL_ERROR"
