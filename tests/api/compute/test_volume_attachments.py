"""/servers/{id}/os-volume_attachments"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.compute.conftest import BASE, NOBODY, OTHER, As, Client, Put

from cyclades.store.database import Database
from cyclades.store.schema import attachment, operation, volume

New = Callable[..., Awaitable[str]]


def path(server_id: str, volume_id: str = "") -> str:
    return f"{BASE}/servers/{server_id}/os-volume_attachments" + (f"/{volume_id}" if volume_id else "")


async def attach(client: Client, server_id: str, volume_id: str, **more: Any) -> Any:
    return await client.post(path(server_id), json={"volumeAttachment": {"volumeId": volume_id, **more}})


@pytest.fixture
def plugged(member: Client, new_server: New, new_volume: New, put: Put, database: Database) -> New:
    """A server, and a volume that is in use by it: `server_id volume_id`."""

    async def make(**asked: Any) -> str:
        server_id, volume_id = await new_server(), await new_volume()
        assert (await attach(member, server_id, volume_id, **asked)).status_code == 202
        await put("volume", volume_id, status="in-use")
        plug = attachment.update().where(attachment.c.volume_id == volume_id)
        await database.write(lambda tx: tx.execute(plug.values(status="attached", operation_id=None)))
        return f"{server_id} {volume_id}"

    return make


async def test_an_attachment_is_one_transaction(
    member: Client, speaking_as: As, new_server: New, new_volume: New, database: Database
) -> None:
    server_id, volume_id = await new_server(), await new_volume(generation=4)
    answer = await attach(speaking_as(version="2.79"), server_id, volume_id, tag="data", delete_on_termination=True)
    assert answer.status_code == 200
    assert answer.json()["volumeAttachment"] == {
        "id": volume_id,
        "serverId": server_id,
        "volumeId": volume_id,
        "device": "/dev/sdb",
        "tag": "data",
        "delete_on_termination": True,
    }
    row = await database.read(lambda tx: tx.execute(sa.select(volume).where(volume.c.id == volume_id)).one())
    plug = await database.read(
        lambda tx: tx.execute(sa.select(attachment).where(attachment.c.volume_id == volume_id)).one()
    )
    assert (row.status, row.generation) == ("attaching", 5)
    assert (plug.status, plug.generation, plug.disk_index, plug.operation_id) == ("attaching", 5, 1, row.operation_id)
    again = await attach(member, server_id, volume_id)
    assert again.status_code == 400
    assert "attaching" in again.json()["badRequest"]["message"]


async def test_the_answer_changes_with_the_version(speaking_as: As, new_server: New, new_volume: New) -> None:
    server_id = await new_server()
    first, second = await new_volume(), await new_volume()
    old = await attach(speaking_as(version="2.1"), server_id, first)
    assert (old.status_code, set(old.json()["volumeAttachment"])) == (200, {"id", "serverId", "volumeId", "device"})
    new = await attach(speaking_as(version="2.101"), server_id, second)
    assert (new.status_code, new.content) == (202, b"")
    for version, keys in (("2.69", {"id"}), ("2.70", {"id", "tag"}), ("2.79", {"id", "tag", "delete_on_termination"}),
                          ("2.89", {"tag", "delete_on_termination", "attachment_id", "bdm_uuid"})):  # fmt: skip
        shown = (await speaking_as(version=version).get(path(server_id, first))).json()["volumeAttachment"]
        assert set(shown) == keys | {"serverId", "volumeId", "device"}
        found = (await speaking_as(version=version).get(path(server_id))).json()["volumeAttachments"]
        assert [one["volumeId"] for one in found] == [first, second]


async def test_of_two_racing_attaches_one_wins(
    member: Client, new_server: New, new_volume: New, database: Database
) -> None:
    servers, volume_id = [await new_server() for _ in range(2)], await new_volume()
    answers = await asyncio.gather(*(attach(member, servers[i % 2], volume_id) for i in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, 400, 400, 400, 400, 400]
    alive = sa.select(attachment).where(attachment.c.volume_id == volume_id)
    assert len(await database.read(lambda tx: tx.execute(alive).all())) == 1


async def test_many_clients_attach_to_one_server_at_once(
    member: Client, new_server: New, new_volume: New, database: Database
) -> None:
    server_id, volumes = await new_server(), [await new_volume() for _ in range(17)]
    answers = await asyncio.gather(*(attach(member, server_id, volume_id) for volume_id in volumes))
    assert sorted(answer.status_code for answer in answers) == [202] * 15 + [403] * 2
    taken = sa.select(attachment.c.disk_index).where(attachment.c.server_id == server_id)
    assert sorted(await database.read(lambda tx: tx.execute(taken).scalars())) == list(range(16))
    free = sa.select(volume.c.id).where(volume.c.id.in_(volumes), volume.c.status == "available")
    assert len(await database.read(lambda tx: tx.execute(free).all())) == 2


async def test_what_cannot_be_attached(
    member: Client, admin: Client, new_server: New, new_volume: New, put: Put
) -> None:
    server_id = await new_server()
    assert (await attach(member, server_id, NOBODY)).status_code == 404
    assert (await attach(member, NOBODY, await new_volume())).status_code == 404
    theirs = await new_volume(project_id=OTHER)
    assert (await attach(member, server_id, theirs)).status_code == 404
    assert (await attach(admin, server_id, theirs)).status_code == 404
    for status in ("in-use", "error", "creating", "deleting"):
        assert (await attach(member, server_id, await new_volume(status=status))).status_code == 400
    assert (await attach(member, server_id, "not an id")).status_code == 400
    assert (await attach(member, server_id, await new_volume(), colour="red")).status_code == 400
    volume_id = await new_volume()
    for status in ("BUILD", "ERROR", "REBOOT"):
        await put("server", server_id, status=status)
        assert (await attach(member, server_id, volume_id)).status_code == 409
    await put("server", server_id, status="SHUTOFF")
    assert (await attach(member, server_id, volume_id)).status_code == 202
    await member.delete(f"{BASE}/servers/{server_id}")
    assert (await attach(member, server_id, await new_volume())).status_code == 409


async def test_a_detach(member: Client, plugged: New, database: Database) -> None:
    server_id, volume_id = (await plugged()).split()
    assert (await member.delete(path(server_id, volume_id))).status_code == 202
    row = await database.read(lambda tx: tx.execute(sa.select(volume).where(volume.c.id == volume_id)).one())
    assert row.status == "detaching"
    op = await database.read(
        lambda tx: tx.execute(sa.select(operation).where(operation.c.id == row.operation_id)).one()
    )
    assert (op.kind, op.resource_id) == ("volume_detach", volume_id)
    # Terraform repeats it, and bears a 400 but not a 409.
    assert (await member.delete(path(server_id, volume_id))).status_code == 400


async def test_a_repeat_of_a_detach_is_never_a_conflict(member: Client, plugged: New, put: Put) -> None:
    server_id, volume_id = (await plugged()).split()
    assert (await member.delete(path(server_id, volume_id))).status_code == 202
    await put("server", server_id, status="REBOOT", operation_id=NOBODY)
    assert (await member.delete(path(server_id, volume_id))).status_code == 400


async def test_what_cannot_be_detached(
    member: Client, new_server: New, new_volume: New, plugged: New, put: Put, database: Database
) -> None:
    server_id, volume_id = (await plugged()).split()
    assert (await member.delete(path(server_id, await new_volume()))).status_code == 404
    await put("server", server_id, status="REBOOT", operation_id=NOBODY)
    assert (await member.delete(path(server_id, volume_id))).status_code == 409
    kept = sa.select(volume.c.status).where(volume.c.id == volume_id)
    assert await database.read(lambda tx: tx.execute(kept).scalar()) == "in-use"


async def test_the_root_is_reachable_but_not_listed_and_stays(member: Client, plugged: New, database: Database) -> None:
    server_id, volume_id = (await plugged()).split()
    found = (await member.get(path(server_id))).json()["volumeAttachments"]
    assert [one["volumeId"] for one in found] == [volume_id]
    root = sa.select(attachment.c.volume_id).where(attachment.c.server_id == server_id, attachment.c.is_root)
    root_id = await database.read(lambda tx: tx.execute(root).scalar_one())
    assert (await member.get(path(server_id, root_id))).json()["volumeAttachment"]["device"] == "/dev/sda"
    answer = await member.delete(path(server_id, root_id))
    assert answer.status_code == 400
    assert "root" in answer.json()["badRequest"]["message"]


# --- how a volume is attached ---------------------------------------------------------------------


async def test_a_device_is_a_name_that_is_shown_again(
    member: Client, speaking_as: As, new_server: New, new_volume: New
) -> None:
    """A guest goes by the serial; the names that are shown differ at least."""
    server_id, older = await new_server(), speaking_as(version="2.60")
    shown = []
    for device in ("/dev/sdc", None, "/dev/vdx", None):  # at the indexes 1 to 4
        answer = await attach(older, server_id, await new_volume(), device=device)
        assert answer.status_code == 200, answer.text
        shown.append(answer.json()["volumeAttachment"]["device"])
    assert shown == ["/dev/sdc", "/dev/sdb", "/dev/vdx", "/dev/sde"]
    volume_id = await new_volume()
    taken = await attach(member, server_id, volume_id, device="/dev/vdx")
    assert taken.status_code == 409
    assert "/dev/vdx" in taken.json()["conflictingRequest"]["message"]
    for wrong in ("vdb", "/dev/", "/dev/v db", "/tmp/x", "", 7, "/dev/" + "a" * 300):
        assert (await attach(member, server_id, volume_id, device=wrong)).status_code == 400, wrong
    assert (await attach(member, server_id, volume_id)).status_code == 202  # nothing was kept of those


async def test_keys_of_an_attach_come_with_their_versions(speaking_as: As, new_server: New, new_volume: New) -> None:
    server_id = await new_server()
    for key, value, since in (("tag", "data", 49), ("delete_on_termination", True, 79)):
        old = await attach(speaking_as(version=f"2.{since - 1}"), server_id, await new_volume(), **{key: value})
        new = await attach(speaking_as(version=f"2.{since}"), server_id, await new_volume(), **{key: value})
        assert (old.status_code, new.status_code) == (400, 200)
    for wrong in ("", "a/b", "a,b", "x" * 61):
        assert (await attach(speaking_as(), server_id, await new_volume(), tag=wrong)).status_code == 400


# --- how an attachment is changed -----------------------------------------------------------------


async def change(client: Client, server_id: str, volume_id: str, **values: Any) -> Any:
    body = {"volumeAttachment": {"volumeId": volume_id, **values}}
    return await client.put(path(server_id, volume_id), json=body)


async def test_what_lives_only_on_its_server_ends_with_it(member: Client, plugged: New, put: Put) -> None:
    server_id, volume_id = (await plugged()).split()
    await put("volume", volume_id, pool="ganeti:plain")
    kept = await change(member, server_id, volume_id, delete_on_termination=False)
    assert (kept.status_code, "ends with it" in kept.text) == (400, True)
    assert (await change(member, server_id, volume_id, delete_on_termination=True)).status_code == 202


async def test_what_becomes_of_the_volume_is_changed_at_any_time(
    member: Client, plugged: New, put: Put, database: Database
) -> None:
    server_id, volume_id = (await plugged(tag="data")).split()

    async def kept() -> bool:
        found = (await member.get(path(server_id, volume_id))).json()["volumeAttachment"]
        return not found["delete_on_termination"]

    for value, stays in ((True, False), ("false", True), ("True", False)):
        answer = await change(member, server_id, volume_id, delete_on_termination=value)
        assert (answer.status_code, answer.content) == (202, b"")
        assert await kept() is stays
    await put("server", server_id, status="REBOOT", locked=True, operation_id=NOBODY)
    same = {"id": volume_id, "serverId": server_id, "device": "/dev/sdb", "tag": "data"}
    assert (await change(member, server_id, volume_id, **same, delete_on_termination=False)).status_code == 202
    assert await kept()
    root = sa.select(attachment.c.volume_id).where(attachment.c.server_id == server_id, attachment.c.is_root)
    root_id = await database.read(lambda tx: tx.execute(root).scalar_one())
    assert (await change(member, server_id, root_id, delete_on_termination=False)).status_code == 202
    assert (await member.get(path(server_id, root_id))).json()["volumeAttachment"]["delete_on_termination"] is False


async def test_what_of_an_attachment_is_fixed(member: Client, plugged: New, new_volume: New) -> None:
    server_id, volume_id = (await plugged()).split()
    for wrong in ({"id": NOBODY}, {"serverId": NOBODY}, {"device": "/dev/sdz"}, {"tag": "other"}, {"colour": "red"},
                  {"delete_on_termination": None}, {"delete_on_termination": "perhaps"}):  # fmt: skip
        answer = await change(member, server_id, volume_id, **{"delete_on_termination": True, **wrong})
        assert answer.status_code == 400, wrong
        assert next(iter(wrong)) in answer.json()["badRequest"]["message"]
    shown = (await member.get(path(server_id, volume_id))).json()["volumeAttachment"]
    assert shown["delete_on_termination"] is False
    assert (await change(member, server_id, await new_volume())).status_code == 404
    assert (await change(member, NOBODY, volume_id)).status_code == 404


async def test_no_volume_takes_anothers_place(
    member: Client, admin: Client, speaking_as: As, plugged: New, new_volume: New, database: Database
) -> None:
    """Of the versions before 2.85 that is all that there was: for a Block Storage service that moves volumes by it."""
    server_id, volume_id = (await plugged()).split()
    other = {"volumeId": await new_volume()}
    for client in (member, admin, speaking_as(version="2.84"), speaking_as(version="2.1")):
        answer = await change(client, server_id, volume_id, **other)
        assert answer.status_code == 409
        assert "is not migrating" in answer.json()["conflictingRequest"]["message"]
    older = await change(speaking_as(version="2.84"), server_id, volume_id, delete_on_termination=True)
    assert older.status_code == 400
    assert (await change(speaking_as(version="2.1"), server_id, NOBODY, **other)).status_code == 404
