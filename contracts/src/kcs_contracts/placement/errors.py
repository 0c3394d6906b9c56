"""What placement refuses, and why.

PlacementError
├── NoCapacity      no node has room: try again later
├── MeetingIsOver   the meeting was ended
├── MeetingFull     the meeting has as many people as it may
├── MeetingIsLocked nobody new comes in
├── WasRemoved      a host removed that person
├── NotInMeeting    that participant is not in the meeting
├── MayNotSend      that participant's role does not allow it
├── ScreensTaken    as many screens are shared as may be
└── StaleEpoch      the meeting's media moved or was reset meanwhile

Redis being away is redis-py's own `redis.exceptions.ConnectionError` or `TimeoutError`.
"""


class PlacementError(Exception):
    """Placement refused a change; nothing was changed."""


class NoCapacity(PlacementError):
    """Every node is full, draining or gone."""

    def __init__(self, retry_after_s: float):
        super().__init__(f"no media node has room; try again in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class MeetingIsOver(PlacementError):
    """The meeting was ended; nobody can join it any more."""

    def __init__(self) -> None:
        super().__init__("the meeting is over")


class MeetingFull(PlacementError):
    """The meeting has as many people as it may."""

    def __init__(self) -> None:
        super().__init__("the meeting is full")


class MeetingIsLocked(PlacementError):
    """A host locked the meeting."""

    def __init__(self) -> None:
        super().__init__("the meeting is locked")


class WasRemoved(PlacementError):
    """A host removed that person from the meeting."""

    def __init__(self) -> None:
        super().__init__("that person was removed from the meeting")


class ScreensTaken(PlacementError):
    """As many screens are shared as the meeting allows."""

    def __init__(self) -> None:
        super().__init__("as many screens are shared as may be")


class NotInMeeting(PlacementError):
    """That participant is not in the meeting: join first."""

    def __init__(self) -> None:
        super().__init__("the participant is not in the meeting")


class MayNotSend(PlacementError):
    """The participant's role, as it is now, does not allow to send that."""

    def __init__(self) -> None:
        super().__init__("the participant's role does not allow to send that")


class StaleEpoch(PlacementError):
    """The meeting's media moved or was reset meanwhile: negotiate again."""

    def __init__(self) -> None:
        super().__init__("the meeting's media was reset meanwhile")
