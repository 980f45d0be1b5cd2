"""what is over is found by its age, and what refers to a row by that row"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for table in ("volume", "snapshot", "attachment", "transfer", "server", "image"):
        _ended(f"ix_{table}_deleted", table, "deleted_at")
    _ended("ix_operation_ended", "operation", "ended_at")
    op.create_index("ix_message_expires", "message", ["expires_at", "id"])
    # Over all rows: a foreign key is checked with them.
    for table in ("attachment", "snapshot"):
        op.drop_index(f"ix_{table}_volume_alive", table)
        op.create_index(f"ix_{table}_volume", table, ["volume_id", "deleted_at"])
    op.create_index("ix_transfer_volume", "transfer", ["volume_id"])


def _ended(name: str, table: str, column: str) -> None:
    ended = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, [column, "id"], sqlite_where=ended, postgresql_where=ended)
