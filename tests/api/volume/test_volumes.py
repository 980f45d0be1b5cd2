"""/volumes: what is asked for, what comes back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, As, Client, New

from cyclades.model import quota
from cyclades.operations.base import new_id
from cyclades.store import attachments, images, quotas, snapshots
from cyclades.store.database import Database, Tx

BASE = "/volume/v3"
NOBODY = "00000000-0000-4000-8000-000000000000"


async def make(client: Client, **asked: Any) -> dict[str, Any]:
    answer = await client.post(f"{BASE}/volumes", json={"volume": {"size": 1, **asked}})
    assert answer.status_code == 202, answer.text
    volume: dict[str, Any] = answer.json()["volume"]
    return volume


async def test_a_volume_is_accepted_and_shown(member: Client) -> None:
    made = await make(member, name="data", description="what I keep", metadata={"a": "b"})
    assert made["status"] == "creating"
    shown = (await member.get(f"{BASE}/{PROJECT}/volumes/{made['id']}")).json()["volume"]
    made.pop("links")
    shown.pop("links")
    assert shown == {**made, "os-vol-tenant-attr:tenant_id": PROJECT}  # which Cinder adds to what is shown alone
    assert shown["name"] == "data"
    assert shown["size"] == 1
    assert shown["bootable"] == "false"
    assert shown["volume_type"] == "standard"
    assert shown["metadata"] == {"a": "b"}
    assert shown["attachments"] == []


async def test_fields_appear_with_their_microversion(speaking_as: As) -> None:
    made = await make(speaking_as())
    for version, field in (("3.13", "group_id"), ("3.48", "shared_targets"), ("3.63", "volume_type_id"),
                           ("3.65", "consumes_quota")):  # fmt: skip
        minor = int(version.split(".")[1])
        new = (await speaking_as(version=version).get(f"{BASE}/volumes/{made['id']}")).json()["volume"]
        old = (await speaking_as(version=f"3.{minor - 1}").get(f"{BASE}/volumes/{made['id']}")).json()["volume"]
        assert field in new
        assert field not in old


async def test_the_answer_says_its_version_and_request(member: Client) -> None:
    answer = await member.get(f"{BASE}/volumes")
    assert answer.headers["openstack-api-version"] == "volume 3.71"
    assert answer.headers["x-openstack-request-id"].startswith("req-")


@pytest.mark.parametrize("version", ["3.72", "2.0", "three", "3"])
async def test_a_version_that_is_not_there(speaking_as: As, version: str) -> None:
    answer = await speaking_as(version=version).get(f"{BASE}/volumes")
    assert answer.status_code == 406
    assert "3.71" in answer.text


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"size": 0}, 400),
        ({"size": -1}, 400),
        ({"size": 10**9}, 400),
        ({"size": "ten"}, 400),
        ({"size": 1.5}, 400),
        ({"size": None}, 400),
        ({"size": 1, "name": "x" * 256}, 400),
        ({"size": 1, "name": "bell\u0007"}, 400),
        ({"size": 1, "name": "nul\u0000"}, 400),
        ({"size": 1, "description": "nul\u0000"}, 400),
        ({"size": 1, "name": 7}, 400),
        ({"size": 1, "metadata": {"k": "v" * 256}}, 400),
        ({"size": 1, "metadata": {"": "v"}}, 400),
        ({"size": 1, "metadata": {"k": 1}}, 400),
        ({"size": 1, "metadata": {str(i): "v" for i in range(200)}}, 400),
        ({"size": 1, "colour": "red"}, 400),
        ({"size": 1, "snapshot_id": "not-a-uuid"}, 400),
        ({"size": 1, "snapshot_id": NOBODY}, 404),
        ({"size": 1, "source_volid": NOBODY}, 404),
        ({"size": 1, "imageRef": NOBODY}, 404),
        ({"size": 1, "snapshot_id": NOBODY, "source_volid": NOBODY}, 400),
        ({"size": 1, "volume_type": "golden"}, 404),
        ({"size": 1, "availability_zone": "mars"}, 400),
        ({"size": 1, "multiattach": True}, 400),
    ],
)
async def test_bad_input_is_refused_and_changes_nothing(
    member: Client, database: Database, asked: dict[str, Any], code: int
) -> None:
    answer = await member.post(f"{BASE}/volumes", json={"volume": asked})
    assert answer.status_code == code, answer.text
    (fault,) = answer.json().values()
    assert fault["code"] == code
    assert fault["message"]
    assert (await member.get(f"{BASE}/volumes")).json()["volumes"] == []
    assert not any((await database.read(lambda tx: quotas.usage(tx, PROJECT))).values())


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"volume": []}', b'{"volume": {"size": NaN}}', b"\xff", b"[" * 5000]
)
async def test_a_body_that_is_no_request(member: Client, body: bytes) -> None:
    answer = await member.post(f"{BASE}/volumes", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "badRequest" in answer.json()


async def test_a_body_over_the_limit(member: Client) -> None:
    answer = await member.post(f"{BASE}/volumes", content=b" " * 300_000)
    assert answer.status_code == 413


@pytest.fixture
async def sources(member: Client, new_volume: New, database: Database) -> dict[str, str]:
    """A volume, a snapshot and an image, each of 3 GiB, and an image that wants 3 GiB, by the field that names one."""
    volume_id, snapshot_id, large, wants = await new_volume(size=3), new_id(), new_id(), new_id()

    def rows(tx: Tx) -> None:
        own = {"project_id": PROJECT, "user_id": "u" * 32}
        snapshots.add(tx, snapshot_id, volume_id=volume_id, status="available", size=3, metadata={}, **own)
        form = {"project_id": PROJECT, "status": "active", "visibility": "private", "disk_format": "raw",
                "container_format": "bare", "name": "one"}  # fmt: skip
        images.add(tx, large, file=large, size=1, virtual_size=3 << 30, **form)
        images.add(tx, wants, file=wants, size=1, virtual_size=1, min_disk=3, **form)

    await database.write(rows)
    return {"source_volid": volume_id, "snapshot_id": snapshot_id, "imageRef": large, "image_id": wants}


@pytest.mark.parametrize("field", ["source_volid", "snapshot_id", "imageRef", "image_id"])
async def test_a_volume_is_no_smaller_than_its_source(
    member: Client, sources: dict[str, str], field: str, database: Database
) -> None:
    before = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    for size in (1, 2, 0):
        answer = await member.post(f"{BASE}/volumes", json={"volume": {"size": size, field: sources[field]}})
        assert answer.status_code == 400
    assert await database.read(lambda tx: quotas.usage(tx, PROJECT)) == before
    assert len((await member.get(f"{BASE}/volumes")).json()["volumes"]) == 1
    assert (await make(member, size=3, **{field: sources[field]}))["size"] == 3
    assert (await make(member, size=None, **{field: sources[field]}))["size"] == 3


async def test_an_attached_volume_is_not_deleted(
    member: Client, admin: Client, new_volume: New, new_server: New, database: Database
) -> None:
    volume_id, server_id, plug_id = await new_volume(status="in-use"), await new_server(), new_id()
    values = {"project_id": PROJECT, "volume_id": volume_id, "server_id": server_id, "disk_index": 1,
              "status": "attached", "device": "/dev/sdb", "generation": 1}  # fmt: skip
    await database.write(lambda tx: attachments.add(tx, plug_id, **values))
    for query in ("", "?cascade=true", "?force=true"):
        answer = await member.delete(f"{BASE}/volumes/{volume_id}{query}")
        assert answer.status_code in (400, 403), answer.text
    assert (await admin.delete(f"{BASE}/volumes/{volume_id}?cascade=true")).status_code == 400
    shown = (await member.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]
    assert (shown["status"], shown["attachments"][0]["server_id"]) == ("in-use", server_id)


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "x" * 256}, {"name": "bell\u0007"}, {"name": "nul\u0000"}, {"name": 7}, {"description": "nul\u0000"},
        {"description": ["x"]}, {"metadata": {"k": 1}}, {"metadata": {"": "v"}}, {"metadata": {"k\u0007": "v"}},
        {"metadata": {"k": "v" * 256}}, {"metadata": []}, {"metadata": {str(i): "v" for i in range(200)}},
        {"display_name": "x" * 256}, {},
    ],
)  # fmt: skip
async def test_a_bad_change_changes_nothing(member: Client, asked: dict[str, Any]) -> None:
    made = await make(member, name="mine", description="d", metadata={"a": "b"})
    path = f"{BASE}/volumes/{made['id']}"
    answer = await member.put(path, json={"volume": asked})
    assert answer.status_code == 400, answer.text
    if "metadata" in asked:
        for method in ("POST", "PUT"):
            again = await member.request(method, f"{path}/metadata", json={"metadata": asked["metadata"]})
            assert again.status_code == 400, again.text
    shown = (await member.get(path)).json()["volume"]
    assert (shown["name"], shown["description"], shown["metadata"]) == ("mine", "d", {"a": "b"})


async def test_unknown_fields_pass_before_3_53(speaking_as: As) -> None:
    await make(speaking_as(version="3.52"), colour="red")


async def test_over_quota(member: Client, database: Database) -> None:
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, quota.GIGABYTES, 5))
    await make(member, size=4)
    answer = await member.post(f"{BASE}/volumes", json={"volume": {"size": 2}})
    assert answer.status_code == 413
    assert "gigabytes" in answer.json()["overLimit"]["message"]
    assert answer.headers["retry-after"]
    usage = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    assert (usage[quota.GIGABYTES], usage[quota.VOLUMES], usage[quota.DISK]) == (4, 1, 4 << 30)


async def test_another_project_does_not_see_it(member: Client, stranger: Client) -> None:
    made = await make(member)
    path = f"{BASE}/volumes/{made['id']}"
    for answer in (
        await stranger.get(path),
        await stranger.put(path, json={"volume": {"name": "mine"}}),
        await stranger.delete(path),
        await stranger.post(f"{path}/action", json={"os-extend": {"new_size": 2}}),
        await stranger.get(f"{path}/metadata"),
        await stranger.get(f"{BASE}/{PROJECT}/volumes"),
        await stranger.post(f"{BASE}/volumes", json={"volume": {"size": 1, "source_volid": made["id"]}}),
    ):
        assert answer.status_code == 404, answer.request.url
    assert (await stranger.get(f"{BASE}/volumes?all_tenants=1")).json()["volumes"] == []
    assert (await member.get(path)).json()["volume"]["name"] is None


async def test_a_reader_only_reads(speaking_as: As, member: Client) -> None:
    reader = speaking_as(PROJECT, "reader")
    made = await make(member)
    assert (await reader.get(f"{BASE}/volumes/{made['id']}")).status_code == 200
    assert (await reader.post(f"{BASE}/volumes", json={"volume": {"size": 1}})).status_code == 403
    assert (await reader.delete(f"{BASE}/volumes/{made['id']}")).status_code == 403
    nobody = speaking_as(PROJECT, "guest")
    assert (await nobody.get(f"{BASE}/volumes")).status_code == 403


async def test_without_a_token(member: Client) -> None:
    assert (await member.get(f"{BASE}/volumes", headers={"X-Auth-Token": ""})).status_code == 401
    assert (await member.get(f"{BASE}/volumes", headers={"X-Auth-Token": "garbage"})).status_code == 401


async def test_pages_go_through_everything_once(member: Client) -> None:
    made = [(await make(member, name=f"v{i % 3}"))["id"] for i in range(7)]
    for order in ("created_at:asc", "name:asc", "name:desc,created_at:asc", "size:desc"):
        seen: list[str] = []
        url: str | None = f"{BASE}/volumes?limit=2&sort={order}"
        while url:
            answer = (await member.get(url)).json()
            seen += [volume["id"] for volume in answer["volumes"]]
            links = answer.get("volumes_links", [])
            url = links[0]["href"].removeprefix("http://127.0.0.1:8774") if links else None
        assert sorted(seen) == sorted(made), order


async def test_a_full_page_has_a_link_also_when_it_is_the_last(member: Client) -> None:
    await make(member)
    answer = (await member.get(f"{BASE}/volumes?limit=1")).json()
    following = (await member.get(answer["volumes_links"][0]["href"].removeprefix("http://127.0.0.1:8774"))).json()
    assert following == {"volumes": []}


async def test_lists_are_filtered(member: Client, put: Callable[..., Any]) -> None:
    one = await make(member, name="one", metadata={"for": "mail"})
    await make(member, name="two", size=3)
    await put("volume", one["id"], status="available")

    async def names(query: str) -> list[str]:
        return [volume["name"] for volume in (await member.get(f"{BASE}/volumes/detail?{query}")).json()["volumes"]]

    assert await names("name=one") == ["one"]
    assert await names("status=available") == ["one"]
    assert await names("size=3") == ["two"]
    assert await names("name~=tw") == ["two"]
    assert await names("name~=%25") == []
    assert await names('metadata={"for": "mail"}') == ["one"]
    assert await names("metadata={'for': 'mail'}") == ["one"]
    assert (await member.get(f"{BASE}/volumes?with_count=true&limit=1")).json()["count"] == 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=-1", 400),
        ("limit=x", 400),
        ("offset=-2", 400),
        ("offset=2147483648", 400),
        ("sort=colour", 400),
        ("sort=name:up", 400),
        ("sort=name&sort_key=size", 400),
        ("marker=nobody", 404),
    ],
)
async def test_a_list_that_cannot_be_made(member: Client, query: str, code: int) -> None:
    for path in ("volumes", "volumes/detail", "snapshots", "types"):
        assert (await member.get(f"{BASE}/{path}?{query}")).status_code == code, path


async def test_an_admin_sees_all_projects_when_asked(admin: Client, stranger: Client) -> None:
    made = await make(stranger)
    assert (await admin.get(f"{BASE}/volumes")).json()["volumes"] == []
    everything = (await admin.get(f"{BASE}/volumes/detail?all_tenants=1")).json()["volumes"]
    assert [volume["id"] for volume in everything] == [made["id"]]
    assert (await admin.get(f"{BASE}/{OTHER}/volumes/{made['id']}")).status_code == 200


async def test_a_volume_changes_its_name_and_metadata(member: Client) -> None:
    path = f"{BASE}/volumes/{(await make(member))['id']}"
    changed = (await member.put(path, json={"volume": {"name": "new", "description": "text"}})).json()["volume"]
    assert (changed["name"], changed["description"]) == ("new", "text")
    assert (await member.put(path, json={"volume": {}})).status_code == 400
    await member.post(f"{path}/metadata", json={"metadata": {"a": "1", "b": "2"}})
    await member.put(f"{path}/metadata/c", json={"meta": {"c": "3"}})
    await member.delete(f"{path}/metadata/a")
    assert (await member.get(f"{path}/metadata")).json() == {"metadata": {"b": "2", "c": "3"}}
    assert (await member.delete(f"{path}/metadata/a")).status_code == 404
    await member.put(f"{path}/metadata", json={"metadata": {"z": "0"}})
    assert (await member.get(f"{path}/metadata/z")).json() == {"meta": {"z": "0"}}


async def test_only_a_steady_volume_is_deleted(member: Client, put: Callable[..., Any]) -> None:
    made = await make(member)
    path = f"{BASE}/volumes/{made['id']}"
    assert (await member.delete(path)).status_code == 400
    await put("volume", made["id"], status="available")
    assert (await member.delete(path)).status_code == 202
    assert (await member.get(path)).json()["volume"]["status"] == "deleting"
    assert (await member.delete(path)).status_code == 400
    assert (await member.delete(f"{BASE}/volumes/{NOBODY}")).status_code == 404


async def test_the_reason_of_an_error_is_shown(member: Client, put: Callable[..., Any]) -> None:
    made = await make(member)
    await put("volume", made["id"], status="error", reason="The pool is full.")
    shown = (await member.get(f"{BASE}/volumes/{made['id']}")).json()["volume"]
    assert shown["cyclades:reason"] == "The pool is full."
    await put("volume", made["id"], status="available", reason="The pool was full.")
    assert "cyclades:reason" not in (await member.get(f"{BASE}/volumes/{made['id']}")).json()["volume"]


async def test_extend(member: Client, speaking_as: As, put: Callable[..., Any], database: Database) -> None:
    made = await make(member, size=2)
    path = f"{BASE}/volumes/{made['id']}/action"
    await put("volume", made["id"], status="in-use")
    old = speaking_as(version="3.41")
    assert (await old.post(path, json={"os-extend": {"new_size": 4}})).status_code == 400
    await put("volume", made["id"], status="available")
    for bad in (0, 1, 2, "x", 10**9):
        answer = await member.post(path, json={"os-extend": {"new_size": bad}})
        assert answer.status_code == 400, bad
    assert (await database.read(lambda tx: quotas.usage(tx, PROJECT)))[quota.GIGABYTES] == 2
    assert (await member.post(path, json={"os-extend": {"new_size": 4}})).status_code == 202
    assert (await database.read(lambda tx: quotas.usage(tx, PROJECT)))[quota.GIGABYTES] == 4


@pytest.mark.parametrize(
    "body", [{}, {"os-dance": {}}, {"os-extend": {"new_size": 2}, "x": 1}, [], {"os-extend": None}]
)
async def test_no_such_action(member: Client, body: Any) -> None:
    made = await make(member)
    assert (await member.post(f"{BASE}/volumes/{made['id']}/action", json=body)).status_code == 400


async def test_unknown_paths_and_methods(member: Client) -> None:
    assert (await member.get(f"{BASE}/backups")).status_code == 404
    assert (await member.patch(f"{BASE}/volumes")).status_code == 405
    assert (await member.get(f"{BASE}/volumes/{'x' * 300}")).status_code == 404
    assert (await member.get(f"{BASE}/volumes/%00")).status_code == 404
    assert (await member.get(f"{BASE}/volumes?name=%00")).status_code == 400


async def test_version_documents(member: Client) -> None:
    every = await member.get("/volume")
    assert every.status_code == 300
    for path in (BASE, f"{BASE}/"):
        (version,) = (await member.get(path)).json()["versions"]
        assert (version["min_version"], version["version"]) == ("3.0", "3.71")


async def test_a_summary_of_what_a_project_has(member: Client, stranger: Client, speaking_as: As) -> None:
    path = f"{BASE}/volumes/summary"
    assert (await member.get(path)).json() == {"volume-summary": {"total_count": 0, "total_size": 0, "metadata": {}}}
    await make(member, size=2, metadata={"for": "mail", "a": "1"})
    await make(member, size=3, metadata={"for": "web", "a": "1"})
    await make(stranger, size=5, metadata={"for": "them"})
    metadata = {"a": ["1"], "for": ["mail", "web"]}
    total = {"total_count": 2, "total_size": 5}
    assert (await member.get(path)).json() == {"volume-summary": {**total, "metadata": metadata}}
    assert (await member.get(f"{path}?all_tenants=1")).json()["volume-summary"]["total_count"] == 2
    assert (await member.get(f"{path}?size=3")).json()["volume-summary"]["metadata"] == {"a": ["1"], "for": ["web"]}
    assert (await speaking_as(version="3.35").get(path)).json() == {"volume-summary": total}
    assert (await speaking_as(version="3.11").get(path)).status_code == 404
    everything = (await speaking_as(PROJECT, "admin").get(f"{path}?all_tenants=1")).json()["volume-summary"]
    assert (everything["total_count"], everything["total_size"]) == (3, 10)
    assert everything["metadata"]["for"] == ["mail", "them", "web"]


async def test_snapshots_are_deleted_with_their_volume_when_asked(
    member: Client, put: Callable[..., Any], database: Database
) -> None:
    made = await make(member)
    path = f"{BASE}/volumes/{made['id']}"
    await put("volume", made["id"], status="available")
    taken = await member.post(f"{BASE}/snapshots", json={"snapshot": {"volume_id": made["id"]}})
    snapshot = f"{BASE}/snapshots/{taken.json()['snapshot']['id']}"
    assert (await member.delete(f"{path}?cascade=true")).status_code == 400  # the snapshot is being made
    assert (await member.get(path)).json()["volume"]["status"] == "available"
    await put("snapshot", snapshot.rpartition("/")[2], status="available")
    for query in ("", "?cascade=false", "?cascade=0"):
        assert (await member.delete(f"{path}{query}")).status_code == 400, query
    assert (await member.delete(f"{path}?cascade=perhaps")).status_code == 400
    assert (await member.delete(f"{path}?cascade=true")).status_code == 202
    assert (await member.get(path)).json()["volume"]["status"] == "deleting"
    assert (await member.get(snapshot)).json()["snapshot"]["status"] == "deleting"
    assert (await member.delete(f"{path}?cascade=true")).status_code == 400


async def test_only_admins_delete_by_force(member: Client, admin: Client, speaking_as: As, new_volume: New) -> None:
    path = f"{BASE}/volumes/{await new_volume(status='maintenance')}"
    assert (await member.delete(f"{path}?force=true")).status_code == 403
    assert (await admin.delete(path)).status_code == 400
    old = speaking_as(PROJECT, "admin", version="3.22")
    assert (await old.delete(f"{path}?force=true")).status_code == 400  # there is no force yet
    assert (await admin.delete(f"{path}?force=perhaps")).status_code == 400
    assert (await admin.delete(f"{path}?force=true")).status_code == 202
    assert (await admin.get(path)).json()["volume"]["status"] == "deleting"


async def test_what_cannot_be_changed(
    member: Client, speaking_as: As, new_volume: New, put: Callable[..., Any]
) -> None:
    volume_id = await new_volume(name="old", metadata={"a": "b"})
    path = f"{BASE}/volumes/{volume_id}"
    for bad in ({"size": 2}, {"metadata": None}, {"metadata": {str(i): "v" for i in range(200)}}, {"name": 1}):
        assert (await member.put(path, json={"volume": bad})).status_code == 400, bad
    nothing = await speaking_as(version="3.52").put(path, json={"volume": {}})
    assert (nothing.status_code, nothing.json()["volume"]["name"]) == (200, "old")
    await put("volume", volume_id, status="maintenance")
    assert (await member.put(path, json={"volume": {"name": "new"}})).status_code == 400
    assert (await member.get(path)).json()["volume"]["name"] == "old"
