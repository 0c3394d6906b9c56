"""Logs: one JSON object per line on stdout, the standard library's loggers included.

INFO and above; what a single meeting does in detail goes to `MEETING` at debug level, which
`Detail` alone uses, for the meetings that somebody looks into. Nothing that is logged holds
ICE passwords, DTLS keys, SDP or tickets; what the lines look like, `kcs_contracts.logs` says.
"""

import logging
import sys

import structlog

from kcs_contracts.logs import in_metadata, nameless_traceback

_MEETING = "kcs_sfu.meeting"
MEETING: structlog.stdlib.BoundLogger = structlog.get_logger(_MEETING)
"""Shows debug lines too."""


def configure() -> None:
    """Sends structlog and `logging` through one JSON renderer."""
    shared: list[structlog.typing.Processor] = [
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
    logging.getLogger(_MEETING).setLevel(logging.DEBUG)
    for noisy in ("asyncio", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
