"""/types: made, changed, filtered, and for whom; what a project's volumes get that name none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.api.client import client, token
from tests.api.volume.conftest import OTHER, PROJECT, As, Client
from tests.api.volume.test_volumes import BASE, make

from cyclades.api.volume import SERVICES
from cyclades.config import Settings
from cyclades.store.database import Database

NewType = Callable[..., Awaitable[str]]
PRIVATE = {"os-volume-type-access:is_public": False}


async def create(admin: Client, **asked: Any) -> Any:
    return await admin.post(f"{BASE}/types", json={"volume_type": asked})


@pytest.fixture
def new_type(admin: Client) -> NewType:
    async def make_type(name: str, **asked: Any) -> str:
        answer = await create(admin, name=name, **asked)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["volume_type"]["id"])

    return make_type


async def names(who: Client, query: str = "") -> list[str]:
    answer = await who.get(f"{BASE}/types?{query}")
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["volume_types"]]


async def test_an_admin_makes_a_type_and_a_member_uses_it(admin: Client, member: Client) -> None:
    made = (await create(admin, name="fast", description="for mail", extra_specs={"cyclades:pool": "local"})).json()
    type_id = made["volume_type"]["id"]
    assert (await make(member, volume_type="fast"))["volume_type"] == "fast"
    assert (await make(member, volume_type=type_id))["volume_type"] == "fast"
    assert (await admin.delete(f"{BASE}/types/{type_id}")).status_code == 400
    assert set(await names(member)) == {"fast", "standard"}


async def test_each_answer_has_what_cinders_has(admin: Client, member: Client, speaking_as: As) -> None:
    """Clients check them against closed schemas: they differ."""
    base = {"id", "name", "description", "is_public", "extra_specs"}
    access = "os-volume-type-access:is_public"
    made = (await create(admin, name="fast")).json()["volume_type"]
    path = f"{BASE}/types/{made['id']}"
    changed = (await admin.put(path, json={"volume_type": {"description": "new"}})).json()["volume_type"]
    assert set(made) == base | {access}
    assert set(changed) == base
    assert set((await admin.get(path)).json()["volume_type"]) == base | {access, "qos_specs_id"}
    assert set((await member.get(path)).json()["volume_type"]) == base | {access}
    assert set((await speaking_as(PROJECT, "reader").get(path)).json()["volume_type"]) == base


async def test_a_private_type_is_for_the_projects_that_it_names(
    admin: Client, member: Client, stranger: Client, new_type: NewType
) -> None:
    type_id = await new_type("secret", **PRIVATE)
    path = f"{BASE}/types/{type_id}"
    for who in (member, stranger):
        assert (await who.get(path)).status_code == 404
        assert (await who.get(f"{path}/extra_specs")).status_code == 404
        asked = {"size": 1, "volume_type": "secret"}
        assert (await who.post(f"{BASE}/volumes", json={"volume": asked})).status_code == 404
        assert await names(who) == ["standard"]
    give = {"addProjectAccess": {"project": PROJECT}}
    assert (await admin.post(f"{path}/action", json=give)).status_code == 202
    assert (await admin.post(f"{path}/action", json=give)).status_code == 409
    assert (await admin.get(f"{path}/os-volume-type-access")).json() == {
        "volume_type_access": [{"volume_type_id": type_id, "project_id": PROJECT}]
    }
    assert (await make(member, volume_type="secret"))["volume_type"] == "secret"
    assert await names(member) == ["secret", "standard"]
    assert (await member.get(path)).json()["volume_type"]["is_public"] is False
    assert (await stranger.get(path)).status_code == 404
    take = {"removeProjectAccess": {"project": PROJECT}}
    assert (await admin.post(f"{path}/action", json=take)).status_code == 202
    assert (await admin.post(f"{path}/action", json=take)).status_code == 404
    assert (await member.get(path)).status_code == 404


async def test_access_is_a_matter_of_private_types_and_of_admins(
    admin: Client, member: Client, new_type: NewType
) -> None:
    path = f"{BASE}/types/{await new_type('open')}"
    give = {"addProjectAccess": {"project": PROJECT}}
    assert (await admin.get(f"{path}/os-volume-type-access")).status_code == 404
    assert (await admin.post(f"{path}/action", json=give)).status_code == 400
    assert (await member.get(f"{path}/os-volume-type-access")).status_code == 403
    assert (await member.post(f"{path}/action", json=give)).status_code == 403
    secret = f"{BASE}/types/{await new_type('secret', **PRIVATE)}"
    for project, code in (("", 400), ("nobody", 404), (None, 400)):
        answer = await admin.post(f"{secret}/action", json={"addProjectAccess": {"project": project}})
        assert answer.status_code == code, project


@pytest.mark.parametrize(
    ("asked", "code", "word"),
    [
        ({"name": ""}, 400, "name"),
        ({"name": " "}, 400, "name"),
        ({"name": "standard"}, 409, "exists"),
        ({"name": "t", "extra_specs": {"cyclades:disk_template": "drbd", "cyclades:pool": "local"}}, 400, "drbd"),
        ({"name": "t", "extra_specs": {"cyclades:disk_template": "tape"}}, 400, "tape"),
        ({"name": "t", "extra_specs": {"cyclades:pool": "lake"}}, 400, "lake"),
        ({"name": "t", "extra_specs": {"multiattach": "<is> True"}}, 400, "multiattach"),
        ({"name": "t", "colour": "red"}, 400, "colour"),
    ],
)
async def test_a_type_that_nothing_could_serve_is_refused(
    admin: Client, asked: dict[str, Any], code: int, word: str
) -> None:
    answer = await create(admin, **asked)
    assert answer.status_code == code, answer.text
    assert word in answer.text


async def test_a_type_changes(admin: Client, member: Client, new_type: NewType) -> None:
    path = f"{BASE}/types/{await new_type('fast')}"
    for asked, code in (
        ({}, 400),
        ({"name": None, "description": None}, 400),
        ({"name": "  "}, 400),
        ({"name": "standard"}, 409),
        ({"is_public": "perhaps"}, 400),
        ({"extra_specs": {}}, 400),
    ):
        assert (await admin.put(path, json={"volume_type": asked})).status_code == code, asked
    assert (await member.put(path, json={"volume_type": {"name": "mine"}})).status_code == 403
    changed = {"name": "faster", "description": "d", "is_public": "false"}
    answer = (await admin.put(path, json={"volume_type": changed})).json()["volume_type"]
    assert (answer["name"], answer["description"], answer["is_public"]) == ("faster", "d", False)
    assert (await member.get(path)).status_code == 404


async def test_extra_specs(admin: Client, member: Client, new_type: NewType) -> None:
    path = f"{BASE}/types/{await new_type('fast')}/extra_specs"
    assert (await admin.post(path, json={"extra_specs": {"a": "1", "b": "2"}})).status_code == 200
    assert (await admin.put(f"{path}/a", json={"a": "3"})).json() == {"a": "3"}
    assert (await admin.put(f"{path}/a", json={"b": "3"})).status_code == 400
    assert (await admin.delete(f"{path}/b")).status_code == 202
    assert (await admin.delete(f"{path}/b")).status_code == 404
    assert (await admin.get(path)).json() == {"extra_specs": {"a": "3"}}
    assert (await member.post(path, json={"extra_specs": {"a": "4"}})).status_code == 403


async def test_users_see_the_extra_specs_that_are_for_them(admin: Client, member: Client, new_type: NewType) -> None:
    specs = {"cyclades:pool": "local", "multiattach": "<is> False", "RESKEY:availability_zones": "nova"}
    path = f"{BASE}/types/{await new_type('fast', extra_specs=specs)}"
    visible = {"multiattach": "<is> False", "RESKEY:availability_zones": "nova"}
    assert (await admin.get(path)).json()["volume_type"]["extra_specs"] == specs
    assert (await member.get(path)).json()["volume_type"]["extra_specs"] == visible
    assert (await member.get(f"{path}/extra_specs")).json() == {"extra_specs": visible}
    assert (await member.get(f"{path}/extra_specs/cyclades:pool")).status_code == 404
    assert await names(member, "extra_specs={'multiattach': '<is> False'}") == ["fast"]
    assert await names(member, "extra_specs={'cyclades:pool': 'local'}") == []
    assert await names(admin, "extra_specs={'cyclades:pool': 'local'}") == ["fast"]
    assert await names(member, "extra_specs={'RESKEY:availability_zones': 'nov'}") == ["fast"]


async def test_a_type_for_other_zones(member: Client, new_type: NewType) -> None:
    await new_type("far", extra_specs={"RESKEY:availability_zones": "mars, venus"})
    answer = await member.post(f"{BASE}/volumes", json={"volume": {"size": 1, "volume_type": "far"}})
    assert answer.status_code == 400
    assert "mars, venus" in answer.text


async def test_extra_specs_stay_while_volumes_have_the_type(
    admin: Client, member: Client, put: Callable[..., Any], new_type: NewType
) -> None:
    path = f"{BASE}/types/{await new_type('fast', extra_specs={'a': '1'})}/extra_specs"
    made = await make(member, volume_type="fast")
    for answer in (
        await admin.post(path, json={"extra_specs": {"b": "2"}}),
        await admin.put(f"{path}/a", json={"a": "2"}),
        await admin.delete(f"{path}/a"),
    ):
        assert answer.status_code == 400
        assert "in use" in answer.text
    await put("volume", made["id"], status="deleted", deleted_at=1)
    assert (await admin.delete(f"{path}/a")).status_code == 202


async def test_which_types_an_admin_lists(admin: Client, speaking_as: As, member: Client, new_type: NewType) -> None:
    own, others = await new_type("own", **PRIVATE), await new_type("others", **PRIVATE)
    for type_id, project in ((own, PROJECT), (others, OTHER)):
        await admin.post(f"{BASE}/types/{type_id}/action", json={"addProjectAccess": {"project": project}})
    assert await names(admin) == ["own", "standard"]
    assert await names(admin, "is_public=True") == ["own", "standard"]
    assert await names(admin, "is_public=False") == ["others", "own"]
    assert await names(admin, "is_public=None") == ["others", "own", "standard"]
    assert await names(member, "is_public=None") == ["own", "standard"]
    assert (await admin.get(f"{BASE}/types?is_public=perhaps")).status_code == 400
    assert await names(admin, "is_public=None&name=others") == ["others"]
    assert await names(admin, "colour=red") == []
    assert await names(speaking_as(version="3.51"), "colour=red") == ["own", "standard"]
    assert (await member.get(f"{BASE}/types?colour=red")).status_code == 400


async def test_pages_of_types(member: Client, new_type: NewType) -> None:
    for name in "cab":
        await new_type(name)
    assert await names(member, "sort=name:asc&limit=2") == ["a", "b"]
    first = (await member.get(f"{BASE}/types?sort=name:asc&limit=3")).json()
    (link,) = first["volume_type_links"]
    rest = (await member.get(link["href"].removeprefix("http://127.0.0.1:8774"))).json()
    assert [row["name"] for row in rest["volume_types"]] == ["standard"]
    assert "volume_type_links" not in rest


async def test_the_default_type_stays(admin: Client) -> None:
    default = (await admin.get(f"{BASE}/types/default")).json()["volume_type"]
    assert default["name"] == "standard"
    assert (await admin.delete(f"{BASE}/types/{default['id']}")).status_code == 400


async def test_a_project_has_a_default_of_its_own(
    admin: Client, member: Client, stranger: Client, new_type: NewType
) -> None:
    type_id = await new_type("fast")
    path = f"{BASE}/default-types/{PROJECT}"
    assert (await admin.get(path)).status_code == 404
    answer = await admin.put(path, json={"default_type": {"volume_type": "fast"}})
    assert answer.json() == {"default_type": {"project_id": PROJECT, "volume_type_id": type_id}}
    assert (await admin.get(path)).json() == answer.json()
    assert (await admin.get(f"{BASE}/default-types")).json() == {"default_types": [answer.json()["default_type"]]}
    assert (await member.get(f"{BASE}/types/default")).json()["volume_type"]["name"] == "fast"
    assert (await make(member))["volume_type"] == "fast"
    assert (await make(stranger))["volume_type"] == "standard"
    assert (await admin.delete(f"{BASE}/types/{type_id}")).status_code == 400
    assert (await admin.delete(path)).status_code == 204
    assert (await make(member))["volume_type"] == "standard"


async def test_what_cannot_be_a_projects_default(
    admin: Client, member: Client, speaking_as: As, new_type: NewType
) -> None:
    await new_type("secret", **PRIVATE)
    path = f"{BASE}/default-types"
    for project, name, code in ((PROJECT, "golden", 400), (PROJECT, "secret", 400), ("nobody", "standard", 404)):
        answer = await admin.put(f"{path}/{project}", json={"default_type": {"volume_type": name}})
        assert answer.status_code == code, (project, name)
    for client_ in (member, speaking_as(PROJECT, "reader")):
        assert (await client_.get(path)).status_code == 403
        assert (await client_.delete(f"{path}/{PROJECT}")).status_code == 403
    assert (await speaking_as(PROJECT, "admin", version="3.61").get(path)).status_code == 404


async def test_what_the_seed_shows_of_a_type_comes_when_asked(
    database: Database, settings: Settings, new_type: NewType
) -> None:
    path = f"{BASE}/types/{await new_type('fast')}"
    headers = {"X-Auth-Token": token(PROJECT), "X-Cyclades-Extras": "yes"}
    async with client(database, settings, SERVICES, **headers) as extra:
        shown = (await extra.get(path)).json()["volume_type"]
    assert (shown["SNF:disk_template"], shown["SNF:detachable"], shown["deleted"]) == ("ext_cyclades", True, False)


async def test_there_is_no_encryption_and_there_are_no_qos_specs(admin: Client, new_type: NewType) -> None:
    path = f"{BASE}/types/{await new_type('fast')}"
    assert (await admin.get(f"{path}/encryption")).json() == {}
    asked = {"encryption": {"provider": "luks", "control_location": "front-end"}}
    assert (await admin.post(f"{path}/encryption", json=asked)).status_code == 404
    for missing in ("qos-specs", "group_types", "groups", "backups", "consistencygroups", "cgsnapshots", "clusters"):
        assert (await admin.get(f"{BASE}/{missing}")).status_code == 404, missing
