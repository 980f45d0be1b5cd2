"""Where the disks of a new server come from: `block_device_mapping_v2`, and the older form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.compute.conftest import BASE, NOBODY, OTHER, PROJECT, As, Client

from cyclades.model.capabilities import TEMPLATE_SPEC
from cyclades.model.units import GIB
from cyclades.operations.base import new_id
from cyclades.operations.server_disks import TYPE_SPEC
from cyclades.store import flavors, images, snapshots, volume_types
from cyclades.store.database import Database, Tx
from cyclades.store.schema import attachment, volume, volume_type

New = Callable[..., Awaitable[str]]
Usage = Callable[[], Awaitable[dict[str, int]]]
Found = Callable[[str], Awaitable[list[Any]]]

BOOT_SEQUENCE = "Boot sequence for the instance and image/block device mapping combination is not valid."


async def ask(client: Client, *mapping: dict[str, Any], **body: Any) -> Any:
    if mapping:
        body["block_device_mapping_v2"] = list(mapping)
    asked = {"name": "one", "flavorRef": "1", "networks": "auto", **body}
    return await client.post(f"{BASE}/servers", json={"server": asked})


def of_image(image_id: str, **more: Any) -> dict[str, Any]:
    """The root as clients list it beside an imageRef."""
    return {"source_type": "image", "destination_type": "local", "uuid": image_id, "boot_index": 0, **more}


def blank(gib: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"source_type": "blank", "destination_type": "volume", "volume_size": gib, **more}


@pytest.fixture
def found(database: Database) -> Found:
    """A server's disks in order: each attachment with its volume's columns."""

    async def read(server_id: str) -> list[Any]:
        both = sa.select(attachment, volume.c.size, volume.c.snapshot_id, volume.c.volume_type_id, volume.c.status)
        mine = both.join(volume, volume.c.id == attachment.c.volume_id).where(attachment.c.server_id == server_id)
        return await database.read(lambda tx: list(tx.execute(mine.order_by(attachment.c.disk_index)).all()))

    return read


@pytest.fixture
def new_snapshot(database: Database, new_volume: New) -> New:
    """An available snapshot of a volume of 3 GiB."""

    async def add(project_id: str = PROJECT, **values: Any) -> str:
        volume_id, snapshot_id = await new_volume(project_id, size=3, bootable=True), new_id()
        columns = {"project_id": project_id, "user_id": "u" * 32, "status": "available", "size": 3}
        await database.write(lambda tx: snapshots.add(tx, snapshot_id, volume_id=volume_id, **(columns | values)))
        return snapshot_id

    return add


@pytest.fixture
def new_image(database: Database) -> New:
    """An active image with these properties, by default without bytes."""

    async def add(*, size: int = 0, **properties: str) -> str:
        image_id = new_id()
        values = {"project_id": PROJECT, "name": "made", "status": "active", "visibility": "private", "size": size}
        values |= {"disk_format": "raw", "container_format": "bare", "properties": properties}
        await database.write(lambda tx: images.add(tx, image_id, **values))
        return image_id

    return add


async def server_of(answer: Any) -> str:
    assert answer.status_code == 202, answer.text
    return str(answer.json()["server"]["id"])


async def test_every_source_at_any_index(
    member: Client, image_id: str, new_volume: New, new_snapshot: New, found: Found, usage: Usage
) -> None:
    first, second, snapshot_id = await new_volume(bootable=True), await new_volume(), await new_snapshot()
    answer = await ask(
        member,
        {"source_type": "volume", "uuid": second.upper()},
        {"source_type": "snapshot", "uuid": snapshot_id, "boot_index": "1"},
        {"source_type": "volume", "destination_type": "volume", "uuid": first, "boot_index": "0"},
        {"source_type": "image", "destination_type": "volume", "uuid": image_id, "volume_size": "5", "boot_index": -1},
        blank(None, size=4, boot_index=None),
    )  # fmt: skip
    disks = await found(await server_of(answer))
    assert [disk.volume_id for disk in disks][:2] == [first, second]
    assert [(disk.size, disk.is_root, disk.snapshot_id) for disk in disks[1:]] == [
        (1, False, None),
        (3, False, snapshot_id),
        (5, False, None),
        (4, False, None),
    ]
    # What nobody says: what was there stays, what is made goes.
    assert [disk.delete_on_termination for disk in disks] == [False, False, True, True, True]
    assert (await usage())["volumes"] == 3


async def test_what_is_said_of_a_disk_is_kept(speaking_as: As, image_id: str, found: Found, database: Database) -> None:
    await database.write(lambda tx: volume_types.add(tx, new_id(), name="fast", is_public=True, extra_specs={}))
    answer = await ask(
        speaking_as(version="2.67"),
        of_image(image_id, tag="root"),
        blank(tag="data", volume_type="fast", delete_on_termination="false", disk_bus="virtio", device_type="disk",
              guest_format=None, device_name="/dev/vdx"),
        imageRef=image_id,
    )  # fmt: skip
    root, data = await found(await server_of(answer))
    assert (root.tag, root.delete_on_termination) == ("root", True)
    assert (data.tag, data.delete_on_termination, data.device) == ("data", False, "/dev/sdb")
    name = sa.select(volume_type.c.name).where(volume_type.c.id == data.volume_type_id)
    assert await database.read(lambda tx: tx.execute(name).scalar()) == "fast"


@pytest.mark.parametrize(
    ("mappings", "said"),
    [
        ([blank()], BOOT_SEQUENCE),
        ([blank(boot_index=1)], BOOT_SEQUENCE),
        ([blank(boot_index=0)], "the root disk cannot be blank."),
        ([blank(0, boot_index=-1)], "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size."),
        ([blank(uuid=NOBODY)], "Invalid device UUID."),
        ([blank(size=2)], "size and volume_size differ"),
        ([{"destination_type": "volume"}], "Some required fields are missing: source_type."),
        ([{"source_type": "volume", "boot_index": 0}], "Missing device UUID."),
        ([{"source_type": "snapshot", "uuid": "", "boot_index": 0}], "Missing device UUID."),
        ([{"source_type": "volume", "uuid": NOBODY, "boot_index": 0}], f"failed to get volume {NOBODY}."),
        ([{"source_type": "volume", "uuid": "THEIRS", "boot_index": 0}], "failed to get volume"),
        ([{"source_type": "snapshot", "uuid": NOBODY, "boot_index": 0}], f"failed to get snapshot {NOBODY}."),
        ([{"source_type": "image", "destination_type": "volume", "uuid": NOBODY, "volume_size": 2, "boot_index": 0}],
         f"failed to get image {NOBODY}."),
        ([{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "boot_index": 0}],
         "Images with destination_type 'volume' need to have a non-zero size specified."),
        ([{"source_type": "image", "uuid": "IMAGE", "boot_index": 0}], "Mapping image to local is not supported"),
        ([{"source_type": "volume", "destination_type": "local", "uuid": NOBODY}],
         "Mapping volume to local is not supported"),
        ([{"source_type": "blank", "destination_type": "local", "guest_format": "swap"}], "no swap drives"),
        ([{"source_type": "blank", "destination_type": "local", "volume_size": 1}], "no ephemeral disks"),
        ([blank(disk_bus="spaceship")], "The provided disk bus spaceship is not valid."),
        ([blank(disk_bus="ide")], "disk_bus can only be one of"),
        ([blank(device_type="cdrom")], "device_type can only be 'disk'"),
        ([blank(guest_format="ext4")], "guest_format"),
        ([{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "volume_size": 1, "boot_index": 0}],
         "smaller than the image's"),
        ([{"source_type": "snapshot", "uuid": "SNAPSHOT", "volume_size": 2, "boot_index": 0}],
         "smaller than the snapshot's"),
        ([{"source_type": "volume", "uuid": "BARE", "boot_index": 0}], "is not bootable."),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": 0}, {"source_type": "volume", "uuid": "VOLUME"}],
         "attaching"),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": 0}, blank(boot_index=0)],
         "the root disk cannot be blank."),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": 0}, blank(boot_index=2)], BOOT_SEQUENCE),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": 0},
          {"source_type": "snapshot", "uuid": "SNAPSHOT", "boot_index": 0}], BOOT_SEQUENCE),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": "first"}], "boot_index"),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": 1.5}], "boot_index"),
        ([{"source_type": "floppy", "uuid": "VOLUME"}], "source_type"),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": 0, "colour": "red"}], "colour"),
        ([{"source_type": "volume", "uuid": "VOLUME", "boot_index": 0}, blank(volume_type="missing")], "missing"),
    ],
)  # fmt: skip
async def test_mappings_that_are_refused(
    member: Client,
    image_id: str,
    new_volume: New,
    new_snapshot: New,
    usage: Usage,
    mappings: list[dict[str, Any]],
    said: str,
) -> None:
    ids = {"IMAGE": image_id, "VOLUME": await new_volume(bootable=True), "BARE": await new_volume()}
    ids |= {"SNAPSHOT": await new_snapshot(), "THEIRS": await new_volume(OTHER, bootable=True)}
    filled = [{key: ids.get(str(value), value) for key, value in one.items()} for one in mappings]
    answer = await ask(member, *filled, imageRef="")
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["badRequest"]["message"]
    assert await usage() == {}
    assert (await member.get(f"{BASE}/servers")).json() == {"servers": []}


async def test_an_image_beside_a_mapping(member: Client, image_id: str, new_volume: New, found: Found) -> None:
    """As Nova does: its root must be listed, and cannot be another disk."""
    volume_id = await new_volume(bootable=True)
    as_root = {"source_type": "volume", "uuid": volume_id, "boot_index": 0}
    for mappings, said in (
        ([blank()], BOOT_SEQUENCE),
        ([of_image(image_id), as_root], BOOT_SEQUENCE),
        ([of_image(image_id), of_image(image_id)], BOOT_SEQUENCE),
        ([of_image(image_id, boot_index=1)], "Mapping image to local is not supported"),
        ([of_image(NOBODY)], "is not imageRef"),
        ([as_root], "leave imageRef out"),
    ):
        answer = await ask(member, *mappings, imageRef=image_id)
        assert answer.status_code == 400, mappings
        assert said in answer.json()["badRequest"]["message"]
    both = [blank(), of_image(image_id)]
    disks = await found(await server_of(await ask(member, *both, imageRef=image_id)))
    assert [(disk.is_root, disk.size) for disk in disks] == [(True, 4), (False, 1)]
    put = {**of_image(image_id), "destination_type": "volume", "volume_size": 6}
    server_id = await server_of(await ask(member, put, imageRef=image_id))
    assert [disk.size for disk in await found(server_id)] == [6]
    shown = (await member.get(f"{BASE}/servers/{server_id}")).json()["server"]
    assert (shown["image"], len(shown["os-extended-volumes:volumes_attached"])) == ("", 1)


async def test_without_a_source_there_is_no_server(member: Client) -> None:
    bodies: list[dict[str, Any]] = [{}, {"imageRef": ""}, {"block_device_mapping_v2": []}, {"imageRef": NOBODY}]
    for body in bodies:
        answer = await ask(member, **body)
        assert answer.status_code == 400
        assert "image" in answer.json()["badRequest"]["message"]


async def test_keys_come_with_their_versions(speaking_as: As, image_id: str) -> None:
    for key, values, since, gone in (
        ("tag", {"tag": "x"}, 42, (41, 33)),
        ("tag", {"tag": "x"}, 32, (31,)),
        ("volume_type", {"volume_type": None}, 67, (66,)),
    ):
        mapping = [of_image(image_id), blank(**values)]
        for minor, code in ((since, 202), *((minor, 400) for minor in gone)):
            body: dict[str, Any] = {"imageRef": image_id, "block_device_mapping_v2": mapping}
            body |= {"networks": "auto"} if minor >= 37 else {}
            asked = {"server": {"name": "one", "flavorRef": "1", **body}}
            answer = await speaking_as(version=f"2.{minor}").post(f"{BASE}/servers", json=asked)
            assert answer.status_code == code, (key, minor, answer.text)


async def test_at_most_sixteen_disks(member: Client, image_id: str, found: Found, usage: Usage) -> None:
    server_id = await server_of(await ask(member, of_image(image_id), *[blank()] * 15, imageRef=image_id))
    assert [disk.disk_index for disk in await found(server_id)] == list(range(16))
    before = await usage()
    answer = await ask(member, of_image(image_id), *[blank()] * 16, imageRef=image_id)
    assert answer.status_code == 403
    assert "at most 16 disks" in answer.json()["forbidden"]["message"]
    assert await usage() == before


async def test_several_servers_share_no_volume(member: Client, new_volume: New, new_snapshot: New) -> None:
    volume_id, snapshot_id = await new_volume(bootable=True), await new_snapshot()
    root = {"source_type": "volume", "uuid": volume_id, "boot_index": 0}
    answer = await ask(member, root, max_count=2)
    assert answer.status_code == 400
    assert "Cannot attach one or more volumes to multiple instances" in answer.json()["badRequest"]["message"]
    copied = {"source_type": "snapshot", "uuid": snapshot_id, "boot_index": 0}
    assert (await ask(member, copied, max_count=2)).status_code == 202


async def test_of_servers_that_race_for_a_volume_one_wins(member: Client, new_volume: New, usage: Usage) -> None:
    root = {"source_type": "volume", "uuid": await new_volume(bootable=True), "boot_index": 0}
    answers = await asyncio.gather(*(ask(member, root, blank()) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 400, 400, 400, 400]
    assert (await usage())["servers"] == (await usage())["volumes"] == 1


async def test_the_root_of_an_image_is_as_the_flavor_says(
    member: Client, image_id: str, found: Found, database: Database
) -> None:
    type_id = new_id()

    def add(tx: Tx) -> None:
        volume_types.add(tx, type_id, name="of-roots", is_public=True, extra_specs={})
        common = {"vcpus": 1, "ram": 64, "is_public": True}
        flavors.add(tx, "typed", name="typed", disk=3, extra_specs={TYPE_SPEC: "of-roots"}, **common)
        flavors.add(tx, "any", name="any", disk=0, extra_specs={}, **common)
        flavors.add(tx, "tiny", name="tiny", disk=1, extra_specs={}, **common)
        flavors.add(tx, "odd", name="odd", disk=3, extra_specs={TYPE_SPEC: "gone"}, **common)

    await database.write(add)
    (root,) = await found(await server_of(await ask(member, imageRef=image_id, flavorRef="typed")))
    assert (root.size, root.volume_type_id) == (3, type_id)
    (root,) = await found(await server_of(await ask(member, imageRef=image_id, flavorRef="any")))
    assert root.size == 2
    small = await ask(member, imageRef=image_id, flavorRef="tiny")
    assert (small.status_code, small.json()["badRequest"]["message"]) == (
        400,
        f"Flavor's disk is too small for requested image. Flavor disk is {GIB} bytes, image is {2 * GIB} bytes.",
    )
    assert (await ask(member, imageRef=image_id, flavorRef="odd")).status_code == 400
    await database.write(lambda tx: images.change(tx, image_id, min_disk=4))
    large = await ask(member, imageRef=image_id, flavorRef="typed")
    assert large.status_code == 400
    assert "minimum size is 4294967296 bytes" in large.json()["badRequest"]["message"]
    await database.write(lambda tx: images.change(tx, image_id, min_disk=0, min_ram=65))
    assert (await ask(member, imageRef=image_id, flavorRef="typed")).status_code == 400


async def test_all_disks_have_one_template(
    member: Client, image_id: str, new_volume: New, new_server: New, usage: Usage, database: Database
) -> None:
    """A volume of a template that no pool here makes, as an imported one could have."""
    type_id = new_id()
    specs = {TEMPLATE_SPEC: "rbd"}
    await database.write(lambda tx: volume_types.add(tx, type_id, name="rbd", is_public=True, extra_specs=specs))
    server_id = await new_server()
    volume_id = await new_volume(volume_type_id=type_id)
    before = await usage()
    rule = "All disks of a server have one disk template; these would have ext and rbd."
    answer = await ask(member, of_image(image_id), {"source_type": "volume", "uuid": volume_id}, imageRef=image_id)
    assert (answer.status_code, answer.json()["badRequest"]["message"]) == (400, rule)
    body = {"volumeAttachment": {"volumeId": volume_id}}
    answer = await member.post(f"{BASE}/servers/{server_id}/os-volume_attachments", json=body)
    assert (answer.status_code, answer.json()["badRequest"]["message"]) == (400, rule)
    assert await usage() == before


# --- the older form -------------------------------------------------------------------------------


async def test_the_older_form(member: Client, image_id: str, new_volume: New, new_snapshot: New, found: Found) -> None:
    """The disk that has the root's name is the root, or else the image."""
    root, other, snapshot_id = await new_volume(bootable=True), await new_volume(), await new_snapshot()
    mapping = [
        {"volume_id": other, "device_name": "vdb", "delete_on_termination": True},
        {"volume_id": root, "device_name": "/dev/vda"},
        {"snapshot_id": snapshot_id, "device_name": "vdc", "volume_size": ""},
        {"device_name": "vdd", "no_device": True},
    ]
    disks = await found(await server_of(await ask(member, block_device_mapping=mapping)))
    assert [(disk.volume_id, disk.is_root, disk.delete_on_termination) for disk in disks][:2] == [
        (root, True, False),
        (other, False, True),
    ]
    assert (disks[2].snapshot_id, disks[2].size) == (snapshot_id, 3)
    mapping = [{"volume_id": await new_volume(), "device_name": "vdb"}]
    disks = await found(await server_of(await ask(member, block_device_mapping=mapping, imageRef=image_id)))
    assert [(disk.is_root, disk.size) for disk in disks] == [(True, 4), (False, 1)]


