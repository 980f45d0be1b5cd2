"""Attachments as rows: one volume plugged into one server, at an index; or a client's own, which has no `server_id`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model import attachments as rules
from cyclades.model.errors import NotFound, WrongState
from cyclades.store import pages, volumes
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import attachment, image, now, volume, volume_type

_ALIVE = attachment.c.deleted_at.is_(None)
_IN_POOL = sa.select(attachment, volume.c.pool).join(volume, volume.c.id == attachment.c.volume_id).where(_ALIVE)
_BY_ID = _IN_POOL.where(attachment.c.id == sa.bindparam("id"))
_OF_SERVERS = (
    sa.select(attachment)
    .where(attachment.c.server_id.in_(sa.bindparam("ids", expanding=True)), _ALIVE)
    .order_by(attachment.c.disk_index)
)


def add(tx: Tx, attachment_id: str, **values: Any) -> None:
    tx.execute(attachment.insert(), {"id": attachment_id, "created_at": now(), **values})


def get(tx: Tx, server_id: str, volume_id: str) -> Row[Any]:
    """Of this volume to this server, or `NotFound`."""
    wanted = sa.and_(attachment.c.server_id == server_id, attachment.c.volume_id == volume_id, _ALIVE)
    row = tx.execute(sa.select(attachment).where(wanted)).one_or_none()
    if row is None:
        raise NotFound("volume-attachment", volume_id)
    return row


def by_id(tx: Tx, attachment_id: str, scope: str | None) -> Row[Any]:
    """Of a volume of the project `scope` (None: of any), with the volume's `pool`; or `NotFound`."""
    row = tx.execute(_BY_ID, {"id": attachment_id}).one_or_none()
    if row is None or (scope is not None and row.project_id != scope):
        raise NotFound("volume-attachment", attachment_id)
    return row


def query(scope: str | None) -> sa.Select[Any]:
    """All of a project's volumes (None: of all volumes), each with the volume's `pool`, to be filtered and paged."""
    return _IN_POOL if scope is None else _IN_POOL.where(attachment.c.project_id == scope)


def page(tx: Tx, found: sa.Select[Any], wanted: Page) -> Rows:
    return pages.fetch(tx, found, attachment, wanted)


def of_volume(tx: Tx, volume_id: str) -> list[Row[Any]]:
    """Oldest first, those being made and ended included."""
    wanted = sa.select(attachment).where(attachment.c.volume_id == volume_id, _ALIVE)
    return list(tx.execute(wanted.order_by(attachment.c.created_at, attachment.c.id)).all())


def place(row: Row[Any]) -> str:
    """Where the volume is attached, for people."""
    if row.server_id is not None:
        return f"server {row.server_id}"
    return f"instance {row.instance_id}" if row.instance_id else f"host {row.host_name or '(not said)'}"


def volume_status(tx: Tx, row: Row[Any]) -> str:
    """What a volume (its row held, or an operation's) becomes by the attachments that it has now."""
    return rules.volume_status(row.status, (one.status for one in of_volume(tx, row.id)))


def let_go(tx: Tx, row: Row[Any]) -> None:
    """A volume (its row held) that a client keeps `attaching` or `detaching` becomes again what its attachments make
    of it. Any other stays as it is."""
    status = volume_status(tx, row)
    if row.held_since is not None and status != row.status:
        volumes.begin(tx, row, "let_go", status=status, op_id=None)


def of_server(tx: Tx, server_id: str) -> list[Row[Any]]:
    """By index, those being made and ended included."""
    return of_servers(tx, [server_id]).get(server_id, [])


# What a list of servers shows of each.
LISTED = (attachment.c.server_id, attachment.c.volume_id, attachment.c.delete_on_termination, attachment.c.is_root)


def of_servers(tx: Tx, server_ids: Iterable[str], *columns: sa.Column[Any]) -> dict[str, list[Row[Any]]]:
    """The attachments of each of these servers, in one query; with `columns`, which have `server_id`, only those."""
    ids = list(server_ids)
    found: dict[str, list[Row[Any]]] = {}
    if ids:
        wanted = _OF_SERVERS.with_only_columns(*columns) if columns else _OF_SERVERS
        for row in tx.execute(wanted, {"ids": ids}).all():
            found.setdefault(row.server_id, []).append(row)
    return found


def with_volumes(tx: Tx, server_id: str) -> list[Row[Any]]:
    """`of_server`, each with its volume's `pool`, `size`, `readonly` and `image_id`, its type's `extra_specs`, and the
    `image_size` (bytes, of its file) where it was made from an image."""
    of_volume = (volume.c.pool, volume.c.size, volume.c.readonly, volume.c.image_id, volume_type.c.extra_specs)
    both = sa.select(attachment, *of_volume, image.c.size.label("image_size"))
    both = both.join(volume, volume.c.id == attachment.c.volume_id)
    both = both.outerjoin(image, image.c.id == volume.c.image_id)
    both = both.join(volume_type, volume_type.c.id == volume.c.volume_type_id)
    return list(
        tx.execute(both.where(attachment.c.server_id == server_id, _ALIVE).order_by(attachment.c.disk_index)).all()
    )


def type_specs(tx: Tx, server_id: str) -> list[dict[str, str]]:
    """The extra specs of the types of a server's volumes."""
    types = sa.select(volume_type.c.id).join(volume, volume.c.volume_type_id == volume_type.c.id)
    found = types.join(attachment, attachment.c.volume_id == volume.c.id).where(
        attachment.c.server_id == server_id, _ALIVE
    )
    return list(tx.execute(sa.select(volume_type.c.extra_specs).where(volume_type.c.id.in_(found))).scalars())


def begin(tx: Tx, row: Row[Any], *, status: str, op_id: str) -> None:
    """Give an attachment that is made to an operation, or `WrongState`."""
    changed = tx.execute(
        attachment.update()
        .where(attachment.c.id == row.id, attachment.c.status == "attached", attachment.c.operation_id.is_(None))
        .values(status=status, operation_id=op_id, updated_at=now())
    )
    if changed.rowcount != 1:
        text = f"Invalid volume: the attachment of volume {row.volume_id} is {row.status}."
        raise WrongState("attachment-state", text, resource="volume")


def finish(tx: Tx, attachment_id: str, op_id: str, **values: Any) -> bool:
    """Take the attachment back from the operation that owns it; False (and nothing happens) if it no longer does."""
    changed = tx.execute(
        attachment.update()
        .where(attachment.c.id == attachment_id, attachment.c.operation_id == op_id)
        .values(operation_id=None, updated_at=now(), **values)
    )
    return changed.rowcount == 1


def change(tx: Tx, attachment_id: str, **values: Any) -> None:
    tx.execute(attachment.update().where(attachment.c.id == attachment_id).values(updated_at=now(), **values))
