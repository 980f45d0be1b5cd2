"""QEMU's command line: what is in it, and that no name can break out of its place."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.ground import Ground
from tests.backends.other_process import Place

from cyclades.backends.base import Nic, Plug, ServerSpec
from cyclades.backends.local import LocalBackend, machine
from cyclades.backends.local.home import Home
from cyclades.backends.local.machine import Qemu
from cyclades.model.errors import Failed
from cyclades.pools.base import Blockdev
from cyclades.store.database import Database

VOLUME = str(uuid4())
ODD = ["with, a comma", "'quotes\" and $(dollars)", "ünïcode ☃", "-leading", "per%cent%s", "long" * 50, "new\nline"]


def command(home: Home, *opened: tuple[Plug, Blockdev], accelerator: str = "tcg", **more: object) -> list[str]:
    values = {"project_id": "p", "hostname": "one", "vcpus": 3, "memory": 96, "plugs": ()} | more
    spec = ServerSpec(server_id=home.server_id, **values)  # type: ignore[arg-type]
    return machine.command(Qemu("qemu", accelerator), home, spec, list(opened))


def values_of(words: list[str], option: str) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words) if word == option]


@pytest.fixture
def home() -> Home:
    return Home(Path("/srv") / str(uuid4()))


def plug(index: int, **more: object) -> tuple[Plug, Blockdev]:
    blockdev = {"driver": "qcow2", "file": {"driver": "file", "filename": f"/pool/{index}.qcow2"}}
    return Plug(f"{index}{VOLUME[1:]}", "disk", None, index, 1, size=1 << 20, **more), blockdev  # type: ignore[arg-type]


def test_it_is_sized_named_and_shut_in(home: Home) -> None:
    words = command(home)
    assert values_of(words, "-smp") == ["3"]
    assert values_of(words, "-m") == ["96M"]
    assert values_of(words, "-uuid") == [home.server_id]
    assert "-nodefaults" in words
    assert "-no-user-config" in words
    (sandbox,) = values_of(words, "-sandbox")
    assert sandbox.split(",")[0] == "on"
    for what in ("elevateprivileges", "spawn", "resourcecontrol"):
        assert f"{what}=deny" in sandbox


def test_guests_with_kvm_have_the_processor_as_it_is(home: Home) -> None:
    assert values_of(command(home, accelerator="kvm"), "-cpu") == ["host"]


def test_the_disks_are_found_by_their_ids(home: Home) -> None:
    words = command(home, plug(0), plug(3, read_only=True))
    nodes = [json.loads(value) for value in values_of(words, "-blockdev")]
    devices = [json.loads(value) for value in values_of(words, "-device") if value.startswith("{")]
    assert [node["read-only"] for node in nodes] == [False, True]
    assert [device["serial"] for device in devices] == [plug(0)[0].volume_id, plug(3)[0].volume_id]
    assert [device["scsi-id"] for device in devices] == [0, 3]
    assert [device.get("bootindex") for device in devices] == [0, None]
    assert [device["drive"] for device in devices] == [node["node-name"] for node in nodes]


def test_a_guest_reaches_nobody_but_is_reached(home: Home) -> None:
    words = command(home, nics=(Nic("52:54:00:00:00:01", "10.64.0.12", "127.64.0.2"),))
    (network,) = values_of(words, "-netdev")
    assert network.startswith("user,id=net0,restrict=on,")
    assert "net=10.64.0.8/29" in network
    assert network.endswith("hostfwd=tcp:127.64.0.2:2222-10.64.0.12:22")


@given(st.uuids(), st.integers(0, 2**62))
def test_a_device_tells_its_volume_and_generation(volume_id: object, generation: int) -> None:
    name = machine.device_id(str(volume_id), generation)
    for path in (name, f"/machine/peripheral/{name}", f"/machine/peripheral/{name}/virtio-backend"):
        seen = machine.disk_of(path)
        assert seen is not None
        assert (seen.volume_id, seen.generation) == (str(volume_id), generation)


@pytest.mark.parametrize("device", ["", "config", "/machine/peripheral/scsi", "vol-", "vol-x", "vol-x-y", "vol-x-²"])
def test_what_is_no_volume_is_none(device: str) -> None:
    assert machine.disk_of(device) is None


@given(st.uuids(), st.text(min_size=1))
def test_a_node_is_named_for_its_volume_and_file(volume_id: object, path: str) -> None:
    name = machine.node_name(str(volume_id), path)
    assert len(name) <= 31  # QEMU takes no more
    assert name.startswith(machine.node_prefix(str(volume_id)))
    assert name != machine.node_name(str(volume_id), path + "x")


@pytest.mark.parametrize("name", ODD)
async def test_a_server_runs_wherever_it_is_kept(place: Place, database: Database, name: str) -> None:
    """A real QEMU, in a directory whose name has a meaning elsewhere."""
    directory = place.directory / name
    for path in (directory, directory / "servers", directory / "pool"):
        path.mkdir(mode=0o711)
    odd = Place(directory, place.database_url, place.group)
    ground = Ground(odd.backend(), odd.pool(database))
    spec = await ground.running(await ground.volume(), config={"cidata": {"meta-data": b"x"}})
    home = Home(directory / "servers" / spec.server_id)
    assert (await ground.seen(spec.server_id))[0] == "running"
    volume_id = await ground.volume()
    await ground.backend.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 2))
    await ground.backend.unplug(spec.server_id, volume_id, 1, patience=10)
    assert home.console.exists()
    await ground.backend.delete(spec.server_id)
    await ground.backend.close()
    assert not home.directory.exists()
    left = subprocess.run(["find", directory, "-name", "*qemu*"], capture_output=True, check=True)  # noqa: ASYNC221
    assert left.stdout == b""


async def test_no_word_reaches_a_shell(ground: Ground, local: LocalBackend, place: Place) -> None:
    """Everything that a person can name, with what a shell or QEMU's own syntax would take for its own."""
    evil = "x,y=$(touch /tmp/cyclades-was-here);`id`'\"\n|&"
    spec = await ground.spec(project_id=evil, hostname=evil, config={"cidata": {"meta-data": evil.encode()}})
    await local.start(spec)
    assert (await ground.seen(spec.server_id))[0] == "running"
    assert not Path("/tmp/cyclades-was-here").exists()
    with pytest.raises(Failed):
        await local.start(ServerSpec(f"a/../{evil}", "p", "one", 1, 64, ()))
