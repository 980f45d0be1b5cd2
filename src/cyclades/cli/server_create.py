"""`cyclades server-create`"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from cyclades.cli import flavors
from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.options import Description, ForProject, Metadata, pairs
from cyclades.cli.refused import Refused
from cyclades.cli.servers import SERVER
from cyclades.model.names import check_name
from cyclades.operations import server_create as operation
from cyclades.operations.block_device import IMAGE_ROOT, Disk
from cyclades.operations.new_volume import Source, Wanted
from cyclades.store.database import Tx

_SOURCES: dict[str, Source] = {"image": "image", "snapshot": "snapshot", "volume": "volume"}
_KEYS = (*_SOURCES, "id", "size", "type", "name", "keep")
_VOLUME_HELP = (
    "A disk: size=GIB, and one of image=ID, snapshot=ID, volume=ID (a copy of it) for what is in it, or id=ID for a "
    "volume that there is; type=TYPE, name=NAME; keep=yes|no says whether it outlives the server. Repeatable. Without "
    "--image the first one is the root."
)


@command(SERVER, changes=True, waits=True)
def server_create(
    cloud: Cloud,
    name: Annotated[str, typer.Argument(help="At most 255 characters.")],
    flavor: Annotated[str, typer.Option(help="The flavor's id or name.")],
    image: Annotated[
        str | None, typer.Option(help="The image (id) that is put on its root, as large as the flavor says.")
    ] = None,
    volume: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE,...", help=_VOLUME_HELP)] = None,
    project: ForProject = "admin",
    description: Description = None,
    backend: Annotated[str | None, typer.Option(help="Where it is to run. Default: where most room is.")] = None,
    user_data: Annotated[Path | None, typer.Option(metavar="FILE", help="For cloud-init.")] = None,
    network: Annotated[bool, typer.Option("--network/--no-network", help="Whether it has an interface.")] = True,
    meta: Metadata = None,
) -> int:
    """Create a server with all its volumes, and show it."""
    check_name(name)
    if not name.strip():
        raise typer.BadParameter("It is empty.", param_hint="NAME")
    disks = [_disk(words, is_root=image is None and index == 0) for index, words in enumerate(volume or ())]
    if image is None and not disks:
        raise typer.BadParameter("Say what it boots from: --image, or a first --volume.", param_hint="--image")
    data = None if user_data is None else _encoded(user_data)
    metadata = pairs(meta or [], "--meta")

    def accept(tx: Tx) -> list[str]:
        asked = operation.Asked(
            name=name.strip(),
            flavor_id=flavors.find(tx, flavor).id,
            image_id=image,
            disks=disks if image is None else [IMAGE_ROOT, *disks],
            description=description,
            user_data=data,
            metadata=metadata,
            network=network,
            host=backend,
        )
        return [operation.start(tx, cloud.caller(find_project(tx, project).id), cloud.settings, asked)]

    return cloud.change(accept)


def _disk(words: str, *, is_root: bool) -> Disk:
    given = pairs(words.split(","), "--volume")
    sources = [key for key in _SOURCES if key in given]
    unknown = sorted(set(given) - set(_KEYS))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(_KEYS)}.", param_hint="--volume")
    if len(sources) + ("id" in given) > 1:
        raise typer.BadParameter("A disk has one source.", param_hint="--volume")
    size = given.get("size")
    if size is not None and not size.isdecimal():
        raise typer.BadParameter(f"size={size} is no number of GiB.", param_hint="--volume")
    if given.get("keep") not in (None, "yes", "no"):
        raise typer.BadParameter("keep is yes or no.", param_hint="--volume")
    keep = given["keep"] == "yes" if "keep" in given else "id" in given
    place: dict[str, Any] = {"boot_index": 0 if is_root else -1, "delete_on_termination": not keep}
    if "id" in given:
        if set(given) - {"id", "keep"}:
            raise typer.BadParameter("A volume that there is stays as it is.", param_hint="--volume")
        return Disk(volume_id=given["id"], **place)
    check_name(given.get("name"))
    source = _SOURCES[sources[0]] if sources else "blank"
    wanted = Wanted(
        size=None if size is None else int(size),
        name=given.get("name"),
        type=given.get("type"),
        source=source,
        source_id=given[sources[0]] if sources else None,
    )
    return Disk(new=wanted, **place)


def _encoded(file: Path) -> str:
    try:
        return base64.b64encode(file.read_bytes()).decode()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.") from error
