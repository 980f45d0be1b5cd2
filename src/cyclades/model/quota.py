"""What counts against which quota. One definition for every place that counts or shows it."""

from __future__ import annotations

from cyclades.model.units import GIB

# Resources, as the tables name them. `cyclades.disk` is the seed's: bytes of all volumes, roots included.
DISK = "cyclades.disk"
VOLUMES = "volumes"
GIGABYTES = "gigabytes"
SNAPSHOTS = "snapshots"
IMAGES = "images"
IMAGE_BYTES = "image_bytes"
SERVERS = "servers"
CORES = "cores"
RAM = "ram"

# GiB that one volume may have: compared, not counted.
PER_VOLUME = "per_volume_gigabytes"
# What Cinder counts and we do not have yet: limits are kept and shown, and nothing is counted.
NOT_YET = ("backups", "backup_gigabytes", "groups")
# Counted for each volume type, too.
PER_TYPE = (VOLUMES, GIGABYTES, SNAPSHOTS)

NEARLY = 0.8  # of a limit: who uses this part of it is told of as nearly full

# What is counted, and the name of its default limit in `config.Quotas`.
RESOURCES = {
    DISK: "disk",
    VOLUMES: "volumes",
    GIGABYTES: "gigabytes",
    SNAPSHOTS: "snapshots",
    IMAGES: "images",
    IMAGE_BYTES: "image_bytes",
    SERVERS: "servers",
    CORES: "cores",
    RAM: "ram",
}

Amounts = dict[str, int]


def per_type(resource: str, type_id: str) -> str:
    """Where a volume type's share is counted. By its id: the name may change. Cinder's word has the name there."""
    return f"{resource}_{type_id}"


def type_of(resource: str) -> str | None:
    """The id of the volume type that is counted there; None where all types are."""
    counted, _, type_id = resource.partition("_")
    return type_id if counted in PER_TYPE and type_id else None


def type_share(amounts: Amounts) -> Amounts:
    """The part that is counted for a volume type."""
    return {resource: amount for resource, amount in amounts.items() if type_of(resource) is not None}


def of_volume(size: int, *, type_id: str, consumes: bool = True) -> Amounts:
    """Of a volume of `size` GiB. A root booted by `imageRef` (`consumes` False) counts in `cyclades.disk` alone."""
    amounts = {DISK: size * GIB}
    if consumes:
        amounts |= {VOLUMES: 1, GIGABYTES: size, per_type(VOLUMES, type_id): 1, per_type(GIGABYTES, type_id): size}
    return amounts


def of_growth(more: int, *, type_id: str, consumes: bool = True) -> Amounts:
    """Of `more` GiB added to a volume."""
    return {name: n for name, n in of_volume(more, type_id=type_id, consumes=consumes).items() if VOLUMES not in name}


def of_snapshot(size: int, *, type_id: str) -> Amounts:
    """Of a snapshot of a volume of `size` GiB."""
    return {SNAPSHOTS: 1, GIGABYTES: size, per_type(SNAPSHOTS, type_id): 1, per_type(GIGABYTES, type_id): size}


def of_image(size: int) -> Amounts:
    """Of an image's file of `size` bytes."""
    return {IMAGE_BYTES: size}


def of_server(vcpus: int, ram: int) -> Amounts:
    """`ram` is MiB."""
    return {SERVERS: 1, CORES: vcpus, RAM: ram}
