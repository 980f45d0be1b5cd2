"""Names of disks in pools and on backends. The same in every engine, so that an operator can find them."""

from __future__ import annotations


def volume_disk(volume_id: str) -> str:
    """The disk of a volume, also the name of its disk in a Ganeti instance (the seed's `snf-vol-$VOLUME_ID`)."""
    return f"snf-vol-{volume_id}"


def snapshot_disk(snapshot_id: str) -> str:
    return f"snf-snap-{snapshot_id}"


def image_disk(image_id: str) -> str:
    return f"snf-img-{image_id}"
