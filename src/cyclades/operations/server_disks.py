"""Which disks a new server gets: of what was asked for, of its image and its flavor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.errors import Forbidden, Invalid, NotFound
from cyclades.model.servers import MAX_DISKS
from cyclades.model.units import GIB
from cyclades.operations import image_mapping
from cyclades.operations.block_device import BlockDevice, Disk, disk_of, invalid
from cyclades.operations.new_volume import Wanted
from cyclades.store import images
from cyclades.store.database import Tx

TYPE_SPEC = "cyclades:volume_type"  # of a flavor: the type of root disks


def choose(
    tx: Tx, caller: Caller, image_id: str | None, asked: Sequence[Disk], flavor: Row[Any]
) -> tuple[str | None, list[Disk]]:
    """The image that the server shows (None: it is booted from a volume), and its disks, the root first."""
    image = None if image_id is None else _image(tx, caller, image_id)
    disks = [disk for disk in asked if not disk.left_out]
    if image is not None:
        _check_memory(image, flavor)
        disks = _with_the_images_own(image, asked, disks)
    _check_boot_sequence(disks)
    if len(disks) > MAX_DISKS:
        raise Forbidden("max-disks", f"A server has at most {MAX_DISKS} disks.")
    disks.sort(key=lambda disk: disk.boot_index != 0)
    root = disks[0]
    if not root.is_image_root:
        if image is not None and not _is_of(root, image):
            raise invalid("its root disk is not made from imageRef; leave imageRef out to boot from a volume.")
        return None, disks
    assert image is not None
    return image.id, [replace(root, new=_root(image, flavor)), *disks[1:]]


def _image(tx: Tx, caller: Caller, image_id: str) -> Row[Any]:
    try:
        return images.usable(tx, caller, image_id)
    except NotFound as missing:
        raise Invalid(missing.rule, f"Can not find requested image {image_id}.", field="imageRef") from missing


def _with_the_images_own(image: Row[Any], asked: Sequence[Disk], disks: list[Disk]) -> list[Disk]:
    """The disks of the image's mapping, too: those whose place nobody else wants. A root among them stands for the one
    that clients list for an image."""
    own = _of_image(image)
    if any(disk.boot_index == 0 for disk in own):
        disks = [disk for disk in disks if not disk.is_image_root]
    taken = {_place(disk.device) for disk in asked if disk.device}
    return [*disks, *(disk for disk in own if _place(disk.device) not in taken and not disk.left_out)]


def _of_image(image: Row[Any]) -> list[Disk]:
    """What an image of volumes says that it is made of."""
    return [disk_of(_block_device(entry), None) for entry in image_mapping.entries(image)]


def _block_device(entry: image_mapping.Entry) -> BlockDevice:
    return BlockDevice(
        source_type=entry.source_type,
        destination_type=entry.destination_type,
        uuid=entry.source_id,
        volume_size=entry.volume_size,
        boot_index=-1 if entry.boot_index is None else entry.boot_index,
        delete_on_termination=entry.delete_on_termination,
        device_name=entry.device_name,
        disk_bus=entry.disk_bus,
        device_type=entry.device_type,
        guest_format=entry.guest_format,
        no_device=bool(entry.no_device),
        tag=entry.tag,
        volume_type=entry.volume_type,
    )


def _place(device: str | None) -> str | None:
    return device.removeprefix("/dev/") if device else None


def _check_boot_sequence(disks: Sequence[Disk]) -> None:
    found = sorted(disk.boot_index for disk in disks if disk.boot_index >= 0)
    if not found or found != list(range(len(found))):
        raise invalid("Boot sequence for the instance and image/block device mapping combination is not valid.")


def _is_of(root: Disk, image: Row[Any]) -> bool:
    """Whether a root that is a volume is what the image says, or a new volume with its content."""
    made_from = root.new is not None and (root.new.source, root.new.source_id) == ("image", image.id)
    return made_from or any(root == disk for disk in _of_image(image))


def _root(image: Row[Any], flavor: Row[Any]) -> Wanted:
    """As large as the flavor says, or as the image where it says 0."""
    size = image.virtual_size or image.size or 0
    if 0 < flavor.disk * GIB < size:
        raise Invalid(
            "flavor-disk",
            "Flavor's disk is too small for requested image. "
            f"Flavor disk is {flavor.disk * GIB} bytes, image is {size} bytes.",
            field="flavorRef",
        )
    if 0 < flavor.disk < image.min_disk:
        raise Invalid(
            "flavor-min-disk",
            "Flavor's disk is smaller than the minimum size specified in image metadata. "
            f"Flavor disk is {flavor.disk * GIB} bytes, minimum size is {image.min_disk * GIB} bytes.",
            field="flavorRef",
        )
    return Wanted(
        size=flavor.disk or None,
        type=flavor.extra_specs.get(TYPE_SPEC),
        source="image",
        source_id=image.id,
        consumes_quota=False,
    )


def _check_memory(image: Row[Any], flavor: Row[Any]) -> None:
    if image.min_ram > flavor.ram:
        raise Invalid(
            "flavor-memory",
            f"Flavor's memory is too small for requested image: it has {flavor.ram} MiB, and the image needs "
            f"{image.min_ram}.",
            field="flavorRef",
        )