async def test_the_older_form_refused(member: Client, image_id: str, new_volume: New) -> None:
    volume_id = await new_volume()
    one = [{"volume_id": volume_id, "device_name": "vdb"}]
    for body, said in (
        ({"block_device_mapping": one}, BOOT_SEQUENCE),
        ({"block_device_mapping": [{"device_name": "vdb", "virtual_name": "swap"}], "imageRef": image_id}, "legacy"),
        ({"block_device_mapping": one, "block_device_mapping_v2": [of_image(image_id)], "imageRef": image_id},
         "Using different block_device_mapping syntaxes is not allowed in the same request."),
        ({"block_device_mapping": [{**one[0], "uuid": volume_id}], "imageRef": image_id}, "uuid"),
        ({"block_device_mapping": [{"volume_id": volume_id, "device_name": ""}], "imageRef": image_id}, "device_name"),
    ):  # fmt: skip
        answer = await ask(member, **body)
        assert answer.status_code == 400, body
        assert said in answer.json()["badRequest"]["message"]


# --- images that have a mapping -------------------------------------------------------------------


def entry(snapshot_id: str | None, **more: Any) -> dict[str, Any]:
    """As Nova writes it into an image."""
    return {
        "source_type": "snapshot",
        "destination_type": "volume",
        "snapshot_id": snapshot_id,
        "volume_id": None,
        "guest_format": None,
        "device_type": "disk",
        "disk_bus": "virtio",
        "device_name": "/dev/vda",
        "boot_index": 0,
        "delete_on_termination": None,
        "volume_size": 3,
        "image_id": None,
        "no_device": None,
        "tag": None,
        "volume_type": None,
        "encrypted": None,
        **more,
    }


