"""Records: what must outlive Redis, in SQL (SQLite when embedded, else PostgreSQL).

`open_records` is where signaling starts; `Records` is what REST and the room service hold.
The tables are made at start where they are missing (`metadata.create_all`); migrations by
Alembic come with the next issue.
"""

from kcs_signaling.records.records import Records, open_records

__all__ = ["Records", "open_records"]
