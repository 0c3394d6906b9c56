"""SCTP stream ids of a transport's outgoing data channels."""

from kcs_sfu.mediasoup.errors import InvalidStateError

_MAX_STREAMS = 65535


class StreamIds:
    """Hands out free ids, going round, so that one is not reused at once."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._next = 0
        self._limit = _MAX_STREAMS

    def limit(self, streams: int) -> None:
        """What both ends have agreed on. Ids beyond it that were given before stay."""
        self._limit = min(streams, _MAX_STREAMS)

    def take(self) -> int:
        """A free id. Raises InvalidStateError when there is none."""
        for offset in range(self._limit):
            stream_id = (self._next + offset) % self._limit
            if stream_id not in self._taken:
                self._taken.add(stream_id)
                self._next = stream_id + 1
                return stream_id
        raise InvalidStateError("all SCTP streams of this transport are in use")

    def give_back(self, stream_id: int) -> None:
        """The id is free again."""
        self._taken.discard(stream_id)
