"""Ways to begin each operation on servers and attachments."""

from __future__ import annotations

from typing import Any

from tests.crash.stage import Stage

from cyclades.operations import (
    server_console,
    server_create,
    server_delete,
    server_image,
    server_reboot,
    server_start,
    server_stop,
    snapshot_create,
    volume_attach,
    volume_create,
    volume_detach,
)
from cyclades.operations.base import new_id
from cyclades.operations.block_device import IMAGE_ROOT, Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store import flavors
from cyclades.store.database import Tx


async def a_flavor(stage: Stage) -> str:
    """The least that a QEMU without a guest needs."""
    flavor_id = new_id()
    values = {"name": flavor_id, "vcpus": 1, "ram": 64, "disk": 1, "is_public": True, "extra_specs": {}}
    await stage.db.write(lambda tx: flavors.add(tx, flavor_id, **values))
    return flavor_id


async def a_server(stage: Stage, **asked: Any) -> str:
    """A server that runs, from an image."""
    stage.settings.compute.stop_seconds = 0.1  # no guest is there to answer
    wanted = Asked(name="one", flavor_id=await a_flavor(stage), image_id=await stage.add_image(), **asked)
    return await stage.do(lambda tx: server_create.start(tx, stage.caller, stage.settings, wanted))  # type: ignore[no-any-return]


async def a_stopped_server(stage: Stage) -> str:
    server_id = await a_server(stage)
    await stage.do(lambda tx: server_stop.start(tx, stage.caller, server_id))
    return server_id


async def a_blank_volume(stage: Stage) -> str:
    wanted = Wanted(size=1)
    return await stage.do(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))  # type: ignore[no-any-return]


def _attach(tx: Tx, stage: Stage, server_id: str, volume_id: str) -> str:
    return volume_attach.start(tx, stage.caller, server_id, volume_id, tag=None, delete_on_termination=False)


async def an_attachment(stage: Stage) -> tuple[str, str]:
    """A server that runs, and a volume plugged into it."""
    server_id, volume_id = await a_server(stage), await a_blank_volume(stage)
    await stage.do(lambda tx: _attach(tx, stage, server_id, volume_id))
    return server_id, volume_id


async def a_plugged_volume(stage: Stage) -> str:
    """A volume in use by a server that runs."""
    return (await an_attachment(stage))[1]


async def _begin(stage: Stage, change: Any) -> str:
    await stage.db.write(change)
    return await stage.latest_operation()


async def create_from_image(stage: Stage) -> str:
    asked = Asked(name="one", flavor_id=await a_flavor(stage), image_id=await stage.add_image())
    return await _begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def create_with_volumes(stage: Stage) -> str:
    """The root from an image; beside it an empty volume, one from a snapshot, and one that exists."""
    existing, image_id = await a_blank_volume(stage), await stage.add_image()
    snapshot_id = await stage.do(
        lambda tx: snapshot_create.start(
            tx, stage.caller, stage.settings, existing, name=None, description=None, metadata={}, in_use=True
        )
    )
    disks = (
        Disk(new=Wanted(size=1, source="image", source_id=image_id), boot_index=0, delete_on_termination=True),
        Disk(new=Wanted(size=1), delete_on_termination=True),
        Disk(new=Wanted(source="snapshot", source_id=snapshot_id)),
        Disk(volume_id=existing),
    )
    asked = Asked(name="many", flavor_id=await a_flavor(stage), disks=disks)
    return await _begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def a_server_of_volumes(stage: Stage) -> str:
    """A server that runs, booted from a volume, with another one beside it."""
    stage.settings.compute.stop_seconds = 0.1  # no guest is there to answer
    root = Wanted(size=1, source="image", source_id=await stage.add_image())
    disks = (Disk(new=root, boot_index=0, delete_on_termination=True), Disk(new=Wanted(size=1)))
    asked = Asked(name="volumes", flavor_id=await a_flavor(stage), disks=disks)
    return await stage.do(lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))  # type: ignore[no-any-return]


