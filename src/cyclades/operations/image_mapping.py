"""Images that are made of volumes: without bytes, with properties that say of which snapshots a server is made.

The properties are Nova's, so that its clients understand them; and since anybody may write properties, what they say is
checked like a request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from cyclades.model.errors import Invalid
from cyclades.model.servers import device_of

PROPERTY = "block_device_mapping"
OWN_PROPERTIES = (PROPERTY, "bdm_v2", "root_device_name")


class Entry(msgspec.Struct):
    """One disk, with Nova's keys. `volume_size` is GiB; `boot_index` is 0 for the root."""

    source_type: Literal["blank", "image", "snapshot", "volume"] | None = None
    destination_type: Literal["local", "volume"] | None = None
    guest_format: str | None = None
    device_type: str | None = None
    disk_bus: str | None = None
    boot_index: int | None = None
    device_name: str | None = None
    delete_on_termination: bool | None = None
    snapshot_id: str | None = None
    volume_id: str | None = None
    volume_size: int | None = None
    image_id: str | None = None
    no_device: bool | None = None
    tag: str | None = None
    volume_type: str | None = None

    @property
    def source_id(self) -> str | None:
        return {"snapshot": self.snapshot_id, "volume": self.volume_id, "image": self.image_id}.get(
            self.source_type or ""
        )


def properties(frozen: Iterable[tuple[Row[Any], str, int]]) -> dict[str, str]:
    """Of an image of these: an attachment, the snapshot of its volume, and that one's size in GiB."""
    found = [
        Entry(
            source_type="snapshot",
            destination_type="volume",
            device_type="disk",
            disk_bus="scsi",
            boot_index=0 if attachment.is_root else None,
            device_name=device_of(attachment.disk_index),
            delete_on_termination=attachment.delete_on_termination,
            snapshot_id=snapshot_id,
            volume_size=size,
        )
        for attachment, snapshot_id, size in frozen
    ]
    return {PROPERTY: msgspec.json.encode(found).decode(), "bdm_v2": "True", "root_device_name": device_of(0)}


def entries(image: Row[Any]) -> list[Entry]:
    """None for an image that has bytes and nothing else. `Invalid` if they cannot be read."""
    text = image.properties.get(PROPERTY)
    if not text:
        return []
    try:
        return msgspec.json.decode(text, type=list[Entry])
    except msgspec.MsgspecError as error:
        raise Invalid(
            "image-mapping", f"The {PROPERTY} of image {image.id} cannot be used: {error}", field="imageRef"
        ) from error


def root_snapshot(image: Row[Any]) -> str | None:
    """The snapshot that a server's root is made from."""
    return next((entry.snapshot_id for entry in entries(image) if entry.boot_index == 0), None)


def snapshots_of(image: Row[Any]) -> list[str]:
    """The snapshots that an image names, whoever wrote it."""
    try:
        return [entry.snapshot_id for entry in entries(image) if entry.snapshot_id]
    except Invalid:
        return []
