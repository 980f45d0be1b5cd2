"""Names of disks in pools and on backends, the same in every engine, so that an operator can find them; and new ids."""

from __future__ import annotations

import uuid


def volume_disk(volume_id: str) -> str:
    """The disk of a volume, also the name of its disk in a Ganeti instance (the seed's `snf-vol-$VOLUME_ID`)."""
    return f"snf-vol-{volume_id}"


def snapshot_disk(snapshot_id: str) -> str:
    return f"snf-snap-{snapshot_id}"


def image_disk(image_id: str) -> str:
    return f"snf-img-{image_id}"


def identity_id() -> str:
    """For a new user, project, domain or role: without dashes, as Keystone's are."""
    return uuid.uuid4().hex
