"""Change what is written about an image. Its bytes never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Conflict, Forbidden, Invalid, NotFound, WrongState
from cyclades.model.images import check_properties, check_tags
from cyclades.operations.image_create import check_owner, check_visibility
from cyclades.store import images, quotas
from cyclades.store.database import Tx

_FORMATS = ("disk_format", "container_format")
_NEVER_NULL = ("visibility", "project_id", "min_disk", "min_ram", "protected", "hidden", "tags")


class Change(NamedTuple):
    """One step of a change. `column`: the one that it is about, None: the property `name`. `name` is as the
    caller wrote it."""

    op: Literal["add", "replace", "remove"]
    name: str
    column: str | None
    value: Any = None


def start(tx: Tx, caller: Caller, settings: Settings, image_id: str, changes: Sequence[Change]) -> None:
    """Make all changes, or none."""
    row = images.hold(tx, caller, image_id)
    values: dict[str, Any] = {}
    properties = dict(row.properties)
    for step in changes:
        if step.column is not None:
            values[step.column] = _checked(caller, row, step)
        else:
            _change_property(properties, step)
    if properties != row.properties:
        check_properties(properties, settings.limits.metadata_items)
        values["properties"] = properties
    if values.get("project_id", row.project_id) != row.project_id:
        _move_quota(tx, settings, row, values["project_id"])
    if changes:
        images.change(tx, row.id, **values)


def _checked(caller: Caller, row: Row[Any], step: Change) -> Any:
    """The new value of a column, if the rules allow it."""
    if step.op == "remove":
        raise Forbidden("image-remove", f"Property {step.name} may not be removed.")
    if step.value is None and step.column in _NEVER_NULL:
        raise Invalid("image-null", f"Invalid input for field '{step.name}': it cannot be null.", field=step.name)
    if step.column == "visibility" and step.value != row.visibility:
        check_visibility(caller, step.value)
    elif step.column == "project_id":
        check_owner(caller, step.value)
    elif step.column in _FORMATS and row.status != "queued" and step.value != getattr(row, step.column):
        raise Forbidden("image-format-fixed", f"Attribute {step.name} can be only replaced for a queued image.")
    elif step.column == "tags":
        return check_tags(step.value)
    return step.value


def _change_property(properties: dict[str, str], step: Change) -> None:
    if step.op != "add" and step.name not in properties:
        raise Conflict("image-property", f"Property {step.name} does not exist.", field=step.name)
    if step.op == "remove":
        del properties[step.name]
    else:
        properties[step.name] = step.value


def _move_quota(tx: Tx, settings: Settings, row: Row[Any], project_id: str) -> None:
    if row.status == "saving":
        raise WrongState("image-owner", f"Image {row.id} is being uploaded; try again later.", resource="image")
    amounts = {quota.IMAGES: 1, **quota.of_image(row.size or 0)}
    quotas.take(tx, settings.quotas, project_id, amounts)
    quotas.give_back(tx, row.project_id, amounts)


def add_tag(tx: Tx, caller: Caller, image_id: str, tag: str) -> None:
    row = images.hold(tx, caller, image_id)
    if tag not in row.tags:
        images.change(tx, row.id, tags=check_tags([*row.tags, tag]))


def remove_tag(tx: Tx, caller: Caller, image_id: str, tag: str) -> None:
    row = images.hold(tx, caller, image_id)
    if tag not in row.tags:
        raise NotFound("tag", tag)
    images.change(tx, row.id, tags=[other for other in row.tags if other != tag])


def set_usable(tx: Tx, caller: Caller, image_id: str, *, usable: bool) -> None:
    """Not usable is `deactivated`: nothing new is made from the image, and only admins get its bytes."""
    row = images.hold(tx, caller, image_id)
    if row.status not in ("active", "deactivated"):
        what = "reactivated" if usable else "deactivated"
        raise Forbidden("image-deactivate", f"Image {row.id} cannot be {what} while its status is {row.status}.")
    images.change(tx, row.id, status="active" if usable else "deactivated")
