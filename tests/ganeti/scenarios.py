"""Ways to begin operations on real clusters: c1's, with the hypervisor `fake`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.crash.scenarios_servers import a_flavor
from tests.crash.stage import Stage

from cyclades.operations import (
    server_create,
    server_delete,
    server_start,
    server_stop,
    volume_attach,
    volume_create,
    volume_create_attached,
    volume_delete,
    volume_detach,
    volume_extend,
    volume_retype,
)
from cyclades.operations.block_device import Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store.database import Tx


async def begin(stage: Stage, change: Any) -> str:
    await stage.db.write(change)
    return await stage.latest_operation()


async def _asked(stage: Stage, type_name: str | None, *more: Disk) -> Asked:
    """A server with an empty root: nobody boots it."""
    root = Disk(new=Wanted(size=1, type=type_name), boot_index=0, delete_on_termination=True)
    return Asked(name="one", flavor_id=await a_flavor(stage), disks=(root, *more), host="c1")


async def a_server(stage: Stage, type_name: str | None = None, *more: Disk) -> str:
    asked = await _asked(stage, type_name, *more)
    return await stage.do(lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))  # type: ignore[no-any-return]


async def a_stopped_server(stage: Stage, type_name: str | None = None) -> str:
    """A machine that `fake` runs takes no disks."""
    server_id = await a_server(stage, type_name)
    await stage.do(lambda tx: server_stop.start(tx, stage.caller, server_id))
    return server_id


async def a_volume(stage: Stage, type_name: str | None = None) -> str:
    wanted = Wanted(size=1, type=type_name)
    return await stage.do(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))  # type: ignore[no-any-return]


async def an_attachment(stage: Stage, type_name: str | None = None) -> tuple[str, str]:
    server_id, volume_id = await a_stopped_server(stage, type_name), await a_volume(stage, type_name)
    await stage.do(lambda tx: volume_attach.start(tx, stage.caller, server_id, volume_id))
    return server_id, volume_id


async def create(stage: Stage) -> str:
    data = Disk(new=Wanted(size=1), delete_on_termination=True), Disk(volume_id=await a_volume(stage))
    asked = await _asked(stage, None, *data)
    return await begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def create_on_template(stage: Stage) -> str:
    asked = await _asked(stage, "file")
    return await begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def start(stage: Stage) -> str:
    server_id = await a_stopped_server(stage)
    return await begin(stage, lambda tx: server_start.start(tx, stage.caller, server_id))


async def stop(stage: Stage) -> str:
    server_id = await a_server(stage)
    return await begin(stage, lambda tx: server_stop.start(tx, stage.caller, server_id))


async def delete(stage: Stage) -> str:
    server_id = await a_server(stage, None, Disk(new=Wanted(size=1)))
    return await begin(stage, lambda tx: server_delete.start(tx, stage.caller, server_id))


async def delete_on_template(stage: Stage) -> str:
    """Of its disks one goes with it, the other stays in the cluster."""
    server_id = await a_server(stage, "sharedfile", Disk(new=Wanted(size=1, type="sharedfile")))
    return await begin(stage, lambda tx: server_delete.start(tx, stage.caller, server_id))


async def attach(stage: Stage) -> str:
    server_id, volume_id = await a_stopped_server(stage), await a_volume(stage)
    return await begin(stage, lambda tx: volume_attach.start(tx, stage.caller, server_id, volume_id))


async def attach_again(stage: Stage) -> str:
    """A disk that the cluster kept."""
    server_id, volume_id = await an_attachment(stage, "sharedfile")
    await stage.do(lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))
    return await begin(stage, lambda tx: volume_attach.start(tx, stage.caller, server_id, volume_id))


async def detach(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage)
    return await begin(stage, lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))


async def detach_on_template(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage, "sharedfile")
    return await begin(stage, lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))


async def create_attached(stage: Stage) -> str:
    server_id, wanted = await a_stopped_server(stage, "file"), Wanted(size=1, type="file")
    return await begin(
        stage, lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, wanted, server_id)
    )


async def remove(stage: Stage) -> str:
    server_id, wanted = await a_stopped_server(stage, "file"), Wanted(size=1, type="file")
    volume_id = await stage.do(
        lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, wanted, server_id)
    )
    return await begin(stage, lambda tx: volume_delete.start(tx, stage.caller, volume_id))


async def extend(stage: Stage) -> str:
    _, volume_id = await an_attachment(stage)
    return await begin(stage, lambda tx: volume_extend.start(tx, stage.caller, stage.settings, volume_id, 2))


async def delete_detached(stage: Stage) -> str:
    """A disk that no instance has, and that nobody but us knows."""
    server_id, volume_id = await an_attachment(stage, "sharedfile")
    await stage.do(lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))
    return await begin(stage, lambda tx: volume_delete.start(tx, stage.caller, volume_id))


async def retype(stage: Stage) -> str:
    """To the other pool."""
    _, volume_id = await an_attachment(stage)
    return await begin(stage, lambda tx: to_other_pool(tx, stage, volume_id))


def to_other_pool(tx: Tx, stage: Stage, volume_id: str, type_name: str = "other") -> None:
    volume_retype.start(tx, stage.caller, stage.settings, volume_id, type_name, may_move=True)


SCENARIOS: dict[str, Callable[[Stage], Awaitable[str]]] = {
    "server_create": create,
    "server_create:file": create_on_template,
    "server_start": start,
    "server_stop": stop,
    "server_delete": delete,
    "server_delete:sharedfile": delete_on_template,
    "volume_attach": attach,
    "volume_attach:again": attach_again,
    "volume_detach": detach,
    "volume_detach:sharedfile": detach_on_template,
    "volume_create_attached:file": create_attached,
    "volume_remove:file": remove,
    "volume_extend": extend,
    "volume_retype:stopped": retype,
    "volume_delete:sharedfile": delete_detached,
}
