"""The errors that signaling can meet, as the control API's codes.

AgentError
├── OperationFailed   one operation of a batch: its `Result.error`
└── BatchRefused      the whole batch: an HTTP status and a `Refusal`

Mediasoup's own errors are translated in one place, `node_error`.
"""

import structlog

from kcs_contracts.node_api import NodeError, NodeErrorCode
from kcs_sfu.mediasoup.errors import (
    ChannelClosed,
    InvalidRtp,
    InvalidStateError,
    NotFoundError,
    ObjectClosed,
    RequestRejected,
    RequestTimeout,
    UnsupportedError,
)

_log = structlog.get_logger(__name__)
_MESSAGE_CHARS = 300


class AgentError(Exception):
    """An error with a code of the control API."""

    def __init__(self, code: NodeErrorCode, message: str):
        super().__init__(message)
        self.error = NodeError(code=code, message=message[:_MESSAGE_CHARS])


class OperationFailed(AgentError):
    """This operation was not done; the others of its batch stand."""


class BatchRefused(AgentError):
    """No operation of the batch was run; `status` is the HTTP status."""

    def __init__(self, status: int, code: NodeErrorCode, message: str):
        super().__init__(code, message)
        self.status = status


def not_found(what: str, text_id: str = "") -> OperationFailed:
    """The participant has no such thing; also the answer for somebody else's."""
    return OperationFailed("NOT_FOUND", f"this participant has no such {what} {text_id}".rstrip())


def over_limit(limit: int, what: str) -> OperationFailed:
    """The participant has, or is being made, so many of them already."""
    return OperationFailed("LIMIT", f"a participant has at most {limit} {what}")


def node_error(error: Exception) -> NodeError:
    """What an operation's failure is to the caller; the unexpected is logged with its trace."""
    match error:
        case AgentError():
            return error.error
        case ObjectClosed() | NotFoundError():
            return NodeError(code="NOT_FOUND", message="it was closed meanwhile")
        case ChannelClosed() | RequestTimeout():
            return NodeError(code="UNAVAILABLE", message="the media worker does not answer")
        case InvalidRtp() | UnsupportedError() | RequestRejected() | InvalidStateError():
            return NodeError(code="INVALID", message=str(error)[:_MESSAGE_CHARS])
        case _:
            _log.error("operation_crashed", exc_info=error)
            return NodeError(code="INVALID", message="the node could not process the parameters")
