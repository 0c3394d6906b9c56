"""Connection statistics, kept as one row per participant and minute."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract
from kcs_signaling.records.database import Database, insert_of
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import StatsRow

_MEASURES = ("rtt_ms", "jitter_ms", "loss_percent", "bitrate_bps")
_KEY = ("meeting_id", "user_id", "minute")


class StatsSample(Contract):
    """What a client reported of its connection."""

    meeting_id: MeetingId
    user_id: UserId
    at: float
    """Unix time, in s."""
    rtt_ms: float
    jitter_ms: float
    loss_percent: float
    bitrate_bps: float


class Measure(Contract):
    """A measure over a minute."""

    avg: float
    max: float


class StatsMinute(Contract):
    """A participant's connection in one minute."""

    meeting_id: MeetingId
    user_id: UserId | None
    """None once it is anonymised."""
    minute: int
    """Unix time of its start, in s."""
    samples: int
    rtt_ms: Measure
    jitter_ms: Measure
    loss_percent: Measure
    bitrate_bps: Measure


class Stats:
    """Statistics on record."""

    def __init__(self, database: Database):
        self._database = database

    async def add(self, samples: Sequence[StatsSample]) -> None:
        """Adds samples to their minutes, in one transaction."""
        if not samples:
            return
        async with self._database.begin() as connection:
            await add_samples(connection, samples)

    async def of_meeting(
        self, meeting_id: MeetingId, *, after: str | None = None, limit: int = 50
    ) -> Page[StatsMinute]:
        """The minutes of a meeting's participants, oldest first."""
        query = select(StatsRow.__table__).where(StatsRow.meeting_id == meeting_id)
        keys = (StatsRow.minute, StatsRow.id)
        async with self._database.begin() as connection:
            return await read_page(connection, query, keys, _minute, after=after, limit=limit)


async def add_samples(connection: AsyncConnection, samples: Sequence[StatsSample]) -> None:
    """Adds samples, at least one, to their minutes."""
    new = insert_of(connection, StatsRow)
    sums = ("samples", *(f"{measure}_sum" for measure in _MEASURES))
    peaks = tuple(f"{measure}_max" for measure in _MEASURES)
    grown: dict[str, Any] = {name: getattr(StatsRow, name) + new.excluded[name] for name in sums}
    for name in peaks:
        old, other = getattr(StatsRow, name), new.excluded[name]
        grown[name] = case((other > old, other), else_=old)
    await connection.execute(
        new.on_conflict_do_update(index_elements=_KEY, set_=grown), roll_up(samples)
    )


def roll_up(samples: Sequence[StatsSample]) -> list[dict[str, Any]]:
    """Rows of the samples' minutes, in the order in which all replicas write them (no deadlock)."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for sample in samples:
        key = (sample.meeting_id, sample.user_id, int(sample.at) // 60 * 60)
        row = rows.setdefault(key, dict(zip(_KEY, key, strict=True)) | {"samples": 0})
        row["samples"] += 1
        for measure in _MEASURES:
            value = getattr(sample, measure)
            row[f"{measure}_sum"] = row.get(f"{measure}_sum", 0.0) + value
            row[f"{measure}_max"] = max(row.get(f"{measure}_max", value), value)
    return [rows[key] for key in sorted(rows)]


def _minute(row: RowMapping) -> StatsMinute:
    measures = {
        measure: Measure(avg=row[f"{measure}_sum"] / row["samples"], max=row[f"{measure}_max"])
        for measure in _MEASURES
    }
    return StatsMinute(**{name: row[name] for name in (*_KEY, "samples")}, **measures)
