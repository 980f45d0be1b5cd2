"""/v2/images: what is asked for, what comes back, and what is refused. Bytes are `test_data.py`'s."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.api.image.conftest import IMAGES, OTHER, PATCH, PROJECT, As, Client, make, put, refused, show

from cyclades.config import Settings
from cyclades.store import quotas
from cyclades.store.database import Database

NOBODY = "00000000-0000-4000-8000-000000000000"
Usage = Callable[[], Awaitable[dict[str, int]]]
Settle = Callable[[], Awaitable[None]]
# Glance's own keys, of which none may be missing and none be added.
KEYS = {"name", "disk_format", "container_format", "visibility", "size", "virtual_size", "status", "checksum",
        "protected", "min_ram", "min_disk", "owner", "os_hidden", "os_hash_algo", "os_hash_value", "id", "created_at",
        "updated_at", "tags", "self", "file", "schema"}  # fmt: skip


async def change(client: Client, image_id: str, *steps: dict[str, Any]) -> dict[str, Any]:
    answer = await client.patch(f"{IMAGES}/{image_id}", json=list(steps), headers=PATCH)
    assert answer.status_code == 200, answer.text
    image: dict[str, Any] = answer.json()
    return image


def replace(name: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": f"/{name}", "value": value}


async def names(client: Client, query: str = "") -> list[str]:
    answer = await client.get(f"{IMAGES}?{query}")
    assert answer.status_code == 200, answer.text
    return [image["name"] for image in answer.json()["images"]]


async def test_versions_are_said_without_a_token(member: Client) -> None:
    member.headers.pop("X-Auth-Token")
    for path, code in (("/image", 300), ("/image/", 300), ("/image/versions", 200)):
        answer = await member.get(path)
        assert answer.status_code == code
        versions = answer.json()["versions"]
        assert [version["status"] for version in versions].count("CURRENT") == 1
        for version in versions:
            assert re.fullmatch(r"v2\.\d+", version["id"])
            assert version["links"] == [{"rel": "self", "href": "http://127.0.0.1:8774/image/v2/"}]


async def test_an_image_is_made_and_shown(member: Client, usage: Usage) -> None:
    answer = await member.post(
        IMAGES,
        json={
            "name": "small", "disk_format": "raw", "container_format": "bare", "min_disk": 1, "min_ram": 64,
            "protected": True, "tags": ["a", "b", "a"], "hw_machine_type": "q35",
        },
    )  # fmt: skip
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"http://127.0.0.1:8774/image/v2/images/{made['id']}"
    assert made == await show(member, made["id"])
    assert set(made) == KEYS | {"hw_machine_type"}
    assert made["status"] == "queued"
    assert made["visibility"] == "shared"
    assert made["owner"] == PROJECT
    assert made["tags"] == ["a", "b"]
    assert made["min_disk"] == 1
    assert made["min_ram"] == 64
    assert made["protected"] is True
    assert made["os_hidden"] is False
    assert made["hw_machine_type"] == "q35"
    for name in ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"):
        assert made[name] is None
    for name in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made[name])
    assert made["file"] == f"/v2/images/{made['id']}/file"
    assert await usage() == {"images": 1}


async def test_a_client_may_choose_the_id_once(member: Client, stranger: Client, usage: Usage) -> None:
    made = await make(member, id=NOBODY)
    assert made["id"] == NOBODY
    refused(await stranger.post(IMAGES, json={"id": NOBODY}), 409, NOBODY)
    assert (await member.delete(f"{IMAGES}/{NOBODY}")).status_code == 204
    refused(await member.post(IMAGES, json={"id": NOBODY}), 409, NOBODY)
    assert await usage() == {}


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        (b"{", 400, "JSON"),
        (b"[]", 400, "object"),
        (b'"a"', 400, "object"),
        (b'{"name": 5}', 400, "name"),
        (b'{"name": "' + b"x" * 256 + b'"}', 400, "name"),
        (b'{"name": "a\\u0000b"}', 400, "NUL"),
        (b'{"name": "a\\nb"}', 400, "name"),
        (b'{"name": "\\ud800"}', 400, "JSON"),
        (b'{"disk_format": "vmdk"}', 400, "disk_format"),
        (b'{"container_format": "docker"}', 400, "container_format"),
        (b'{"visibility": "secret"}', 400, "visibility"),
        (b'{"visibility": null}', 400, "visibility"),
        (b'{"min_disk": -1}', 400, "min_disk"),
        (b'{"min_disk": "ten"}', 400, "min_disk"),
        (b'{"min_ram": 1e12}', 400, "min_ram"),
        (b'{"min_ram": true}', 400, "min_ram"),
        (b'{"protected": "maybe"}', 400, "protected"),
        (b'{"tags": "a"}', 400, "tags"),
        (b'{"tags": ["' + b"x" * 256 + b'"]}', 400, "tags"),
        (b'{"tags": [""]}', 400, "tags"),
        (b'{"id": "not-a-uuid"}', 400, "id"),
        (b'{"colour": 5}', 400, "colour"),
        (b'{"colour": {"deep": "x"}}', 400, "colour"),
        (b'{"' + b"x" * 256 + b'": "a"}', 400, ""),
        (b'{"": "a"}', 400, ""),
        (b'{"size": 5}', 403, "size"),
        (b'{"status": "active"}', 403, "status"),
        (b'{"checksum": "0"}', 403, "checksum"),
        (b'{"locations": []}', 403, "locations"),
        (b'{"deleted": true}', 403, "deleted"),
        (b'{"os_glance_stage": "x"}', 403, "os_glance_stage"),
        (b'{"visibility": "public"}', 403, "public"),
        (b'{"owner": "%s"}' % OTHER.encode(), 403, "project"),
        (b'{"a": "' + b"x" * 70000 + b'"}', 413, "characters"),
        (b'{"a": "' + b"x" * 300000 + b'"}', 413, "larger"),
    ],
)  # fmt: skip
async def test_bad_images_are_refused_and_nothing_is_made(
    member: Client, usage: Usage, body: bytes, code: int, word: str
) -> None:
    refused(await member.post(IMAGES, content=body, headers={"Content-Type": "application/json"}), code, word)
    assert await names(member) == []
    assert await usage() == {}


async def test_properties_are_bounded_in_number(member: Client, settings: Settings) -> None:
    most = settings.limits.metadata_items
    made = await make(member, **{f"p{i}": "" for i in range(most)})
    refused(await member.post(IMAGES, json={f"p{i}": "" for i in range(most + 1)}), 413, str(most))
    answer = await member.patch(
        f"{IMAGES}/{made['id']}", json=[{"op": "add", "path": "/more", "value": "x"}], headers=PATCH
    )
    refused(answer, 413, str(most))
    assert await show(member, made["id"]) == made


async def test_the_number_of_images_has_a_quota(member: Client, database: Database, usage: Usage) -> None:
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "images", 1))
    made = await make(member)
    refused(await member.post(IMAGES, json={}), 413, "images")
    assert await usage() == {"images": 1}
    await member.delete(f"{IMAGES}/{made['id']}")
    await make(member)


async def test_roles(speaking_as: As, member: Client) -> None:
    made = await make(member)
    reader = speaking_as(PROJECT, "reader")
    assert (await show(reader, made["id"])) == made
    refused(await reader.post(IMAGES, json={}), 403)
    refused(await reader.patch(f"{IMAGES}/{made['id']}", json=[], headers=PATCH), 403)
    refused(await reader.delete(f"{IMAGES}/{made['id']}"), 403)
    refused(await put(reader, made["id"], b"x"), 403)
    refused(await reader.get(IMAGES, headers={"X-Auth-Token": ""}), 401)


async def test_an_image_of_another_project_is_not_there(member: Client, stranger: Client, admin: Client) -> None:
    for visibility in ("shared", "private"):
        made = await make(member, visibility=visibility, name="mine")
        path = f"{IMAGES}/{made['id']}"
        for answer in (
            await stranger.get(path),
            await stranger.get(f"{path}/file"),
            await stranger.patch(path, json=[replace("name", "x")], headers=PATCH),
            await put(stranger, made["id"], b"x" * 512),
            await stranger.put(f"{path}/tags/x"),
            await stranger.delete(f"{path}/tags/x"),
            await stranger.delete(path),
        ):
            refused(answer, 404, made["id"])
        assert await show(member, made["id"]) == made
        assert await show(admin, made["id"]) == made
    assert await names(stranger, "visibility=all") == []
    assert await names(admin) == ["mine", "mine"]


async def test_public_and_community_images_are_seen_and_not_changed(
    member: Client, stranger: Client, admin: Client
) -> None:
    public = await make(admin, visibility="public", name="public")
    community = await make(member, visibility="community", name="community")
    assert await names(stranger) == ["public"]
    assert await names(stranger, "visibility=community") == ["community"]
    assert await names(stranger, "visibility=all&sort=name:asc") == ["community", "public"]
    assert await names(member, "sort=name:asc") == ["community", "public"]
    for made in (public, community):
        path = f"{IMAGES}/{made['id']}"
        assert await show(stranger, made["id"]) == made
        refused(await stranger.patch(path, json=[replace("name", "x")], headers=PATCH), 403)
        refused(await put(stranger, made["id"], b"x"), 403)
        refused(await stranger.put(f"{path}/tags/x"), 403)
        refused(await stranger.delete(path), 403)
        assert await show(stranger, made["id"]) == made


async def test_changes(member: Client) -> None:
    made = await make(member, name="old", a="1", b="2")
    changed = await change(
        member,
        made["id"],
        replace("name", "new"),
        replace("min_disk", 3),
        replace("os_hidden", True),
        replace("visibility", "private"),
        replace("tags", ["x", "x", "y"]),
        replace("a", "3"),
        {"op": "remove", "path": "/b"},
        {"op": "add", "path": "/c~1d~0", "value": "4"},
    )
    made.pop("b")
    expected = made | {
        "name": "new", "min_disk": 3, "os_hidden": True, "visibility": "private", "tags": ["x", "y"], "a": "3",
        "c/d~": "4", "updated_at": changed["updated_at"],
    }  # fmt: skip
    assert changed == expected
    assert await show(member, made["id"]) == expected


async def test_the_older_form_of_a_patch(member: Client) -> None:
    made = await make(member, a="1")
    answer = await member.patch(
        f"{IMAGES}/{made['id']}",
        json=[{"replace": "/name", "value": "new"}, {"remove": "/a"}, {"add": "/b", "value": "2"}],
        headers={"Content-Type": "application/openstack-images-v2.0-json-patch"},
    )
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["name"], changed["b"], "a" in changed) == ("new", "2", False)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("a", 400),
        ({}, 400),
        ({"op": "move", "path": "/name", "from": "/a"}, 400),
        ({"op": "replace", "path": "name", "value": "x"}, 400),
        ({"op": "replace", "path": "/", "value": "x"}, 400),
        ({"op": "replace", "path": "/tags/0", "value": "x"}, 400),
        ({"op": "replace", "path": "/~2", "value": "x"}, 400),
        ({"op": "replace", "path": 5, "value": "x"}, 400),
        ({"op": "replace", "path": "/name"}, 400),
        ({"op": "replace", "path": "/name", "value": 5}, 400),
        ({"op": "replace", "path": "/min_disk", "value": "1"}, 400),
        ({"op": "replace", "path": "/visibility", "value": "secret"}, 400),
        ({"op": "replace", "path": "/owner", "value": None}, 400),
        ({"op": "add", "path": "/a", "value": 5}, 400),
        ({"op": "add", "path": "/" + "x" * 256, "value": "5"}, 400),
        ({"op": "replace", "path": "/status", "value": "active"}, 403),
        ({"op": "replace", "path": "/size", "value": 1}, 403),
        ({"op": "replace", "path": "/id", "value": NOBODY}, 403),
        ({"op": "add", "path": "/locations", "value": []}, 403),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
        ({"op": "replace", "path": "/owner", "value": OTHER}, 403),
        ({"op": "replace", "path": "/missing", "value": "x"}, 409),
        ({"op": "remove", "path": "/missing"}, 409),
        ({"op": "add", "path": "/a", "value": "x" * 70000}, 413),
    ],
)
async def test_a_bad_step_undoes_the_whole_change(member: Client, step: Any, code: int) -> None:
    made = await make(member, name="old")
    path = f"{IMAGES}/{made['id']}"
    refused(await member.patch(path, json=[replace("name", "new"), step], headers=PATCH), code)
    assert await show(member, made["id"]) == made


async def test_a_patch_needs_its_own_media_type(member: Client) -> None:
    made = await make(member)
    for media in ("application/json", "application/json-patch+json", "text/html"):
        answer = await member.patch(f"{IMAGES}/{made['id']}", json=[], headers={"Content-Type": media})
        refused(answer, 415)


async def test_an_admin_gives_an_image_away_and_its_quota_with_it(
    member: Client, admin: Client, database: Database, usage: Usage
) -> None:
    made = await make(member)
    assert (await put(member, made["id"], b"x" * 512)).status_code == 204
    await database.write(lambda tx: quotas.set_limit(tx, OTHER, "image_bytes", 511))
    path = f"{IMAGES}/{made['id']}"
    refused(await admin.patch(path, json=[replace("owner", OTHER)], headers=PATCH), 413, "image_bytes")
    assert await usage() == {"images": 1, "image_bytes": 512}
    await database.write(lambda tx: quotas.set_limit(tx, OTHER, "image_bytes", 512))
    assert (await change(admin, made["id"], replace("owner", OTHER)))["owner"] == OTHER
    assert await usage() == {}
    others = await database.read(lambda tx: quotas.usage(tx, OTHER))
    assert (others["images"], others["image_bytes"]) == (1, 512)


async def test_tags(member: Client) -> None:
    made = await make(member, tags=["a"])
    path = f"{IMAGES}/{made['id']}"
    for _ in range(2):
        assert (await member.put(f"{path}/tags/b")).status_code == 204
    assert (await show(member, made["id"]))["tags"] == ["a", "b"]
    assert (await member.delete(f"{path}/tags/a")).status_code == 204
    refused(await member.delete(f"{path}/tags/a"), 404)
    refused(await member.put(f"{path}/tags/c%16c"), 400, "tag")  # as in the bodies
    assert (await show(member, made["id"]))["tags"] == ["b"]
    for i in range(127):
        await member.put(f"{path}/tags/{i}")
    refused(await member.put(f"{path}/tags/more"), 413)


async def test_a_deactivated_image_is_out_of_use(member: Client, admin: Client, stranger: Client) -> None:
    made = await make(member, visibility="community")
    path = f"{IMAGES}/{made['id']}"
    refused(await member.post(f"{path}/actions/deactivate"), 403, "queued")
    await put(member, made["id"], b"x" * 512)
    refused(await stranger.post(f"{path}/actions/deactivate"), 403)
    for _ in range(2):
        assert (await member.post(f"{path}/actions/deactivate")).status_code == 204
    assert (await show(member, made["id"]))["status"] == "deactivated"
    refused(await member.get(f"{path}/file"), 403, "deactivated")
    assert (await admin.get(f"{path}/file")).content == b"x" * 512
    refused(await put(member, made["id"], b"y" * 512), 409)
    assert (await member.post(f"{path}/actions/reactivate")).status_code == 204
    assert (await member.get(f"{path}/file")).content == b"x" * 512
    assert (await show(member, made["id"]))["status"] == "active"


async def test_a_protected_image_stays(member: Client) -> None:
    made = await make(member, protected=True)
    refused(await member.delete(f"{IMAGES}/{made['id']}"), 403, "protected")
    await change(member, made["id"], replace("protected", False))
    assert (await member.delete(f"{IMAGES}/{made['id']}")).status_code == 204


async def test_a_deleted_image_is_gone_at_once_and_its_file_soon(
    member: Client, usage: Usage, files: Callable[[], list[Path]], settle: Settle
) -> None:
    made = await make(member)
    await put(member, made["id"], b"x" * 512)
    assert len(files()) == 1
    assert (await member.delete(f"{IMAGES}/{made['id']}")).status_code == 204
    refused(await member.get(f"{IMAGES}/{made['id']}"), 404)
    refused(await member.delete(f"{IMAGES}/{made['id']}"), 404)
    assert await names(member) == []
    assert await usage() == {}
    await settle()
    assert files() == []


async def test_pages(member: Client) -> None:
    for name in "abcde":
        await make(member, name=name)
    found: list[str] = []
    path: str | None = "/v2/images?limit=2&sort=name:asc"
    pages = 0
    while path is not None:
        answer = (await member.get(f"/image{path}")).json()
        assert answer["first"] == "/v2/images?limit=2&sort=name%3Aasc"
        assert answer["schema"] == "/v2/schemas/images"
        found += [image["name"] for image in answer["images"]]
        path = answer.get("next")
        pages += 1
    assert found == list("abcde")
    assert pages == 3
    assert await names(member) == list("edcba")
    assert await names(member, "sort_key=name&sort_dir=asc") == list("abcde")
    assert await names(member, "sort_key=status&sort_dir=asc&sort_key=name&sort_dir=desc") == list("edcba")
    assert await names(member, "limit=0") == []


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=ten", f"marker={NOBODY}", "marker=x", "sort_key=colour", "sort=name:up",
     "sort=name&sort_key=id", "visibility=secret", "member_status=perhaps", "protected=perhaps", "os_hidden=perhaps",
     "size_min=-1", "size_max=lots", "min_disk=x", "created_at=yesterday", "created_at=gt:",
     "created_at=gt:99999-01-01", "name=in:%22open", "a%00=b", "a=%00"],
)  # fmt: skip
async def test_bad_queries_are_refused(member: Client, query: str) -> None:
    refused(await member.get(f"{IMAGES}?{query}"), 400)


async def test_filters(member: Client, speaking_as: As) -> None:
    await make(member, name="a", tags=["x", "y"], protected=True, min_ram=64, colour="red", **{"od'd \"k": "it's"})
    await make(member, name="b,c", tags=["y"], disk_format="qcow2", colour="blue", visibility="private")
    await make(member, name="hidden", os_hidden=True)
    filled = await make(member, name="filled")
    await put(member, filled["id"], b"x" * 1024)
    filled = await show(member, filled["id"])
    for query, expected in {
        "": ["a", "b,c", "filled"],
        "os_hidden=true": ["hidden"],
        "os_hidden=False": ["a", "b,c", "filled"],
        "name=a": ["a"],
        "name=in:a,filled": ["a", "filled"],
        "name=in:%22b,c%22,a": ["a", "b,c"],
        f"id={filled['id']}": ["filled"],
        f"id=in:{filled['id']},{NOBODY}": ["filled"],
        "status=active": ["filled"],
        "status=in:active,queued": ["a", "b,c", "filled"],
        "status=deleted": [],
        "disk_format=qcow2": ["b,c"],
        "container_format=bare": ["a", "b,c", "filled"],
        f"checksum={filled['checksum']}": ["filled"],
        "visibility=private": ["b,c"],
        "visibility=shared": ["a", "filled"],
        "visibility=public": [],
        "member_status=all": ["a", "b,c", "filled"],
        f"owner={PROJECT}": ["a", "b,c", "filled"],
        f"owner={OTHER}": [],
        "protected=True": ["a"],
        "min_ram=64": ["a"],
        "size_min=1024": ["filled"],
        "size_min=1025": [],
        "size_max=1024": ["filled"],
        "size=1024": ["filled"],
        "tag=y": ["a", "b,c"],
        "tag=x&tag=y": ["a"],
        "colour=red": ["a"],
        "colour=red&tag=y": ["a"],
        "od'd%20%22k=it's": ["a"],
        "missing=red": [],
        f"created_at={filled['created_at']}&name=filled": ["filled"],
        f"updated_at=gte:{filled['updated_at']}&name=filled": ["filled"],
        f"created_at=gt:{filled['created_at']}": [],
        "created_at=lt:2020-01-01T00:00:00Z": [],
        "created_at=neq:2020-01-01": ["a", "b,c", "filled"],
    }.items():
        assert sorted(await names(member, query)) == expected, query


async def test_schemas(member: Client) -> None:
    schema = (await member.get("/image/v2/schemas/image")).json()
    assert set(schema["properties"]) == KEYS | {"direct_url"}
    assert schema["name"] == "image"
    assert schema["properties"]["status"]["readOnly"] is True
    several = (await member.get("/image/v2/schemas/images")).json()
    assert set(several["properties"]) == {"images", "first", "next", "schema"}


async def test_what_is_not_there_is_404(member: Client) -> None:
    for path in (f"{IMAGES}/{NOBODY}", f"{IMAGES}/x", "/image/v2/tasks", "/image/v1/images", "/image/v2/schemas/x"):
        refused(await member.get(path), 404)
    refused(await member.post("/image/versions", json={}), 405)
