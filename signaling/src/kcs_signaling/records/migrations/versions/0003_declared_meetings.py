"""Meetings that are declared in Kubernetes, and the pool that takes a meeting."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("meetings", sa.Column("pool", sa.String(63), nullable=False, server_default=""))
    op.create_table(
        "declarations",
        sa.Column("meeting_id", sa.String(64), primary_key=True),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("said", sa.JSON, nullable=False),
    )
    op.create_index("ix_declarations_of_namespace", "declarations", ["namespace", "meeting_id"])