async def test_a_server_of_an_image_of_volumes(
    member: Client, new_image: New, new_snapshot: New, found: Found, usage: Usage
) -> None:
    root, data = await new_snapshot(), await new_snapshot()
    other = entry(data, boot_index=None, device_name="/dev/vdb", delete_on_termination=False, volume_size=7)
    image_id = await new_image(block_device_mapping=json.dumps([entry(root), other]), bdm_v2="True")
    server_id = await server_of(await ask(member, imageRef=image_id))
    disks = await found(server_id)
    assert [(disk.snapshot_id, disk.size, disk.is_root, disk.delete_on_termination) for disk in disks] == [
        (root, 3, True, True),
        (data, 7, False, False),
    ]
    assert (await usage())["volumes"] == 2
    shown = (await member.get(f"{BASE}/servers/{server_id}")).json()["server"]
    assert shown["image"] == ""
    assert [one["id"] for one in shown["os-extended-volumes:volumes_attached"]] == [disk.volume_id for disk in disks]


async def test_a_mapping_of_an_image_gives_way_to_the_requests(
    member: Client, new_image: New, new_snapshot: New, new_volume: New, found: Found
) -> None:
    """By the disks' names: another volume in place of one, and none at all in place of another. What clients list for
    the image is not wanted, since its root is a volume."""
    root, first, second, volume_id = [*[await new_snapshot() for _ in range(3)], await new_volume()]
    others = [entry(one, boot_index=-1, device_name=name) for one, name in ((first, "/dev/vdb"), (second, "vdc"))]
    image_id = await new_image(block_device_mapping=json.dumps([entry(root), *others]), bdm_v2="True")
    answer = await ask(
        member,
        of_image(image_id),
        {"source_type": "volume", "uuid": volume_id, "device_name": "vdb"},
        {"device_name": "/dev/vdc", "no_device": True},
        imageRef=image_id,
    )
    disks = await found(await server_of(answer))
    assert [(disk.snapshot_id, disk.volume_id == volume_id) for disk in disks] == [(root, False), (None, True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "cannot be used"),
        ("{}", "cannot be used"),
        ('[{"source_type": "floppy"}]', "cannot be used"),
        ('[{"boot_index": "first", "source_type": "snapshot"}]', "cannot be used"),
        ("[{}]", "source_type"),
        (json.dumps([entry(NOBODY)]), f"failed to get snapshot {NOBODY}."),
        (json.dumps([entry(None)]), "Missing device UUID."),
        (json.dumps([{"source_type": "blank", "destination_type": "local"}]), "no ephemeral disks"),
        (json.dumps([{"source_type": "volume", "volume_id": "THEIRS", "boot_index": 0}]), "failed to get volume"),
        ("[]", "has no bytes"),
        ("", "has no bytes"),
    ],
)
async def test_what_an_image_says_is_not_trusted(
    member: Client, new_image: New, new_volume: New, usage: Usage, text: str, said: str
) -> None:
    """Anybody may write properties."""
    image_id = await new_image(block_device_mapping=text.replace("THEIRS", await new_volume(OTHER, bootable=True)))
    answer = await ask(member, imageRef=image_id)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["badRequest"]["message"]
    assert await usage() == {}
