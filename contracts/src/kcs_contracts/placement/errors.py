"""What placement refuses, and why.

PlacementError
├── NoCapacity      no node has room: try again later
├── MeetingIsOver   the meeting was ended
├── MeetingFull     the meeting has as many people as it may
├── NotInMeeting    that participant is not in the meeting
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


class NotInMeeting(PlacementError):
    """That participant is not in the meeting: join first."""

    def __init__(self) -> None:
        super().__init__("the participant is not in the meeting")


class StaleEpoch(PlacementError):
    """The meeting's media moved or was reset meanwhile: negotiate again."""

    def __init__(self) -> None:
        super().__init__("the meeting's media was reset meanwhile")
