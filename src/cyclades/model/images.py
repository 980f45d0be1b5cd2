"""What an image may be, and how much may be kept beside its bytes."""

from __future__ import annotations

from collections.abc import Mapping

from cyclades.model.errors import Invalid, TooLarge
from cyclades.model.names import check_name

DISK_FORMATS = ("raw", "qcow2")
CONTAINER_FORMATS = ("bare",)
# private: its project's. shared: its project's, and the members' that it names. community: everybody's who knows of
# it. public: everybody's, and in everybody's list; only admins may make an image so.
VISIBILITIES = ("private", "shared", "community", "public")
# Of a project that a shared image was offered to: only what it accepted is in its list.
MEMBER_STATUSES = ("pending", "accepted", "rejected")
HASH = "sha512"

MOST_TAGS = 128
MOST_MEMBERS = 128
_MOST_TEXT = 64 * 1024  # characters of all properties of one image, names included


def check_properties(properties: Mapping[str, str], most: int) -> None:
    """Properties are what people write beside an image; at most `most` of them."""
    if len(properties) > most:
        raise TooLarge("image-properties", f"An image has at most {most} properties; this one would have more.")
    if sum(len(name) + len(value) for name, value in properties.items()) > _MOST_TEXT:
        raise TooLarge("image-properties", f"The properties of an image have at most {_MOST_TEXT} characters in all.")


def check_tags(tags: list[str]) -> list[str]:
    """The tags, each once."""
    once = list(dict.fromkeys(tags))
    if len(once) > MOST_TAGS:
        raise TooLarge("image-tags", f"An image has at most {MOST_TAGS} tags; this one would have more.")
    for tag in once:
        check_name(tag, field="tag")
        if not tag:
            raise Invalid("image-tag", "A tag has 1 to 255 characters.", field="tags")
    return once
