"""To whom a disk is not given: each refusal is one line that says why, and leaves nothing on the node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.provider.conftest import OWNER
from tests.provider.node import InstanceDisk, Node, Refusal

from cyclades.model.names import volume_disk
from cyclades.model.units import MIB
from cyclades.pools.qcow2 import Qcow2Pool

OTHER = "8f14e45f-ceea-467f-9c2b-2a1de5b1f0a3"


async def refused(disk: InstanceDisk, action: str, **more: str | int) -> str:
    with pytest.raises(Refusal) as caught:
        await disk.call(action, killed_at=None, **more)
    line, end, rest = str(caught.value).partition("\n")
    assert (end, rest) == ("\n", "")
    assert line.startswith("cyclades: ")
    return line.removeprefix("cyclades: ")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"volume": "../../etc/passwd"}, "volume must be the id"),
    ({"volume": ""}, "volume must be the id"),
    ({"generation": "new"}, "generation must be a number"),
    ({"uuid": "../x"}, "VOL_UUID must be"),
    ({"pool": "slow"}, "has no pool 'slow'"),
    ({"pool": "../fast"}, "has no pool"),
    ({"owner": "c2/server-a"}, "not of this node's backend, 'c1'"),
    ({"owner": ""}, "not of this node's backend"),
    ({"owner": "c1/server-b"}, "belongs to c1/server-a, not to c1/server-b"),
    ({"generation": 0}, "attached anew: its generation is 1, not 0"),
    ({"generation": 2}, "attached anew: its generation is 1, not 2"),
    ({"volume": OTHER}, "mounted on this node"),
]


@pytest.mark.parametrize("action", ["create", "attach", "grow"])
async def test_what_is_asked_for_wrongly(claimed: InstanceDisk, here: Node, action: str) -> None:
    for parameters, why in WRONG:
        other = InstanceDisk(here, **({"volume": claimed.volume} | parameters))
        assert why in await refused(other, action, VOL_SIZE=8, VOL_NEW_SIZE=8)
    assert await here.leftovers() == []


@pytest.mark.parametrize("action", ["detach", "remove", "close"])
async def test_what_cannot_be_a_disk_is_not_taken_away(here: Node, action: str) -> None:
    assert "volume must be the id" in await refused(InstanceDisk(here, "x"), action)


async def test_create_takes_only_the_name_and_the_size_that_are_right(claimed: InstanceDisk, here: Node) -> None:
    other = InstanceDisk(here, claimed.volume, name="data")
    assert "must be named snf-vol-" in await refused(other, "create", VOL_SIZE=8)
    for size, why in (("9", "has 8 MiB, not 9"), ("7", "has 8 MiB, not 7"), ("all", "number of MiB"), ("", "number")):
        assert why in await refused(claimed, "create", VOL_SIZE=size)
    await claimed.add()
    claimed.name = "renamed"  # by hand, later
    await claimed.start()
    await claimed.remove()


async def test_only_the_first_disk_of_ganetis_gets_it(
    pool: Qcow2Pool, claimed: InstanceDisk, here: Node, directory: Path
) -> None:
    """Another one with the same parameters, as one typed by hand on a node."""
    typed = InstanceDisk(here, claimed.volume)
    assert "bound to no disk" in await refused(typed, "attach")
    await claimed.add()
    await claimed.stop()
    for action in ("create", "attach", "grow"):
        assert f"bound to Ganeti's disk {claimed.uuid}" in await refused(typed, action, VOL_SIZE=8, VOL_NEW_SIZE=8)
    device = await claimed.start()
    for action in ("detach", "remove", "close"):
        await typed.call(action)
    assert await claimed.attach() == device
    await claimed.remove()
    assert f"bound to Ganeti's disk {claimed.uuid}" in await refused(typed, "create", VOL_SIZE=8)
    await pool.unbind(claimed.disk, OWNER, 1)
    await typed.add()
    await typed.remove()
    await pool.release(claimed.disk, OWNER, 1)
    assert [path.name for path in (directory / "cards").iterdir()] == [f"{claimed.disk}.json"]


async def test_the_old_instance_gets_nothing(pool: Qcow2Pool, claimed: InstanceDisk, here: Node) -> None:
    """Started behind our back, after its volume was given to another server."""
    await claimed.add()
    await claimed.stop()
    await pool.release(claimed.disk, OWNER, 1)
    assert "belongs to nobody" in await refused(claimed, "attach")
    await pool.claim(claimed.disk, "c1/server-b", 2, card=True)
    new = InstanceDisk(here, claimed.volume, owner="c1/server-b", generation=2)
    for action in ("create", "attach", "grow"):
        assert "belongs to c1/server-b" in await refused(claimed, action, VOL_SIZE=8, VOL_NEW_SIZE=8)
    await new.add()
    device = await new.start()
    assert "belongs to c1/server-b" in await refused(claimed, "attach")
    await claimed.call("detach")
    assert await new.attach() == device
    await new.remove()
    await pool.release(claimed.disk, "c1/server-b", 2)
    await pool.claim(claimed.disk, "local/server-c", 3)
    assert "belongs to local/server-c" in await refused(new, "attach")
    await pool.release(claimed.disk, "local/server-c", 3)
    await pool.delete(claimed.disk)
    assert "no card" in await refused(new, "attach")
    assert await here.leftovers() == []


async def test_a_volume_that_no_node_was_told_of(pool: Qcow2Pool, volume: str, here: Node) -> None:
    await pool.create(volume_disk(volume), 8 * MIB)
    await pool.claim(volume_disk(volume), OWNER, 1)
    assert "no card" in await refused(InstanceDisk(here, volume), "create", VOL_SIZE=8)


async def test_a_node_that_is_not_set_up(claimed: InstanceDisk, here: Node, directory: Path) -> None:
    for text, why in (
        ("{", "is damaged"),
        ("[]", "must have backend and pools"),
        (json.dumps({"backend": "c1", "pools": {"fast": "/nowhere"}}), "mounted on this node"),
    ):
        await here.write("/etc/cyclades/node.json", text)
        assert why in await refused(claimed, "create", VOL_SIZE=8)
    await here.run("rm", "/etc/cyclades/node.json")
    assert "cyclades node-files" in await refused(claimed, "create", VOL_SIZE=8)
    assert "node.json" in await refused(claimed, "verify")


async def test_a_damaged_card(claimed: InstanceDisk, directory: Path) -> None:
    card = directory / "cards" / f"{claimed.disk}.json"
    whole = json.loads(card.read_text())
    for change, why in (
        ({"layer": "../../secret.qcow2"}, "names no layer"),
        ({"layer": None}, "names no layer"),
        ({"size": "large"}, "damaged"),
    ):
        card.write_text(json.dumps(whole | change))
        assert why in await refused(claimed, "create", VOL_SIZE=8)
    card.write_text("")
    assert "damaged" in await refused(claimed, "create", VOL_SIZE=8)


async def test_verify_says_whether_a_node_is_ready(claimed: InstanceDisk, here: Node) -> None:
    assert await claimed.call("verify") == "Ready for servers of c1, with pools: fast.\n"
    await here.write("/etc/cyclades/node.json", json.dumps({"backend": "c1", "pools": {"fast": "/nowhere"}}))
    assert "/nowhere has no pool of Cyclades" in await refused(claimed, "verify")
