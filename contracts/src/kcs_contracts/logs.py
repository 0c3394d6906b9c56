"""What the log lines of all services have in common.

A line is a JSON object with the architecture guide's keys ("Logging Strategy"): `event`,
`timestamp`, `level`; `meeting_id` and `user_id` where it is about one; all else in `metadata`, and
`exception` where there was one. It names nobody: people have pseudonyms, and errors no text, as
that may quote what a person sent.
"""

import asyncio
import hashlib
import hmac
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import structlog
from structlog.typing import ExcInfo, Processor, WrappedLogger

KEYS = frozenset({"event", "timestamp", "level", "meeting_id", "user_id", "metadata", "exception"})
"""Of a line, no others."""
_DIGITS = 16
_CHAIN = 8
"""Errors shown of one chain of causes."""
_log = structlog.get_logger()


def configure(*, quiet: Sequence[str]) -> None:
    """Sends structlog and `logging` through one JSON renderer to stdout, INFO and above.

    Of the loggers named in `quiet`, warnings and above. Signaling has one of its own: what it
    logs names people, and has to be rendered without.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(nameless_traceback),
                in_metadata,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)


def pseudonym(key: bytes, user_id: str) -> str:
    """Whom a line is about: `u_` and 16 hexadecimal digits, the same ones under the same key."""
    digest = hmac.new(key, user_id.encode("utf-8", "replace"), hashlib.sha256)
    return f"u_{digest.hexdigest()[:_DIGITS]}"


def in_metadata(
    _logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """structlog's processor that puts what has no key of its own into `metadata`."""
    others = {name: event.pop(name) for name in event.keys() - KEYS}
    if others:
        event["metadata"] = {**(event.get("metadata") or {}), **dict(sorted(others.items()))}
    return event


def nameless_traceback(exc_info: ExcInfo) -> str:
    """Where an error came from, without its text."""
    return "".join(_frames(exc_info[1], _CHAIN)).rstrip()


def log_loop_error(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """An event loop's exception handler: asyncio's own quotes the error's text."""
    _log.error("loop_error", what=context["message"], exc_info=context.get("exception"))


def _frames(error: BaseException | None, depth: int) -> Iterator[str]:
    if error is None or depth == 0:
        return
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    yield from _frames(before, depth - 1)
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions[:_CHAIN]:
            yield from _frames(each, depth - 1)
