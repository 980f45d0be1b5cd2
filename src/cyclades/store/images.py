"""Images as rows, and who sees which."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.model.caller import Caller
from cyclades.model.errors import Conflict, Forbidden, NotFound, WrongState
from cyclades.store import events, pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import image, image_member, now, operation

_ALIVE = image.c.deleted_at.is_(None)


def add(tx: Tx, image_id: str, **values: Any) -> None:
    """`Conflict` if the id was ever used: clients may choose it."""
    moment = now()
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(image)
    new = insert.values(id=image_id, created_at=moment, updated_at=moment, **values).on_conflict_do_nothing()
    if tx.execute(new.returning(image.c.id)).first() is None:
        raise Conflict("image-id", f"Image ID {image_id} already exists!", field="id")
    events.changed(tx, "image", image_id, created=True)


def get(tx: Tx, caller: Caller, image_id: str) -> Row[Any]:
    """An image that the caller may see, or `NotFound`."""
    return _found(tx, sa.select(image).where(image.c.id == image_id, _ALIVE, _visible(caller)), image_id)


def hold(tx: Tx, caller: Caller, image_id: str) -> Row[Any]:
    """An image that the caller may change; until the transaction ends nobody else does. `Forbidden` for one that
    the caller only sees."""
    query = sa.select(image).where(image.c.id == image_id, _ALIVE, _visible(caller)).with_for_update()
    row = _found(tx, query, image_id)
    if caller.scope is not None and row.project_id != caller.scope:
        raise Forbidden("image-owner", f"Image {image_id} belongs to another project.")
    return row


def hold_even_deleted(tx: Tx, image_id: str) -> Row[Any]:
    return tx.execute(sa.select(image).where(image.c.id == image_id).with_for_update()).one()


def get_even_deleted(tx: Tx, image_id: str) -> Row[Any]:
    """For operations that were accepted while the image was there."""
    return _found(tx, sa.select(image).where(image.c.id == image_id), image_id)


def usable(tx: Tx, caller: Caller, image_id: str) -> Row[Any]:
    """An image that the caller may start volumes and servers from. Until the transaction ends it cannot be
    deleted, so that its deletion finds the operation which this transaction adds."""
    query = sa.select(image).where(image.c.id == image_id, _ALIVE, _visible(caller)).with_for_update(read=True)
    row = _found(tx, query, image_id)
    if row.status != "active":
        raise WrongState("image-use", f"Image {image_id} is not active: it is {row.status}.", resource="image")
    return row


def _found(tx: Tx, query: sa.Select[Any], image_id: str) -> Row[Any]:
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound("image", image_id)
    return row


def _visible(caller: Caller, *, member_status: str = "all") -> sa.ColumnElement[bool]:
    if caller.scope is None:
        return sa.true()
    member = sa.exists().where(image_member.c.image_id == image.c.id, image_member.c.project_id == caller.scope)
    if member_status != "all":
        member = member.where(image_member.c.status == member_status)
    return sa.or_(
        image.c.project_id == caller.scope,
        image.c.visibility.in_(("public", "community")),
        sa.and_(image.c.visibility == "shared", member),
    )


def query(caller: Caller, visibility: str | None, member_status: str = "accepted") -> sa.Select[Any]:
    """The images in a caller's list, to be filtered and paged. `visibility`: None leaves out other projects'
    community images, "all" does not. Of those that other projects share, only what has this status with the caller's
    is there."""
    found = sa.select(image).where(_ALIVE, _visible(caller, member_status=member_status))
    if visibility is None:
        return found.where(sa.or_(image.c.visibility != "community", image.c.project_id == caller.project_id))
    return found if visibility == "all" else found.where(image.c.visibility == visibility)


def has_property(tx: Tx, name: str, value: str) -> sa.ColumnElement[bool]:
    each = sa.func.json_each_text if tx.dialect == "postgresql" else sa.func.json_each
    pair = each(image.c.properties).table_valued("key", "value", name="property")
    return sa.exists().where(pair.c.key == name, pair.c.value == value)


def has_tag(tx: Tx, tag: str) -> sa.ColumnElement[bool]:
    each = sa.func.json_array_elements_text if tx.dialect == "postgresql" else sa.func.json_each
    return sa.exists().where(each(image.c.tags).table_valued("value", name="tag").c.value == tag)


def page(tx: Tx, found: sa.Select[Any], wanted: Page) -> Rows:
    return pages.fetch(tx, found, image, wanted)


def change(tx: Tx, image_id: str, **values: Any) -> None:
    tx.execute(image.update().where(image.c.id == image_id).values(updated_at=now(), **values))
    events.changed(tx, "image", image_id)


def used_by(tx: Tx, image_id: str, *, besides: str) -> bool:
    """Whether an open operation other than `besides` was told of the image."""
    told = sa.cast(operation.c.args, sa.Text).contains(image_id)
    found = sa.select(operation.c.id).where(operation.c.ended_at.is_(None), operation.c.id != besides, told)
    return tx.execute(found.limit(1)).first() is not None


_OF_A_VOLUME = ("image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size")


def as_volume_metadata(row: Row[Any]) -> dict[str, str]:
    """What a volume keeps of the image that it was made from (Cinder's `volume_image_metadata`)."""
    kept = {
        "image_id": row.id,
        "image_name": row.name or "",
        "checksum": row.checksum or "",
        "container_format": row.container_format,
        "disk_format": row.disk_format,
        "min_disk": str(row.min_disk),
        "min_ram": str(row.min_ram),
        "size": str(row.size),
    }
    return {**row.properties, **kept}


def properties_of_volume(volume: Row[Any]) -> dict[str, str]:
    """What an image that is made from a volume says of it: the properties of the image that it was made from."""
    kept: dict[str, str] = volume.image_metadata or {}
    return {name: value for name, value in kept.items() if name not in _OF_A_VOLUME}
