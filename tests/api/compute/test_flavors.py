"""/flavors"""

from __future__ import annotations

from typing import Any

from tests.api.compute.conftest import BASE, OTHER, PROJECT, As, Client

NEW = {"name": "big", "ram": 2048, "vcpus": "4", "disk": 0}


async def make(admin: Client, **more: Any) -> Any:
    return await admin.post(f"{BASE}/flavors", json={"flavor": {**NEW, **more}})


async def test_a_flavor_is_made_shown_and_deleted(admin: Client, member: Client) -> None:
    answer = await make(admin, id="7", description="large")
    assert answer.status_code == 200, answer.text
    made = answer.json()["flavor"]
    assert made == (await member.get(f"{BASE}/flavors/7")).json()["flavor"]
    assert (made["vcpus"], made["ram"], made["disk"], made["swap"], made["extra_specs"]) == (4, 2048, 0, 0, {})
    assert [one["id"] for one in (await member.get(f"{BASE}/flavors")).json()["flavors"]] == ["1", "7"]
    assert (await make(admin, id="7", name="other")).status_code == 409
    assert (await make(admin, id="8")).status_code == 409
    assert (await admin.delete(f"{BASE}/flavors/7")).status_code == 202
    assert (await member.get(f"{BASE}/flavors/7")).status_code == 404
    assert (await make(admin, id="7")).status_code == 200


async def test_what_is_refused(admin: Client, member: Client) -> None:
    for wrong in (
        {"ram": 0},
        {"vcpus": "many"},
        {"disk": -1},
        {"colour": "red"},
        {"name": ""},
        {"swap": 5},
        {"ram": 1e12},
    ):
        assert (await make(admin, **wrong)).status_code == 400, wrong
    assert (await make(member)).status_code == 403
    assert (await member.delete(f"{BASE}/flavors/1")).status_code == 403


async def test_private_flavors_are_for_admins(admin: Client, member: Client) -> None:
    assert (await make(admin, id="p", **{"os-flavor-access:is_public": False})).status_code == 200
    assert (await member.get(f"{BASE}/flavors/p")).status_code == 404
    for query, found in (("", ["1"]), ("?is_public=None", ["1", "p"]), ("?is_public=False", ["p"])):
        answer = await admin.get(f"{BASE}/flavors/detail{query}")
        assert [one["id"] for one in answer.json()["flavors"]] == found
    assert [one["id"] for one in (await member.get(f"{BASE}/flavors?is_public=None")).json()["flavors"]] == ["1"]


async def test_pages_and_filters(admin: Client, member: Client) -> None:
    await make(admin, id="2")
    page = (await member.get(f"{BASE}/flavors?limit=1")).json()
    assert [one["id"] for one in page["flavors"]] == ["1"]
    following = (await member.get(page["flavors_links"][0]["href"])).json()
    assert [one["id"] for one in following["flavors"]] == ["2"]
    assert [one["id"] for one in (await member.get(f"{BASE}/flavors?minRam=1000")).json()["flavors"]] == ["2"]
    assert (await member.get(f"{BASE}/flavors?sort_key=memory_mb&sort_dir=desc")).json()["flavors"][0]["id"] == "2"


async def test_fields_appear_with_their_microversion(speaking_as: As) -> None:
    for minor, field in ((55, "description"), (61, "extra_specs")):
        new = await speaking_as(version=f"2.{minor}").get(f"{BASE}/flavors/1")
        old = await speaking_as(version=f"2.{minor - 1}").get(f"{BASE}/flavors/1")
        assert field in new.json()["flavor"]
        assert field not in old.json()["flavor"]


async def test_extra_specs(admin: Client, member: Client) -> None:
    path = f"{BASE}/flavors/1/os-extra_specs"
    added = {"extra_specs": {"cyclades:volume_type": "fast", "n": 2}}
    assert (await admin.post(path, json=added)).json() == {"extra_specs": {"cyclades:volume_type": "fast", "n": "2"}}
    assert (await member.get(path)).json()["extra_specs"] == {"a": "b", "cyclades:volume_type": "fast", "n": "2"}
    assert (await admin.put(f"{path}/n", json={"n": "3"})).json() == {"n": "3"}
    assert (await admin.put(f"{path}/n", json={"m": "3"})).status_code == 400
    assert (await member.get(f"{path}/n")).json() == {"n": "3"}
    assert (await admin.delete(f"{path}/n")).status_code == 200
    assert (await admin.delete(f"{path}/n")).status_code == 404
    assert (await member.post(path, json=added)).status_code == 403


async def test_a_description_is_changed_from_2_55(speaking_as: As) -> None:
    body = {"flavor": {"description": "new"}}
    admin = speaking_as("a" * 32, "admin")
    assert (await admin.put(f"{BASE}/flavors/1", json=body)).json()["flavor"]["description"] == "new"
    assert (await speaking_as("a" * 32, "admin", version="2.54").put(f"{BASE}/flavors/1", json=body)).status_code == 404


async def test_a_private_flavor_is_for_those_who_have_access(admin: Client, member: Client, stranger: Client) -> None:
    assert (await make(admin, id="p", **{"os-flavor-access:is_public": False})).status_code == 200
    action, given = f"{BASE}/flavors/p/action", {"flavor_id": "p", "tenant_id": PROJECT}
    answer = await admin.post(action, json={"addTenantAccess": {"tenant": PROJECT}})
    assert (answer.status_code, answer.json()) == (200, {"flavor_access": [given]})
    assert (await admin.get(f"{BASE}/flavors/p/os-flavor-access")).json() == {"flavor_access": [given]}
    assert (await member.get(f"{BASE}/flavors/p")).status_code == 200
    assert [one["id"] for one in (await member.get(f"{BASE}/flavors")).json()["flavors"]] == ["1", "p"]
    assert (await stranger.get(f"{BASE}/flavors/p")).status_code == 404
    assert (await admin.post(action, json={"addTenantAccess": {"tenant": PROJECT}})).status_code == 409
    assert (await admin.post(action, json={"addTenantAccess": {"tenant": "nobody"}})).status_code == 400
    assert (await admin.post(action, json={"removeTenantAccess": {"tenant": OTHER}})).status_code == 404
    answer = await admin.post(action, json={"removeTenantAccess": {"tenant": PROJECT}})
    assert answer.json() == {"flavor_access": []}
    assert (await member.get(f"{BASE}/flavors/p")).status_code == 404
    assert (await member.post(action, json={"addTenantAccess": {"tenant": PROJECT}})).status_code == 403
    # Those of an earlier flavor of the same id have none.
    await admin.post(action, json={"addTenantAccess": {"tenant": OTHER}})
    await admin.delete(f"{BASE}/flavors/p")
    await make(admin, id="p", **{"os-flavor-access:is_public": False})
    assert (await admin.get(f"{BASE}/flavors/p/os-flavor-access")).json() == {"flavor_access": []}


async def test_access_to_a_public_flavor(admin: Client) -> None:
    assert (await admin.get(f"{BASE}/flavors/1/os-flavor-access")).status_code == 404
    body = {"addTenantAccess": {"tenant": PROJECT}}
    assert (await admin.post(f"{BASE}/flavors/1/action", json=body)).status_code == 409
