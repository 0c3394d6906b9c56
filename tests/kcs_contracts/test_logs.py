"""Log lines of all services: the guide's keys, pseudonyms, and no text of errors."""

import asyncio
from typing import Any

import structlog
from structlog.testing import capture_logs

from kcs_contracts.logs import in_metadata, log_loop_error, nameless_traceback, pseudonym

TEXT = "Ada's secret"


def test_what_has_no_key_of_its_own_goes_into_metadata() -> None:
    line: dict[str, Any] = {"event": "joined", "level": "info", "meeting_id": "m", "user_id": None}
    assert in_metadata(None, "info", dict(line)) == line
    more = {**line, "role": "host", "metadata": {"resumed": True}}
    expected = {**line, "metadata": {"resumed": True, "role": "host"}}
    assert in_metadata(None, "info", more) == expected


def test_a_pseudonym_is_the_same_under_the_same_key_and_another_under_another() -> None:
    one = pseudonym(b"key", "ada")
    assert one == pseudonym(b"key", "ada")
    assert one not in (pseudonym(b"other", "ada"), pseudonym(b"key", "bob"))
    assert pseudonym(b"key", "\ud800").startswith("u_")


async def test_an_error_that_nobody_awaited_is_logged_without_its_text() -> None:
    async def fail() -> None:
        raise ValueError(TEXT)

    structlog.reset_defaults()
    loop, task = asyncio.get_running_loop(), asyncio.create_task(fail())
    loop.set_exception_handler(log_loop_error)
    await asyncio.sleep(0)
    with capture_logs() as lines:
        del task
        await asyncio.sleep(0)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("loop_error", "error")
    error = line.pop("exc_info")
    assert "secret" not in str(line)
    assert "secret" not in nameless_traceback((type(error), error, error.__traceback__))
