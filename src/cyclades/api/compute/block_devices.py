"""`block_device_mapping_v2`, and its older form `block_device_mapping`: from the wire to the disks of a server."""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import since
from cyclades.api.compute.schemas import BOOLEAN_OR_NULL, NAME_OR_NULL, NOT_NEGATIVE, TAG
from cyclades.api.http.schemas import UUID, UUID_OR_NULL, Schema, is_true
from cyclades.api.http.versions import Version
from cyclades.model.errors import Invalid
from cyclades.operations.block_device import FIELD, IMAGE_ROOT, BlockDevice, Disk, disk_of, invalid

OLD_FIELD = "block_device_mapping"
_SHORT: Schema = {"type": ["string", "null"], "maxLength": 255}
_DEVICE: Schema = {"type": ["string", "null"], "maxLength": 255, "pattern": "^[A-Za-z0-9/._-]*$"}
_SIZE: Schema = {"anyOf": [NOT_NEGATIVE, {"type": "null"}, {"const": ""}]}
_MOST = 64  # of one list
_ROOT_NAMES = ("vda", "sda")  # of the root in the older form


def schema(version: Version) -> Schema:
    properties: Schema = {
        "source_type": {"enum": ["blank", "image", "snapshot", "volume"]},
        "destination_type": {"enum": ["local", "volume"]},
        "uuid": {"anyOf": [UUID_OR_NULL, {"const": ""}]},
        "volume_size": _SIZE,
        "size": _SIZE,
        "boot_index": {
            "type": ["integer", "string", "null"],
            "pattern": "^-?[0-9]{1,3}$",
            "minimum": -999,
            "maximum": 999,
        },
        "delete_on_termination": BOOLEAN_OR_NULL,
        "device_name": _DEVICE,
        "disk_bus": _SHORT,
        "device_type": _SHORT,
        "guest_format": _SHORT,
        "no_device": BOOLEAN_OR_NULL,
    }
    if since.has_disk_tags(version):
        properties["tag"] = TAG
    if version >= since.BLOCK_DEVICE_VOLUME_TYPE:
        properties["volume_type"] = NAME_OR_NULL
    return _list_of(properties)


def old_schema() -> Schema:
    return _list_of(
        {
            "virtual_name": _SHORT,
            "volume_id": UUID,
            "snapshot_id": UUID,
            "volume_size": _SIZE,
            "device_name": {**_DEVICE, "type": "string", "minLength": 1},
            "delete_on_termination": BOOLEAN_OR_NULL,
            "no_device": BOOLEAN_OR_NULL,
        }
    )


def _list_of(properties: Schema) -> Schema:
    item = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"type": "array", "maxItems": _MOST, "items": item}


def disks(body: dict[str, Any], image_id: str | None) -> list[Disk]:
    """Those that a request for a server lists, with the root that its image makes; `image_id` is its imageRef."""
    new, old = body.get(FIELD), body.get(OLD_FIELD)
    if new and old:
        raise Invalid(
            "block-device-twice",
            "Using different block_device_mapping syntaxes is not allowed in the same request.",
            field=OLD_FIELD,
        )
    if new:
        return [disk_of(_block_device(mapping), image_id) for mapping in new]
    if old:
        return _of_the_older_form(old, image_id)
    if image_id is None:
        raise Invalid("image-missing", "Missing imageRef attribute", field="imageRef")
    return [IMAGE_ROOT]


def _block_device(mapping: dict[str, Any]) -> BlockDevice:
    index, ends = mapping.get("boot_index"), mapping.get("delete_on_termination")
    return BlockDevice(
        source_type=mapping.get("source_type"),
        destination_type=mapping.get("destination_type"),
        uuid=(mapping.get("uuid") or "").lower() or None,
        volume_size=_size(mapping),
        boot_index=-1 if index is None else int(index),
        delete_on_termination=None if ends is None else is_true(ends),
        no_device=_is_set(mapping, "no_device"),
        **{
            name: mapping.get(name)
            for name in ("device_name", "disk_bus", "device_type", "guest_format", "tag", "volume_type")
        },
    )


def _is_set(mapping: dict[str, Any], name: str) -> bool:
    return mapping.get(name) is not None and is_true(mapping[name])


def _size(mapping: dict[str, Any]) -> int | None:
    """GiB. `size` is our other name for `volume_size`."""
    given = {int(mapping[key]) for key in ("volume_size", "size") if mapping.get(key) not in (None, "")}
    if len(given) > 1:
        raise invalid("size and volume_size differ; size is another name for volume_size.")
    return given.pop() if given else None


def _of_the_older_form(mappings: list[dict[str, Any]], image_id: str | None) -> list[Disk]:
    """The disk that has the root's name is the root; without one the image is."""
    found = []
    for mapping in mappings:
        name = mapping.get("device_name", "").removeprefix("/dev/")
        source = next((kind for kind in ("snapshot", "volume") if mapping.get(f"{kind}_id")), None)
        if source is None and not _is_set(mapping, "no_device"):
            raise invalid("Unrecognized legacy format.")
        wanted = {
            "source_type": source,
            "uuid": mapping.get(f"{source}_id"),
            "boot_index": 0 if source is not None and name in _ROOT_NAMES else -1,
            **{key: value for key, value in mapping.items() if key not in ("virtual_name", "volume_id", "snapshot_id")},
        }
        found.append(disk_of(_block_device(wanted), image_id))
    if image_id is not None and not any(disk.boot_index == 0 for disk in found):
        found.insert(0, IMAGE_ROOT)
    return found
