"""What Ganeti is asked for when it is to make an instance: the shapes that 3.0 and 3.1 take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.backends.ganeti.wire import Asked, Wire

from cyclades.backends.base import ImageFill, Nic, Plug, ServerSpec
from cyclades.backends.ganeti import create, disks, nodes
from cyclades.backends.ganeti.options import GanetiOptions
from cyclades.backends.ganeti.rapi import Rapi
from cyclades.backends.ganeti.version import Version
from cyclades.model.errors import Failed, Passing
from cyclades.model.units import GIB
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.pools.template import TemplatePool
from cyclades.store.database import Database

SERVER, VOLUME = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
OPTIONS = GanetiOptions(domain="cloud.test", os="noop", hvparams={"kernel_path": ""})
PLACE = {"pnode": "node1"}


@pytest.fixture
def plug(tmp_path: Path) -> Callable[[str], Plug]:
    """Of a volume in the pool `fast`, or of a disk template."""
    database = Database(f"sqlite:///{tmp_path}/cyclades.db")

    def make(template: str) -> Plug:
        pool: Any = Qcow2Pool("fast", tmp_path, database)
        if template != "fast":
            pool = TemplatePool(f"ganeti:{template}", template, database, {})
        return Plug(VOLUME, f"snf-vol-{VOLUME}", pool, 0, 3, 2 * GIB)

    return make


def body(
    plug: Plug, *, options: GanetiOptions = OPTIONS, version: tuple[int, int, int] = (3, 1, 0), **more: Any
) -> Any:
    spec = ServerSpec(SERVER, "0" * 32, "one", vcpus=2, memory=512, plugs=(plug,), **more)
    ask = create.server("north", f"snf-{SERVER}.cloud.test", spec, options, Version(version), PLACE)
    assert (ask.method, ask.path) == ("POST", "/2/instances")
    return ask.body


def test_a_server_with_a_pools_disk(plug: Callable[[str], Plug]) -> None:
    assert body(plug("fast")) == {
        "__version__": 1,
        "mode": "create",
        "instance_name": f"snf-{SERVER}.cloud.test",
        "hypervisor": "kvm",
        "hvparams": {"kernel_path": ""},
        "beparams": {"maxmem": 512, "minmem": 512, "vcpus": 2},
        "os_type": "noop",
        "no_install": True,
        "start": False,
        "name_check": False,
        "ip_check": False,
        "conflicts_check": False,
        "pnode": "node1",
        "nics": [],
        "disk_template": "ext",
        "disks": [
            {
                "size": 2048,
                "name": f"snf-vol-{VOLUME}",
                "provider": "cyclades",
                "access": "kernelspace",
                "pool": "fast",
                "volume": VOLUME,
                "owner": f"north/{SERVER}",
                "generation": "3",
            }
        ],
    }


def test_the_older_version_opens_a_pools_disk_itself(plug: Callable[[str], Plug]) -> None:
    assert body(plug("fast"), version=(3, 0, 2))["disks"][0]["access"] == "userspace"


@pytest.mark.parametrize("template", ["plain", "drbd", "file", "sharedfile", "rbd", "gluster"])
def test_disks_that_ganeti_makes(plug: Callable[[str], Plug], template: str) -> None:
    asked = body(plug(template))
    assert asked["disk_template"] == template
    assert asked["disks"] == [{"size": 2048, "name": f"snf-vol-{VOLUME}"}]


def test_a_provider_of_somebody_else_gets_its_parameters(plug: Callable[[str], Plug]) -> None:
    asked = body(replace(plug("ext/archipelago"), parameters={"origin": "mapfile", "reuse_data": "False"}))
    assert asked["disk_template"] == "ext"
    (disk,) = asked["disks"]
    assert disk["provider"] == "archipelago"
    assert (disk["origin"], disk["reuse_data"]) == ("mapfile", "False")
    assert "owner" not in disk


def test_a_network(plug: Callable[[str], Plug]) -> None:
    nic = Nic("52:54:00:00:00:01", None, None)
    options = GanetiOptions(nic_link="br0", nic_mode="bridged")
    assert body(plug("fast"), options=options, nics=(nic,))["nics"] == [
        {"mac": "52:54:00:00:00:01", "link": "br0", "mode": "bridged"}
    ]
    assert body(plug("fast"), nics=(nic,))["nics"] == []


def test_an_image_for_the_root(plug: Callable[[str], Plug]) -> None:
    asked = body(plug("plain"), fill=ImageFill("https://cloud/image", "tok", "0" * 128, "qcow2"))
    assert (asked["os_type"], asked["no_install"], asked["start"]) == ("cyclades-image", False, False)
    assert asked["osparams"] == {"url": "https://cloud/image", "sha512": "0" * 128, "format": "qcow2"}
    assert asked["osparams_secret"] == {"token": "tok"}


def test_what_ganeti_cannot_have_is_refused(plug: Callable[[str], Plug]) -> None:
    with pytest.raises(Failed, match="cannot be written"):
        body(replace(plug("fast"), read_only=True))
    with pytest.raises(Failed, match="whole MiB"):
        body(replace(plug("fast"), size=512))


def test_wiping() -> None:
    assert disks.wipe_refusal({"prealloc_wipe_disks": False}) is None
    assert "prealloc_wipe_disks" in (disks.wipe_refusal({"prealloc_wipe_disks": True}) or "")


# --- where it is to be ------------------------------------------------------------------------------


def node(name: str, mfree: int | None, *, group: str = "g", **more: Any) -> dict[str, Any]:
    found = {"name": name, "mfree": mfree, "mtotal": 4096, "ctotal": 4, "dfree": 10, "group.uuid": group}
    return found | {"vm_capable": True, "offline": False, "drained": False} | more


def answering(wire: Wire, *found: dict[str, Any]) -> None:
    def answer(asked: Asked) -> Any:
        if asked.path.startswith("/2/info"):
            return {"software_version": "3.1.0", "enabled_disk_templates": ["ext"], "prealloc_wipe_disks": True}
        return list(found)

    wire.answer = answer


async def place(rapi: Rapi, template: str = "ext", memory: int = 1024, **options: Any) -> dict[str, str]:
    return await nodes.place(rapi, GanetiOptions(**options), template=template, memory=memory)


async def test_a_server_goes_where_there_is_room(wire: Wire, rapi: Rapi) -> None:
    shut = [node("a", 4000, offline=True), node("b", 4000, drained=True), node("c", 4000, vm_capable=False)]
    answering(wire, *shut, node("d", None), node("e", 500), node("f", 2000))
    assert {(await place(rapi))["pnode"] for _ in range(5)} == {"f"}
    assert (await place(rapi, memory=3000))["pnode"] in ("e", "f")  # Ganeti may know better; it says so if not


async def test_a_mirrored_disk_needs_a_second_node_of_the_same_group(wire: Wire, rapi: Rapi) -> None:
    answering(wire, node("a", 3000), node("b", 10), node("c", 900, group="other"))
    assert await place(rapi, "drbd") == {"pnode": "a", "snode": "b"}
    answering(wire, node("a", 3000), node("c", 900, group="other"))
    with pytest.raises(Passing, match="second node"):
        await place(rapi, "drbd")


async def test_no_node_or_another_who_chooses(wire: Wire, rapi: Rapi) -> None:
    answering(wire)
    with pytest.raises(Passing, match="No node"):
        await place(rapi)
    assert await place(rapi, iallocator="hail") == {"iallocator": "hail"}


async def test_capacity(wire: Wire, rapi: Rapi) -> None:
    answering(wire, node("a", 3000), node("b", 10), node("c", 900, offline=True))
    found = await nodes.capacity(rapi)
    assert (found.vcpus, found.memory, found.memory_free, found.disk_free) == (8, 8192, 3010, 20 << 20)
    assert (found.program, found.version, found.disk_templates) == ("Ganeti", (3, 1, 0), ("ext",))
    assert "prealloc_wipe_disks" in (found.refuses_pools or "")
