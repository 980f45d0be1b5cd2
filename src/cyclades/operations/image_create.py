"""Create an image: its row, waiting for its bytes (status `queued`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from cyclades.config import Settings
from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Forbidden
from cyclades.model.images import check_properties, check_tags
from cyclades.operations.base import new_id
from cyclades.store import images, quotas
from cyclades.store.database import Tx


@dataclass(frozen=True)
class Wanted:
    """An image as somebody asks for it. `min_disk` is GiB, `min_ram` MiB; `project_id` None: the caller's."""

    id: str | None = None
    name: str | None = None
    visibility: str = "shared"
    project_id: str | None = None
    container_format: str | None = None
    disk_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    hidden: bool = False
    tags: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)


def start(tx: Tx, caller: Caller, settings: Settings, wanted: Wanted) -> str:
    """Add the image; returns its id."""
    project_id = wanted.project_id or caller.project_id
    check_owner(caller, project_id)
    check_visibility(caller, wanted.visibility)
    check_properties(wanted.properties, settings.limits.metadata_items)
    image_id = wanted.id or new_id()
    images.add(
        tx,
        image_id,
        project_id=project_id,
        name=wanted.name,
        status="queued",
        visibility=wanted.visibility,
        container_format=wanted.container_format,
        disk_format=wanted.disk_format,
        min_disk=wanted.min_disk,
        min_ram=wanted.min_ram,
        protected=wanted.protected,
        hidden=wanted.hidden,
        tags=check_tags(wanted.tags),
        properties=wanted.properties,
    )
    quotas.take(tx, settings.quotas, project_id, {quota.IMAGES: 1})
    return image_id


def check_owner(caller: Caller, project_id: str | None) -> None:
    if project_id != caller.project_id and not caller.is_admin:
        raise Forbidden("image-owner", "Only admins may give an image to another project.")


def check_visibility(caller: Caller, visibility: str) -> None:
    if visibility == "public" and not caller.is_admin:
        raise Forbidden("image-public", "Only admins may make an image public.")
