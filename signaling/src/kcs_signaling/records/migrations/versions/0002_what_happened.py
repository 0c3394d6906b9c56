"""Who was there, what was said, how it went; the audit log; invitations and accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_APPEND_ONLY = {
    "sqlite": [
        f"""CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"""
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        """CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
        """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()""",
    ],
}


def upgrade() -> None:
    _meetings()
    _sessions()
    _chat()
    _stats()
    _audit()
    _invitations()
    _accounts()


def _text(
    name: str, length: int | None, *, null: bool = False, key: bool = False
) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=null, primary_key=key)


def _double(name: str, *, null: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=null)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{columns[0]}", table, list(columns))


def _meetings() -> None:
    op.add_column("meetings", sa.Column("settings", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("meetings", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.drop_index("ix_meetings_host_id", "meetings")
    op.create_index("ix_meetings_of_host", "meetings", ["host_id", "created_at", "id"])
    op.create_table(
        "idempotency_keys",
        _text("user_id", 64, key=True),
        _text("key", 255, key=True),
        _text("fingerprint", 64),
        _text("meeting_id", 64),
        _double("created_at"),
    )
    _index("idempotency_keys", "meeting_id")
    _index("idempotency_keys", "created_at")


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", _SERIAL, primary_key=True),
        _text("meeting_id", 64),
        _text("user_id", 64, null=True),
        _text("user_name", 200),
        _text("role", 16),
        _double("opened_at"),
        _double("closed_at", null=True),
    )
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "uq_sessions_open",
        "sessions",
        ["meeting_id", "user_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_index("ix_sessions_of_meeting", "sessions", ["meeting_id", "opened_at", "id"])
    _index("sessions", "user_id")
    _index("sessions", "opened_at")


def _chat() -> None:
    op.create_table(
        "chat_messages",
        _text("id", 64, key=True),
        _text("meeting_id", 64),
        _text("sender_id", 64),
        _text("sender_name", 200),
        _text("text", None),
        _text("reply_to", 64, null=True),
        _text("recipient_type", 16),
        _text("recipient_id", 64, null=True),
        _double("at"),
        _double("deleted_at", null=True),
    )
    op.create_index("ix_chat_messages_of_meeting", "chat_messages", ["meeting_id", "at", "id"])
    _index("chat_messages", "sender_id")
    _index("chat_messages", "recipient_id")
    _index("chat_messages", "at")


def _stats() -> None:
    measures = ("rtt_ms", "jitter_ms", "loss_percent", "bitrate_bps")
    op.create_table(
        "stats",
        sa.Column("id", _SERIAL, primary_key=True),
        _text("meeting_id", 64),
        _text("user_id", 64, null=True),
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        *(_double(f"{measure}_{what}") for measure in measures for what in ("sum", "max")),
    )
    unique = ["meeting_id", "user_id", "minute"]
    op.create_index("uq_stats_minute", "stats", unique, unique=True)
    op.create_index("ix_stats_of_meeting", "stats", ["meeting_id", "minute", "id"])
    _index("stats", "user_id")
    _index("stats", "minute")


def _audit() -> None:
    op.create_table(
        "persons",
        _text("pseudonym", 32, key=True),
        _text("user_id", 64),
        sa.UniqueConstraint("user_id"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        _double("at"),
        _text("action", 64),
        _text("actor", 32),
        _text("subject", 32, null=True),
        _text("meeting_id", 64, null=True),
        _text("details", None),
        _text("hash", 64),
    )
    for column in ("actor", "subject", "meeting_id"):
        _index("audit", column)
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        _text("hash", 64),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": "0" * 64}])
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _invitations() -> None:
    op.create_table(
        "invitations",
        _text("id", 64, key=True),
        _text("meeting_id", 64),
        _text("inviter_id", 64),
        _text("email", 254),
        _text("display_name", 200),
        _text("role", 16),
        _double("created_at"),
        _double("expires_at"),
        _double("sent_at", null=True),
    )
    op.create_index("ix_invitations_of_meeting", "invitations", ["meeting_id", "created_at", "id"])
    for column in ("inviter_id", "email", "expires_at"):
        _index("invitations", column)


def _accounts() -> None:
    op.create_table(
        "accounts",
        _text("user_id", 64, key=True),
        _text("email", 254, null=True),
        _text("user_name", 200),
        _text("campus_id", 64),
        _text("password_hash", 255),
        _double("created_at"),
        sa.UniqueConstraint("email"),
    )
