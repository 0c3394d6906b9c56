"""The codes of errors, in both dialects and over REST, and what each means to a person."""

from typing import Literal

ErrorCode = Literal[
    "MEETING_NOT_FOUND",
    "ACCESS_DENIED",
    "MEETING_FULL",
    "MEETING_ENDED",
    "MEETING_LOCKED",
    "MEETING_NOT_OPEN",
    "RATE_LIMIT_EXCEEDED",
    "INVALID_REQUEST",
    "UNKNOWN_EVENT",
    "NOT_JOINED",
    "NOT_FOUND",
    "CANNOT_CONSUME",
    "SCREEN_SHARE_TAKEN",
    "RECORDING_DISABLED",
    "UNAUTHORIZED_RECORDING",
    "STREAMING_DISABLED",
    "NO_CAPACITY",
    "UNAVAILABLE",
    "INTERNAL_ERROR",
]

MEANING: dict[ErrorCode, str] = {
    "MEETING_NOT_FOUND": "There is no such meeting, for all that you may know.",
    "ACCESS_DENIED": "Your token, your role or the host does not allow it.",
    "MEETING_FULL": "As many people are in as may be.",
    "MEETING_ENDED": "The meeting is over.",
    "MEETING_LOCKED": "A host has locked the meeting: nobody new comes in.",
    "MEETING_NOT_OPEN": "The meeting is scheduled for later; `retry_after` says when it opens.",
    "RATE_LIMIT_EXCEEDED": "Too many of this `event`; again after `retry_after` seconds.",
    "INVALID_REQUEST": "The payload is not what the event takes; the message says what is wrong.",
    "UNKNOWN_EVENT": "There is no such event in this namespace.",
    "NOT_JOINED": "Join the meeting first; or you speak of another one than you are in.",
    "NOT_FOUND": "There is no such thing or person in this meeting.",
    "CANNOT_CONSUME": "Your device cannot play this stream.",
    "SCREEN_SHARE_TAKEN": "As many screens are shared as the meeting allows.",
    "RECORDING_DISABLED": "Recording is off for this meeting, or nothing here can record.",
    "UNAUTHORIZED_RECORDING": "Only hosts and co-hosts control recording.",
    "STREAMING_DISABLED": "Streaming is off for this meeting, or nothing here can stream.",
    "NO_CAPACITY": "All media servers are full; `retry_after` says when to try again.",
    "UNAVAILABLE": "A part that this needs does not answer; try again after `retry_after`.",
    "INTERNAL_ERROR": "A bug of ours; it is logged.",
}

COMMON: tuple[ErrorCode, ...] = (
    "INVALID_REQUEST",
    "RATE_LIMIT_EXCEEDED",
    "UNAVAILABLE",
    "INTERNAL_ERROR",
)
"""Whatever the event."""

IN_A_MEETING: tuple[ErrorCode, ...] = ("NOT_JOINED", "ACCESS_DENIED")
"""Whatever needs a seat in a meeting and a role that allows it."""
