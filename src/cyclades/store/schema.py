"""The tables. Migrations in `migrations/` bring a database to exactly this.

Conventions: times are whole microseconds since 1970 UTC; `deleted_at` marks rows that only history and
late readers still need; JSON columns hold what is read and written as a whole. `operation_id` names the
operation that owns a row while its status is transitional, and only then.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(36)
Name = String(255)
Time = BigInteger
JSON = sa.JSON(none_as_null=True)


def now() -> int:
    """This moment, as the tables keep it."""
    return time.time_ns() // 1000


def _times() -> list[Column[int]]:
    return [
        Column("created_at", Time, nullable=False),
        Column("updated_at", Time),
        Column("deleted_at", Time),
    ]


# As `pages` sorts a name that may be missing.
_BY_NAME = sa.text("coalesce(name, '')")


def _alive(name: str, *columns: str | sa.TextClause, unique: bool = False) -> Index:
    """An index over the rows that are not deleted."""
    alive = sa.text("deleted_at IS NULL")
    return Index(name, *columns, unique=unique, sqlite_where=alive, postgresql_where=alive)


def _ended(name: str, column: str = "deleted_at") -> Index:
    """An index over the rows that are to be forgotten some day, the oldest first (housekeeping)."""
    ended = sa.text(f"{column} IS NOT NULL")
    return Index(name, column, "id", sqlite_where=ended, postgresql_where=ended)


# --- identity -------------------------------------------------------------------------------------

domain = Table(
    "domain",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("description", Text, nullable=False, default=""),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("extra", JSON, nullable=False, default=dict),
    Column("created_at", Time, nullable=False),
)

project = Table(
    "project",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), sa.ForeignKey("domain.id"), nullable=False),
    Column("name", Name, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("extra", JSON, nullable=False, default=dict),
    Column("created_at", Time, nullable=False),
    sa.UniqueConstraint("domain_id", "name"),
)

user = Table(
    "user",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), sa.ForeignKey("domain.id"), nullable=False),
    Column("name", Name, nullable=False),
    Column("password_hash", String(255)),
    Column("default_project_id", String(64)),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("extra", JSON, nullable=False, default=dict),
    Column("created_at", Time, nullable=False),
    sa.UniqueConstraint("domain_id", "name"),
)

role = Table(
    "role",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("description", Text, nullable=False, default=""),
    Column("extra", JSON, nullable=False, default=dict),
)

# `target_kind` is "project", "domain" or "system" (then `target_id` is "all").
assignment = Table(
    "assignment",
    metadata,
    Column("user_id", String(64), sa.ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    Column("target_kind", String(8), primary_key=True),
    Column("target_id", String(64), primary_key=True),
    Column("role_id", String(64), sa.ForeignKey("role.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_assignment_target", "target_kind", "target_id"),
)

# `secret_hash` is a SHA-256: the secret is random and long. `roles` are ids, at most those that its user had.
application_credential = Table(
    "application_credential",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), sa.ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", String(64), sa.ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("name", Name, nullable=False),
    Column("description", Text),
    Column("secret_hash", String(255), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("unrestricted", Boolean, nullable=False, default=False),
    Column("expires_at", Time),
    Column("created_at", Time, nullable=False),
    sa.UniqueConstraint("user_id", "name"),
    Index("ix_application_credential_project_id", "project_id"),
)

# A token is refused if it is `subject` (kind "token"), or if it is of a user, for a project, of a user in a project,
# domain or the system (kind "assignment", "<user>/<target>"), or of an application credential (kind "credential"), and
# was issued without knowing of this row.
# The ids order the rows as they were committed, on PostgreSQL too (store/revocations.py).
revocation = Table(
    "revocation",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(12), nullable=False),
    Column("subject", String(130), nullable=False),
    Column("expires_at", Time, nullable=False, index=True),
    sqlite_autoincrement=True,
)

# --- quota ----------------------------------------------------------------------------------------

quota_limit = Table(
    "quota_limit",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("resource", String(300), primary_key=True),
    Column("hard_limit", BigInteger, nullable=False),
)

# What a project has that has no limit of its own; where a resource is missing, the configuration's default.
quota_class = Table(
    "quota_class",
    metadata,
    Column("name", Name, primary_key=True),
    Column("resource", String(300), primary_key=True),
    Column("hard_limit", BigInteger, nullable=False),
)

quota_usage = Table(
    "quota_usage",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("resource", String(300), primary_key=True),
    Column("used", BigInteger, nullable=False),
)

# --- image ----------------------------------------------------------------------------------------

image = Table(
    "image",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("name", Name),
    Column("status", String(16), nullable=False),
    Column("visibility", String(16), nullable=False),
    Column("container_format", String(32)),
    Column("disk_format", String(32)),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("min_disk", Integer, nullable=False, default=0),
    Column("min_ram", Integer, nullable=False, default=0),
    Column("checksum", String(32)),
    Column("os_hash_value", String(128)),
    Column("protected", Boolean, nullable=False, default=False),
    Column("hidden", Boolean, nullable=False, default=False),
    Column("properties", JSON, nullable=False, default=dict),
    Column("tags", JSON, nullable=False, default=list),
    Column("file", String(64)),  # its name in the directory of images; null without data
    # Of an image that was made of a volume where it lies: the pool that has its bytes as a disk, and the volume. Its
    # file is written when somebody asks for it, and has a checksum from then on.
    Column("pool", String(64)),
    Column("volume_id", Id),
    Column("operation_id", Id),
    *_times(),
    _alive("ix_image_project_alive", "project_id", "created_at", "id"),
    _alive("ix_image_visibility_alive", "visibility", "created_at", "id"),
    _ended("ix_image_deleted"),
)

# A project that may use a `shared` image. status: "pending", "accepted", "rejected".
image_member = Table(
    "image_member",
    metadata,
    Column("image_id", Id, sa.ForeignKey("image.id"), primary_key=True),
    Column("project_id", String(64), primary_key=True),
    Column("status", String(16), nullable=False, default="pending"),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    Index("ix_image_member_project_id", "project_id"),
)

# The one upload that an image in status `saving` has. Who lets it grow older than `alive_until` has given it up.
image_upload = Table(
    "image_upload",
    metadata,
    Column("image_id", Id, sa.ForeignKey("image.id"), primary_key=True),
    Column("file", String(64), nullable=False),  # that is being written
    Column("counted", BigInteger, nullable=False),  # bytes taken from the project's quota so far
    Column("alive_until", Time, nullable=False),
)

# --- volume ---------------------------------------------------------------------------------------

volume_type = Table(
    "volume_type",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("description", Text),
    Column("is_public", Boolean, nullable=False, default=True),
    Column("is_default", Boolean, nullable=False, default=False),
    Column("extra_specs", JSON, nullable=False, default=dict),
    *_times(),
    _alive("uq_volume_type_name_alive", "name", unique=True),
)

# A project that may use a type that is not public.
volume_type_access = Table(
    "volume_type_access",
    metadata,
    Column("volume_type_id", Id, sa.ForeignKey("volume_type.id"), primary_key=True),
    Column("project_id", String(64), primary_key=True),
    Index("ix_volume_type_access_project_id", "project_id"),
)

# The type of a project's volumes that name none, where it is not the cloud's default.
project_default_type = Table(
    "project_default_type",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("volume_type_id", Id, sa.ForeignKey("volume_type.id"), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time),
)

volume = Table(
    "volume",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", Name),
    Column("description", Text),
    Column("status", String(32), nullable=False),
    Column("size", Integer, nullable=False),  # GiB
    Column("volume_type_id", Id, sa.ForeignKey("volume_type.id"), nullable=False),
    Column("pool", String(64), nullable=False),
    Column("bootable", Boolean, nullable=False, default=False),
    Column("readonly", Boolean),  # null: nobody has said
    Column("multiattach", Boolean, nullable=False, default=False),
    Column("consumes_quota", Boolean, nullable=False, default=True),
    Column("migration_status", String(16)),  # of its last move to another pool: migrating, success, error
    Column("metadata", JSON, nullable=False, default=dict),
    Column("image_metadata", JSON),
    Column("image_id", Id),
    Column("snapshot_id", Id),
    Column("source_volid", Id),
    Column("availability_zone", Name, nullable=False),
    Column("generation", BigInteger, nullable=False, default=0),  # of its attachments, counted up
    Column("reason", Text),  # of an error status
    Column("operation_id", Id),
    Column("held_since", Time),  # a client, not an operation, keeps it in a transitional status (os-reserve …)
    *_times(),
    _alive("ix_volume_project_alive", "project_id", "created_at", "id"),
    _alive("ix_volume_alive", "created_at", "id"),
    _alive("ix_volume_project_name_alive", "project_id", _BY_NAME, "id"),
    _ended("ix_volume_deleted"),
)

# `server_id` is one of our servers, `host_name` then its backend. An attachment without it is a client's own, of the
# Block Storage API's `/attachments` and `os-attach`: to the instance `instance_id` that runs elsewhere, or to the host
# `host_name`.
attachment = Table(
    "attachment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("volume_id", Id, sa.ForeignKey("volume.id"), nullable=False),
    Column("server_id", Id, sa.ForeignKey("server.id")),
    Column("disk_index", Integer),  # on the server; the root has 0
    Column("status", String(16), nullable=False),  # reserved, attaching, attached, detaching
    Column("instance_id", Id),
    Column("host_name", Name),
    Column("mode", String(2), default="rw"),  # rw or ro; null: its client has not chosen yet
    Column("connector", JSON),
    Column("device", String(255)),
    Column("tag", String(60)),
    Column("delete_on_termination", Boolean, nullable=False, default=False),
    Column("is_root", Boolean, nullable=False, default=False),
    Column("generation", BigInteger, nullable=False),
    Column("attached_at", Time),
    Column("operation_id", Id),
    *_times(),
    Index("ix_attachment_volume", "volume_id", "deleted_at"),
    _alive("ix_attachment_project_alive", "project_id", "created_at", "id"),
    _alive("uq_attachment_server_disk_index_alive", "server_id", "disk_index", unique=True),
    Index("ix_attachment_server", "server_id"),
    _ended("ix_attachment_deleted"),
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("volume_id", Id, sa.ForeignKey("volume.id"), nullable=False),
    Column("name", Name),
    Column("description", Text),
    Column("status", String(32), nullable=False),
    Column("size", Integer, nullable=False),  # GiB, the volume's at that moment
    Column("metadata", JSON, nullable=False, default=dict),
    Column("progress", String(4)),  # as a client last said it, while that takes the snapshot
    Column("reason", Text),
    Column("operation_id", Id),
    Column("held_since", Time),  # an admin, not an operation, keeps it in a transitional status (os-reset_status)
    *_times(),
    _alive("ix_snapshot_project_alive", "project_id", "created_at", "id"),
    _alive("ix_snapshot_project_name_alive", "project_id", _BY_NAME, "id"),
    Index("ix_snapshot_volume", "volume_id", "deleted_at"),
    _alive("ix_snapshot_alive", "created_at", "id"),
    _ended("ix_snapshot_deleted"),
)

# A volume on its way to whoever has the key. `key_hash` is a SHA-256: the key is random and long.
transfer = Table(
    "transfer",
    metadata,
    Column("id", Id, primary_key=True),
    Column("volume_id", Id, sa.ForeignKey("volume.id"), nullable=False),
    Column("project_id", String(64), nullable=False),  # who gives
    Column("name", Name),
    Column("key_hash", String(64), nullable=False),
    Column("no_snapshots", Boolean, nullable=False, default=False),
    Column("accepted", Boolean, nullable=False, default=False),
    Column("destination_project_id", String(64)),
    *_times(),
    _alive("ix_transfer_project_alive", "project_id", "created_at", "id"),
    _alive("uq_transfer_volume_alive", "volume_id", unique=True),
    Index("ix_transfer_volume", "volume_id"),
    _ended("ix_transfer_deleted"),
)

# --- compute --------------------------------------------------------------------------------------

flavor = Table(
    "flavor",
    metadata,
    Column("id", Name, primary_key=True),
    Column("name", Name, nullable=False),
    Column("description", Text),
    Column("vcpus", Integer, nullable=False),
    Column("ram", Integer, nullable=False),  # MiB
    Column("disk", Integer, nullable=False),  # GiB
    Column("is_public", Boolean, nullable=False, default=True),
    Column("extra_specs", JSON, nullable=False, default=dict),
    *_times(),
    _alive("uq_flavor_name_alive", "name", unique=True),
)

# Who, besides admins, may use a flavor that is not public.
flavor_access = Table(
    "flavor_access",
    metadata,
    Column("flavor_id", Name, sa.ForeignKey("flavor.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", String(64), primary_key=True),
)
keypair = Table(
    "keypair",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("name", Name, primary_key=True),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("created_at", Time, nullable=False),
)

server = Table(
    "server",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", Name, nullable=False),
    Column("description", Text),
    Column("hostname", Name, nullable=False),
    Column("status", String(16), nullable=False),  # BUILD, ACTIVE, SHUTOFF, REBOOT, HARD_REBOOT, ERROR
    Column("task_state", String(32)),
    Column("progress", Integer),  # percent, while its root disk is filled
    Column("power", String(16), nullable=False),  # as the backend last showed it
    Column("backend", String(64), nullable=False),
    Column("flavor_id", Name, nullable=False),
    Column("flavor", JSON, nullable=False),  # as it was when the server was made
    Column("image_id", Id),  # null when booted from a volume
    Column("key_name", Name),
    Column("public_key", Text),  # the keypair's when the server was made
    Column("user_data", Text),
    Column("config_drive", Boolean, nullable=False, default=True),
    Column("metadata", JSON, nullable=False, default=dict),
    Column("tags", JSON, nullable=False, default=list),
    Column("extra", JSON, nullable=False, default=dict),  # what is only kept and shown again
    Column("locked", Boolean, nullable=False, default=False),
    Column("nics", JSON, nullable=False, default=list),
    Column("nic_number", Integer),  # the network addresses follow from it; null without a network
    Column("reason", Text),  # of an error status, or of what happened by itself
    Column("launched_at", Time),
    Column("operation_id", Id),
    *_times(),
    _alive("ix_server_project_alive", "project_id", "created_at", "id"),
    _alive("ix_server_alive", "created_at", "id"),
    _alive("uq_server_nic_alive", "backend", "nic_number", unique=True),
    _ended("ix_server_deleted"),
)

# --- operations -----------------------------------------------------------------------------------

# state: "waiting" (to be claimed at `not_before`), "running", then "done", or "failed" when undone.
# direction: "forward", or "back" while its steps are undone.
operation = Table(
    "operation",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("resource_kind", String(32), nullable=False),
    Column("resource_id", Id, nullable=False),
    Column("args", JSON, nullable=False),
    Column("data", JSON, nullable=False, default=dict),  # what steps recorded for later steps and for undo
    Column("state", String(16), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("step", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),  # of the present step
    Column("progress", sa.Float, nullable=False, default=0.0),
    Column("reason", Text),  # why it waits, or why it failed
    Column("cancelled", Boolean, nullable=False, default=False),
    Column("not_before", Time, nullable=False),
    Column("lease_owner", String(128)),
    Column("lease_token", BigInteger, nullable=False, default=0),
    Column("lease_until", Time),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time),
    Column("ended_at", Time),
    Index("ix_operation_resource", "resource_id"),
    Index(
        "ix_operation_open",
        "not_before",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
    _ended("ix_operation_ended", "ended_at"),
)

message = Table(
    "message",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("operation", String(64), nullable=False),  # the operation's kind
    Column("resource_kind", String(32), nullable=False),
    Column("resource_id", Id, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Index("ix_message_project", "project_id", "created_at", "id"),
    Index("ix_message_resource", "resource_id"),
    Index("ix_message_expires", "expires_at", "id"),
)

# What became of a project's resource, in the order of commits. change: "created", "updated", "deleted".
event = Table(
    "event",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("project_id", String(64), nullable=False),
    Column("resource_kind", String(32), nullable=False),
    Column("resource_id", Id, nullable=False),
    Column("change", String(8), nullable=False),
    Column("status", String(32)),
    Column("created_at", Time, nullable=False),
    Index("ix_event_project", "project_id", "id"),
    Index("ix_event_created", "created_at"),
    sqlite_autoincrement=True,
)

# A POST that carried an `Idempotency-Key`: its answer and its body's hash, sealed, for its repeats.
idempotency = Table(
    "idempotency",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("user_id", String(64), primary_key=True),
    Column("path", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("answer", sa.LargeBinary),
    Column("expires_at", Time, nullable=False, index=True),
)

# Where servers run, as engines last found it. `problem` is why nobody can work with it just now.
backend = Table(
    "backend",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("memory", BigInteger, nullable=False),  # MiB
    Column("program", String(32), nullable=False),  # that runs guests
    Column("version", Integer, nullable=False),  # its: 7,2,1 is 7002001
    Column("booted_at", Time),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("disabled_reason", Name),
    Column("seen_at", Time, nullable=False),
    Column("memory_free", BigInteger),  # MiB; null where the backend does not say, as with the next two
    Column("disk_free", BigInteger),  # bytes, of disks that the backend itself makes
    Column("disk_templates", JSON),  # names
    Column("problem", Text),
)

# A Ganeti cluster that an operator added: the backend of the same name. `password` is sealed, `certificate` is what
# RAPI shows (PEM), `pools` are those that its nodes reach, `options` are those of `backends.ganeti.options`. One
# that is `offline` is left alone: what is asked of it waits.
cluster = Table(
    "cluster",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("url", String(255), nullable=False),
    Column("user", String(64), nullable=False),
    Column("password", sa.LargeBinary, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("pools", JSON, nullable=False, default=list),
    Column("options", JSON, nullable=False, default=dict),
    Column("offline", Boolean, nullable=False, default=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time),
)

# A disk in a cluster's own books, as it was last seen there. No `server_id`: it is detached, and only we know of it.
# `held`: it has left the cluster's books, and the running guest of `server_id` has not let go of it.
backend_disk = Table(
    "backend_disk",
    metadata,
    Column("backend", String(64), primary_key=True),
    Column("uuid", Id, primary_key=True),
    Column("volume_id", Id, nullable=False),
    Column("server_id", Id),
    Column("template", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("generation", BigInteger, nullable=False),
    Column("held", Boolean, nullable=False, default=False),
    Index("ix_backend_disk_volume", "volume_id"),
    Index("ix_backend_disk_server", "server_id"),
)

# A running process of ours, as it says itself. An engine's `id` is what it holds its leases as.
# What reconciliation saw last, and whose turn it is to look.
difference = Table(
    "difference",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("resource", String(128), primary_key=True),
    Column("place", String(64), primary_key=True),
    Column("recorded", Text, nullable=False),
    Column("found", Text, nullable=False),
    Column("advice", Text),
    Column("fixes", JSON, nullable=False),
    Column("first_seen_at", Time, nullable=False),
)
look = Table(
    "look",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("owner", String(128), nullable=False),  # who looks, or looked last
    Column("until", Time),  # while it looks: its lease
    Column("ended_at", Time),  # of the last one
    Column("unseen", JSON, nullable=False),  # what did not answer then, and why
)

service = Table(
    "service",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("host", Name, nullable=False),
    Column("kind", String(16), nullable=False),  # api or engine
    Column("version", String(32), nullable=False),
    Column("started_at", Time, nullable=False),
    Column("seen_at", Time, nullable=False),
)

# A pool, as the engine that looked last found it. `enabled` False is an operator's wish: it takes no new volumes.
pool = Table(
    "pool",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("engine", String(16), nullable=False),
    Column("total", BigInteger, nullable=False),  # bytes, as are the next two
    Column("free", BigInteger, nullable=False),
    Column("promised", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("disabled_reason", Name),
    Column("seen_at", Time, nullable=False),
)

# --- the qcow2 pool's own books -------------------------------------------------------------------

# One file of a qcow2 pool. `parent_id` is the layer below. state: "making" (its file may not be whole),
# "live", "removing".
layer = Table(
    "layer",
    metadata,
    Column("id", Id, primary_key=True),
    Column("pool", String(64), nullable=False),
    Column("parent_id", Id, sa.ForeignKey("layer.id")),
    Column("size", BigInteger, nullable=False),  # bytes, as a guest sees it
    Column("format", String(8), nullable=False, default="qcow2"),
    Column("state", String(16), nullable=False),
    Column("created_at", Time, nullable=False),
    Index("ix_layer_parent", "parent_id"),
)

# A name in a qcow2 pool, and the layer it stands for: `written` if a volume's, frozen if not.
pool_disk = Table(
    "pool_disk",
    metadata,
    Column("pool", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("layer_id", Id, sa.ForeignKey("layer.id"), nullable=False),
    Column("written", Boolean, nullable=False),
    Column("snapshot_of", String(64)),  # of a snapshot: the name of its volume
    Column("next_layer_id", Id),  # while a snapshot or a revert switches to it
    Column("owner", String(128)),
    Column("generation", BigInteger, nullable=False, default=0),
    Index("ix_pool_disk_layer", "layer_id"),
)
