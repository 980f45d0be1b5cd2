"""Names of disks in pools and on backends, the same in every engine, so that an operator can find them; and new ids."""

from __future__ import annotations

import re
import uuid

from cyclades.model.errors import Invalid

# What people call their things: up to so many characters, none of them a control character.
NAME_MOST = 255
NAME_FORM = r"^[^\x00-\x1f\x7f]*$"
_NAME = re.compile(NAME_FORM)


def check_name(name: str | None, *, field: str = "name") -> None:
    """The rule of names, for those who have no schema that says it."""
    if name is not None and (len(name) > NAME_MOST or not _NAME.fullmatch(name)):
        raise Invalid(
            "name", f"A {field} has at most {NAME_MOST} characters, none of them a control character.", field=field
        )


OURS = "snf-"  # begins the name of each disk that is Cyclades' own


def volume_disk(volume_id: str) -> str:
    """The disk of a volume, also the name of its disk in a Ganeti instance (the seed's `snf-vol-$VOLUME_ID`)."""
    return f"snf-vol-{volume_id}"


def volume_of(disk: str) -> str:
    """The id of the volume whose disk this is."""
    return disk.removeprefix("snf-vol-")


def snapshot_disk(snapshot_id: str) -> str:
    return f"snf-snap-{snapshot_id}"


def image_disk(image_id: str) -> str:
    return f"snf-img-{image_id}"


def unmanaged_disk(resource_id: str) -> str:
    """The disk of a volume or a snapshot that Cyclades let go of; the pool keeps it."""
    return f"unmanaged-{resource_id}"


def identity_id() -> str:
    """For a new user, project, domain or role: without dashes, as Keystone's are."""
    return uuid.uuid4().hex
