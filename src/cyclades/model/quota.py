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


def of_volume(size: int, type_name: str, *, consumes: bool = True) -> Amounts:
    """Of a volume of `size` GiB. A root booted by `imageRef` (`consumes` False) counts in `cyclades.disk` alone."""
    amounts = {DISK: size * GIB}
    if consumes:
        amounts |= {VOLUMES: 1, GIGABYTES: size, f"{VOLUMES}_{type_name}": 1, f"{GIGABYTES}_{type_name}": size}
    return amounts


def of_growth(more: int, type_name: str, *, consumes: bool = True) -> Amounts:
    """Of `more` GiB added to a volume."""
    return {name: n for name, n in of_volume(more, type_name, consumes=consumes).items() if VOLUMES not in name}


def of_snapshot(size: int, type_name: str) -> Amounts:
    """Of a snapshot of a volume of `size` GiB."""
    return {SNAPSHOTS: 1, GIGABYTES: size, f"{SNAPSHOTS}_{type_name}": 1, f"{GIGABYTES}_{type_name}": size}


def of_image(size: int) -> Amounts:
    """Of an image's file of `size` bytes."""
    return {IMAGE_BYTES: size}


def of_server(vcpus: int, ram: int) -> Amounts:
    """`ram` is MiB."""
    return {SERVERS: 1, CORES: vcpus, RAM: ram}