def take_image(tx: Tx, stage: Stage, server_id: str) -> str:
    return server_image.start(tx, stage.caller, stage.settings, server_id, name="taken", properties={})


async def an_image_of(stage: Stage, server_id: str) -> str:
    return await stage.do(lambda tx: take_image(tx, stage, server_id))  # type: ignore[no-any-return]


async def create_from_volume(stage: Stage) -> str:
    """The root exists."""
    wanted = Wanted(source="image", source_id=await stage.add_image())
    root = await stage.do(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))
    asked = Asked(name="one", flavor_id=await a_flavor(stage), disks=(Disk(volume_id=root, boot_index=0),))
    return await _begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def create_from_image_of_volumes(stage: Stage) -> str:
    image_id = await an_image_of(stage, await a_server_of_volumes(stage))
    asked = Asked(name="one", flavor_id=await a_flavor(stage), image_id=image_id)
    return await _begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def image_of_server(stage: Stage) -> str:
    server_id = await a_server(stage)
    return await _begin(stage, lambda tx: take_image(tx, stage, server_id))


async def image_of_volumes(stage: Stage) -> str:
    server_id = await a_server_of_volumes(stage)
    return await _begin(stage, lambda tx: take_image(tx, stage, server_id))


async def image_of_stopped_server(stage: Stage) -> str:
    server_id = await a_stopped_server(stage)
    return await _begin(stage, lambda tx: take_image(tx, stage, server_id))


async def delete(stage: Stage) -> str:
    """One volume goes with it, one stays."""
    goes = Disk(new=Wanted(size=1), delete_on_termination=True)
    server_id = await a_server(stage, disks=(IMAGE_ROOT, goes, Disk(new=Wanted(size=1))))
    return await _begin(stage, lambda tx: server_delete.start(tx, stage.caller, server_id))


async def start(stage: Stage) -> str:
    server_id = await a_stopped_server(stage)
    return await _begin(stage, lambda tx: server_start.start(tx, stage.caller, server_id))


async def stop(stage: Stage) -> str:
    server_id = await a_server(stage)
    return await _begin(stage, lambda tx: server_stop.start(tx, stage.caller, server_id))


async def reboot_hard(stage: Stage) -> str:
    server_id = await a_server(stage)
    return await _begin(stage, lambda tx: server_reboot.start(tx, stage.caller, server_id, hard=True))


async def reboot_soft(stage: Stage) -> str:
    server_id = await a_server(stage)
    return await _begin(stage, lambda tx: server_reboot.start(tx, stage.caller, server_id, hard=False))


async def console(stage: Stage) -> str:
    server_id = await a_server(stage)
    return await _begin(stage, lambda tx: server_console.start(tx, stage.caller, server_id, None))


async def attach(stage: Stage) -> str:
    server_id, volume_id = await a_server(stage), await a_blank_volume(stage)
    return await _begin(stage, lambda tx: _attach(tx, stage, server_id, volume_id))


async def attach_stopped(stage: Stage) -> str:
    server_id, volume_id = await a_stopped_server(stage), await a_blank_volume(stage)
    return await _begin(stage, lambda tx: _attach(tx, stage, server_id, volume_id))


async def detach(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage)
    return await _begin(stage, lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))


async def detach_stopped(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage)
    await stage.do(lambda tx: server_stop.start(tx, stage.caller, server_id))
    return await _begin(stage, lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))


SCENARIOS = {
    "server_create": create_from_image,
    "server_create:volumes": create_with_volumes,
    "server_create:from-volume": create_from_volume,
    "server_create:image-of-volumes": create_from_image_of_volumes,
    "server_image": image_of_server,
    "server_image:stopped": image_of_stopped_server,
    "server_image:volumes": image_of_volumes,
    "server_delete": delete,
    "server_start": start,
    "server_stop": stop,
    "server_reboot:hard": reboot_hard,
    "server_reboot:soft": reboot_soft,
    "server_console": console,
    "volume_attach": attach,
    "volume_attach:stopped": attach_stopped,
    "volume_detach": detach,
    "volume_detach:stopped": detach_stopped,
}
