"""One disk of a new server, as Nova describes it: in requests, and in images that are made of volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from cyclades.model.errors import Invalid
from cyclades.operations.new_volume import Source, Wanted

FIELD = "block_device_mapping_v2"
# What Nova knows; a guest's disks are on a virtio-scsi controller here.
_BUSES = frozenset({"fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml"})
_OUR_BUSES = frozenset({"scsi", "virtio"})


class BlockDevice(msgspec.Struct):
    """Nova's keys. `uuid` is of the source, `volume_size` is GiB. `boot_index` is 0 for the root, from 1 on for what
    else could be booted from, -1 for what could not. Where `delete_on_termination` is not said (None), new volumes go
    with the server, and those that existed stay."""

    source_type: Source | None = None
    destination_type: Literal["local", "volume"] | None = None
    uuid: str | None = None
    volume_size: int | None = None
    boot_index: int = -1
    delete_on_termination: bool | None = None
    device_name: str | None = None
    disk_bus: str | None = None
    device_type: str | None = None
    guest_format: str | None = None
    no_device: bool = False
    tag: str | None = None
    volume_type: str | None = None


@dataclass(frozen=True)
class Disk:
    """One of the server's disks: a volume to be made (`new`), or one that exists (`volume_id`), or neither: then the
    root that the server's image is put on, as large as the flavor says. `device` is a client's name for it; with
    `left_out`, the disk that the image's own mapping has there is not wanted."""

    new: Wanted | None = None
    volume_id: str | None = None
    boot_index: int = -1
    delete_on_termination: bool = False
    tag: str | None = None
    device: str | None = None
    left_out: bool = False

    @property
    def is_image_root(self) -> bool:
        return self.new is None and self.volume_id is None and not self.left_out


IMAGE_ROOT = Disk(boot_index=0, delete_on_termination=True)


def invalid(text: str) -> Invalid:
    return Invalid("block-device", f"Block Device Mapping is Invalid: {text}", field=FIELD)


def disk_of(given: BlockDevice, image_id: str | None) -> Disk:
    """`image_id` is the image that the server is asked to boot from. `Invalid` as Nova says it, and for a wish that no
    disk here can fulfil."""
    device = given.device_name or None
    if given.no_device:
        return Disk(left_out=True, device=device)
    source, uuid = given.source_type, given.uuid or None
    if source is None:
        raise invalid("Some required fields are missing: source_type.")
    if source == "blank" and uuid is not None:
        raise invalid("Invalid device UUID.")
    if source != "blank" and uuid is None:
        raise invalid("Missing device UUID.")
    if (given.destination_type or _usual_destination(source)) == "local":
        _check_local(given, image_id)
        return Disk(boot_index=0, delete_on_termination=True, tag=given.tag, device=device)
    _check_wishes(given)
    ends = given.delete_on_termination
    disk = Disk(
        boot_index=given.boot_index,
        delete_on_termination=source != "volume" if ends is None else ends,
        tag=given.tag,
        device=device,
        volume_id=uuid if source == "volume" else None,
        new=None if source == "volume" else _new(given, source, uuid),
    )
    if disk.boot_index == 0 and source == "blank":
        raise invalid("the root disk cannot be blank.")
    return disk


def _usual_destination(source: Source) -> Literal["local", "volume"]:
    """Without a word: a volume for what is one, the server's own storage for the rest."""
    return "volume" if source in ("volume", "snapshot") else "local"


def _check_local(given: BlockDevice, image_id: str | None) -> None:
    """The one local disk is the root that clients list for a plain boot by `imageRef`; it is a volume, too."""
    if given.source_type == "blank":
        what = "swap drives" if given.guest_format == "swap" else "ephemeral disks"
        raise invalid(f"flavors have no {what} here: ask for destination_type 'volume'.")
    if given.source_type != "image" or image_id is None or given.boot_index != 0:
        raise invalid(
            f"Mapping {given.source_type} to local is not supported: every disk is a volume, so ask for "
            "destination_type 'volume'."
        )
    if given.uuid != image_id:
        raise invalid("the image of its local root disk is not imageRef.")


def _new(given: BlockDevice, source: Source, uuid: str | None) -> Wanted:
    if not given.volume_size:
        if source == "image":
            raise invalid("Images with destination_type 'volume' need to have a non-zero size specified.")
        if source == "blank":
            raise invalid("Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size.")
    return Wanted(size=given.volume_size or None, type=given.volume_type, source=source, source_id=uuid)


def _check_wishes(given: BlockDevice) -> None:
    """A guest finds its disks by their serial, the volume's id: a wish for another bus or kind is refused, and
    `device_name` is a hint that Nova leaves unused, too."""
    if given.disk_bus and given.disk_bus not in _BUSES:
        raise invalid(f"The provided disk bus {given.disk_bus} is not valid.")
    if given.disk_bus and given.disk_bus not in _OUR_BUSES:
        raise invalid(f"disk_bus can only be one of {', '.join(sorted(_OUR_BUSES))} here.")
    if given.device_type not in (None, "", "disk"):
        raise invalid("device_type can only be 'disk' here.")
    if given.guest_format:
        raise invalid("volumes are not formatted: leave guest_format out.")
