"""Logs: one JSON object per line on stdout, the standard library's loggers included.

INFO and above; what a single meeting does in detail goes to `MEETING` at debug level, which
`Detail` alone uses, for the meetings that somebody looks into. Nothing that is logged holds
ICE passwords, DTLS keys, SDP or tickets; what the lines look like, `kcs_contracts.logs` says.
"""

import logging

import structlog

from kcs_contracts import logs

_MEETING = "kcs_sfu.meeting"
MEETING: structlog.stdlib.BoundLogger = structlog.get_logger(_MEETING)
"""Shows debug lines too."""


def configure() -> None:
    """As all services log, and what a meeting does in detail."""
    logs.configure(quiet=("asyncio", "uvicorn"))
    logging.getLogger(_MEETING).setLevel(logging.DEBUG)
