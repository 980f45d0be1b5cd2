"""`block_device_mapping_v2`: from Nova's keys to the disks of a server."""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import since
from cyclades.api.compute.schemas import BOOLEAN_OR_NULL, NAME_OR_NULL, POSITIVE, TAG
from cyclades.api.http.schemas import UUID_OR_NULL, Schema, is_true
from cyclades.api.http.versions import Version
from cyclades.model.errors import Invalid
from cyclades.operations.new_volume import Source, Wanted
from cyclades.operations.server_create import Disk

_FIELD = "block_device_mapping_v2"
_SHORT: Schema = {"type": ["string", "null"], "maxLength": 255}


def schema(version: Version) -> Schema:
    size: Schema = {"anyOf": [POSITIVE, {"type": "null"}, {"const": ""}]}
    properties: Schema = {
        "source_type": {"enum": ["blank", "image", "snapshot", "volume"]},
        "destination_type": {"enum": ["local", "volume"]},
        "uuid": {"anyOf": [UUID_OR_NULL, {"const": ""}]},
        "volume_size": size,
        "size": size,
        "boot_index": {
            "type": ["integer", "string", "null"],
            "pattern": "^-?[0-9]{1,3}$",
            "minimum": -999,
            "maximum": 999,
        },
        "delete_on_termination": BOOLEAN_OR_NULL,
        "device_name": {"type": ["string", "null"], "maxLength": 255, "pattern": "^[A-Za-z0-9/._-]*$"},
        "disk_bus": _SHORT,
        "device_type": _SHORT,
        "guest_format": _SHORT,
        "no_device": BOOLEAN_OR_NULL,
    }
    if version >= since.DEVICE_TAGS:
        properties["tag"] = TAG
    if version >= since.BLOCK_DEVICE_VOLUME_TYPE:
        properties["volume_type"] = NAME_OR_NULL
    return {
        "type": "array",
        "maxItems": 64,
        "items": {"type": "object", "properties": properties, "additionalProperties": False},
    }


def disks(mappings: list[dict[str, Any]], image_id: str | None) -> tuple[str | None, list[Disk]]:
    """The image that the root is made from as the flavor says (None: the first disk is the root), and the disks."""
    others: list[tuple[int, dict[str, Any]]] = []
    root_of_image = False
    for mapping in mappings:
        index = int(-1 if mapping.get("boot_index") is None else mapping["boot_index"])
        if mapping.get("destination_type", _destination(mapping)) == "local":
            _check_local(mapping, index, image_id)
            if root_of_image:
                raise _invalid("only one of them can be the root disk, boot_index 0.")
            root_of_image = True
        else:
            others.append((index, mapping))
    boot = sorted(index for index, _ in others if index >= 0)
    boots_from_image = image_id is not None and 0 not in boot
    expected = range(1 if boots_from_image else 0, len(boot) + (1 if boots_from_image else 0))
    if boot != list(expected) or (not boots_from_image and not boot):
        raise _invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")
    if root_of_image and not boots_from_image:
        raise _invalid("only one of them can be the root disk, boot_index 0.")
    if image_id is not None and not boots_from_image:
        root = next(mapping for index, mapping in others if index == 0)
        if root.get("source_type") != "image" or root.get("uuid") != image_id:
            raise _invalid("its root disk is not made from imageRef; leave imageRef out to boot from a volume.")
    # The root first; the others as they were listed.
    others.sort(key=lambda pair: pair[0] != 0)
    return (image_id if boots_from_image else None), [_disk(mapping, index == 0) for index, mapping in others]


def _destination(mapping: dict[str, Any]) -> str:
    """Without a word: a volume for what is one, the server's own storage for the rest."""
    return "volume" if mapping.get("source_type") in ("volume", "snapshot") else "local"


def _check_local(mapping: dict[str, Any], index: int, image_id: str | None) -> None:
    """The one local disk is the root that clients list for a plain boot by `imageRef`."""
    if mapping.get("source_type") != "image" or index != 0:
        raise _invalid("every disk is a volume here: ask for destination_type 'volume'.")
    if mapping.get("uuid") != image_id:
        raise _invalid("the image of its local root disk is not imageRef.")


def _disk(mapping: dict[str, Any], is_root: bool) -> Disk:
    source: Source | None = mapping.get("source_type")
    if source is None:
        raise _invalid("source_type is missing.")
    _check_the_rest(mapping)
    uuid, size, tag = mapping.get("uuid") or None, _size(mapping), mapping.get("tag")
    ends = mapping.get("delete_on_termination")
    if source == "blank":
        if uuid is not None:
            raise _invalid("a blank disk has no uuid.")
        if is_root:
            raise _invalid("the root disk cannot be blank.")
        if size is None:
            raise _invalid("a blank disk needs a volume_size.")
    elif uuid is None:
        raise _invalid(f"the {source} has no uuid.")
    elif source == "image" and size is None:
        raise _invalid("Images with destination_type 'volume' need to have a non-zero size specified.")
    if source == "volume":
        return Disk(volume_id=uuid, delete_on_termination=ends is not None and is_true(ends), tag=tag)
    wanted = Wanted(size=size, type=mapping.get("volume_type"), source=source, source_id=uuid)
    return Disk(new=wanted, delete_on_termination=ends is None or is_true(ends), tag=tag)


def _size(mapping: dict[str, Any]) -> int | None:
    given = {int(mapping[key]) for key in ("volume_size", "size") if mapping.get(key) not in (None, "")}
    if len(given) > 1:
        raise _invalid("size and volume_size differ; size is another name for volume_size.")
    return given.pop() if given else None


def _check_the_rest(mapping: dict[str, Any]) -> None:
    """Disks are virtio-scsi disks without a format, and are found by their serial (the volume's id): a wish for
    another bus or kind is refused; `device_name` is a hint that Nova leaves unused, too."""
    if mapping.get("no_device") is not None and is_true(mapping["no_device"]):
        raise _invalid("no_device leaves out a disk of an image's mapping, and images have none here.")
    if mapping.get("disk_bus") not in (None, "", "scsi", "virtio"):
        raise _invalid("disk_bus can only be 'scsi' or 'virtio'.")
    if mapping.get("device_type") not in (None, "", "disk"):
        raise _invalid("device_type can only be 'disk'.")
    if mapping.get("guest_format"):
        raise _invalid("volumes are not formatted: leave guest_format out.")


def _invalid(text: str) -> Invalid:
    return Invalid("block-device", f"Block Device Mapping is Invalid: {text}", field=_FIELD)
