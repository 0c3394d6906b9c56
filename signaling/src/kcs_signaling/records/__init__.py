"""Records: what must outlive Redis, in SQL (SQLite when embedded, else PostgreSQL).

`open_records` is where signaling starts: it brings the database to today's tables (`migrate`) and
gives `Records`, which REST and the room service hold, with one object per concern. Calls write by
their `journal`, which waits for nothing. `Retention` runs beside them.
"""

from kcs_signaling.records.records import Records, open_records
from kcs_signaling.records.retention import Retention

__all__ = ["Records", "Retention", "open_records"]
