"""Offer a shared image to other projects, its members; each of them says whether it wants the image in its list."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.errors import Conflict, Forbidden, NotFound, TooLarge
from cyclades.model.images import MOST_MEMBERS
from cyclades.store import image_members, images
from cyclades.store.database import Tx


def offer(tx: Tx, caller: Caller, image_id: str, project_id: str) -> None:
    row = images.hold(tx, caller, image_id)
    _check_shared(row)
    members = [member.project_id for member in image_members.of_image(tx, row.id)]
    if project_id in members:
        raise Conflict("image-member", f"{project_id} is a member of image {row.id} already.", field="member")
    if len(members) >= MOST_MEMBERS:
        raise TooLarge("image-members", f"An image has at most {MOST_MEMBERS} members.")
    image_members.add(tx, row.id, project_id)


def withdraw(tx: Tx, caller: Caller, image_id: str, project_id: str) -> None:
    row = images.hold(tx, caller, image_id)
    _check_shared(row)
    image_members.remove(tx, row.id, project_id)


def answer(tx: Tx, caller: Caller, image_id: str, project_id: str, status: str) -> None:
    """The member's answer, which is nobody else's to give; the image's owner cannot."""
    member = member_of(tx, caller, image_id, project_id)
    if caller.scope not in (None, project_id):
        raise Forbidden(
            "image-member-answer", f"Only project {project_id} itself answers whether it accepts the image."
        )
    image_members.change(tx, member.image_id, project_id, status=status)


def members_of(tx: Tx, caller: Caller, image_id: str) -> list[Row[Any]]:
    """Whoever does not own the image sees no other member but itself."""
    row = images.get(tx, caller, image_id)
    _check_shared(row)
    members = image_members.of_image(tx, row.id)
    return [member for member in members if caller.scope in (None, row.project_id, member.project_id)]


def member_of(tx: Tx, caller: Caller, image_id: str, project_id: str) -> Row[Any]:
    for member in members_of(tx, caller, image_id):
        if member.project_id == project_id:
            return member
    raise NotFound("image-member", project_id)


def _check_shared(row: Row[Any]) -> None:
    if row.visibility != "shared":
        raise Forbidden("image-members", "Only shared images have members.")
