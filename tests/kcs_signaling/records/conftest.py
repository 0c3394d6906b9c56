"""Records on each of the two databases, empty at the start of each test."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kcs_contracts.rooms import Role
from kcs_signaling.ports import Meeting
from kcs_signaling.records import Records, open_records

NOW = float(int(time.time()))
MakeMeeting = Callable[..., Meeting]


@pytest.fixture(params=["sqlite", "postgresql"])
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/records.sqlite"
    url: str = request.getfixturevalue("postgres").new_database()
    return url


@pytest.fixture
async def records(sql_url: str) -> AsyncIterator[Records]:
    """The records in that database."""
    async with open_records(sql_url) as opened:
        yield opened


@pytest.fixture
def now() -> float:
    """A moment of this test session, in whole s."""
    return NOW


@pytest.fixture
def meeting() -> MakeMeeting:
    """Makes a meeting `m-1` of ada's, or another: `meeting("m-2", host_id="bob")`."""

    def make(meeting_id: str = "m-1", **changes: object) -> Meeting:
        values = {
            "id": meeting_id,
            "display_name": "Lab",
            "host_id": "ada",
            "max_participants": 10,
            "expected_participants": 3,
            "region": "eu",
            "default_role": Role.ATTENDEE,
            "starts_at": NOW + 0.125,
            "duration_minutes": 60,
            "created_at": NOW,
            "ended_at": None,
        }
        return Meeting.model_validate(values | changes)

    return make
