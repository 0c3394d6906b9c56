"""Everything that the driver raises, in one tree; callers translate it at their own edge.

MediasoupError
├── WorkerStartError        the worker did not start: no binary, wrong version or settings
├── ChannelClosed           the worker was closed by us: nothing can be asked of it any more
│   ├── WorkerDied          its process ended by itself
│   └── MalformedFrame      a message of it could not be taken; it was killed for it
├── RequestTimeout          no answer in time (also a TimeoutError); it may come late
├── RequestRejected         the worker answered with an error
│   ├── RejectedTypeError   ... it found the arguments wrong (also a TypeError)
│   └── NotFoundError       ... or an object missing; the driver raises it too
├── InvalidStateError       the call makes no sense in the object's state
│   └── ObjectClosed        ... because the object is closed; nothing was sent
├── InvalidRtp              RTP or SCTP parameters are wrong (also a TypeError)
└── UnsupportedError        they are right, but mediasoup cannot do what they ask for
"""


class MediasoupError(Exception):
    """Base of all errors of the driver."""


class WorkerStartError(MediasoupError):
    """The worker process did not come up. The text says why and what to do."""


class ChannelClosed(MediasoupError):
    """The worker is closed; pending requests are aborted with it and new ones refused."""


class WorkerDied(ChannelClosed):
    """The worker process ended by itself; all its objects are gone."""

    def __init__(self, pid: int, exit_status: int) -> None:
        """`exit_status` as in `subprocess`: an exit code, or minus the number of a signal."""
        how = f"signal {-exit_status}" if exit_status < 0 else f"exit code {exit_status}"
        super().__init__(f"mediasoup-worker died (pid {pid}, {how})")
        self.pid = pid
        self.exit_status = exit_status


class MalformedFrame(ChannelClosed):
    """A message was too long or undecodable, or we failed at it: channel closed, worker killed."""


class RequestTimeout(MediasoupError, TimeoutError):
    """The worker did not answer in time. A late answer is ignored."""


class RequestRejected(MediasoupError):
    """The worker refused a request; the text is its own."""


class RejectedTypeError(RequestRejected, TypeError):
    """The worker found an argument of the request wrong."""


class NotFoundError(RequestRejected):
    """The request names an object that does not exist (any more)."""


class InvalidStateError(MediasoupError):
    """The object cannot do this in its present state."""


class ObjectClosed(InvalidStateError):
    """A call on a closed object: raised before anything reaches the worker."""


class InvalidRtp(MediasoupError, TypeError):
    """RTP or SCTP parameters or capabilities are not what they should be."""


class UnsupportedError(MediasoupError):
    """Parameters are well formed, but there is no compatible codec, no free payload type, etc."""
