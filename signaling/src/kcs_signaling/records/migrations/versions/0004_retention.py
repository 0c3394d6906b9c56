"""Retention finds the rows that still name somebody without a walk over those that do not."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    named = sa.text("user_id IS NOT NULL")
    for table, column in (("sessions", "opened_at"), ("stats", "minute")):
        op.create_index(
            f"ix_{table}_named", table, [column], sqlite_where=named, postgresql_where=named
        )
