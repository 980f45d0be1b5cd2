"""/types, and what a project may have."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, Client
from tests.api.volume.test_volumes import BASE, make


async def create(admin: Client, **asked: Any) -> Any:
    return await admin.post(f"{BASE}/types", json={"volume_type": asked})


async def test_an_admin_makes_a_type_and_a_member_uses_it(admin: Client, member: Client) -> None:
    made = (await create(admin, name="fast", description="for mail", extra_specs={"cyclades:pool": "local"})).json()
    type_id = made["volume_type"]["id"]
    assert (await make(member, volume_type="fast"))["volume_type"] == "fast"
    assert (await make(member, volume_type=type_id))["volume_type"] == "fast"
    assert (await admin.delete(f"{BASE}/types/{type_id}")).status_code == 400
    assert {t["name"] for t in (await member.get(f"{BASE}/types")).json()["volume_types"]} == {"fast", "standard"}


async def test_a_private_type_is_the_admins(admin: Client, member: Client) -> None:
    made = (await create(admin, name="secret", **{"os-volume-type-access:is_public": False})).json()["volume_type"]
    assert (await member.get(f"{BASE}/types/{made['id']}")).status_code == 404
    answer = await member.post(f"{BASE}/volumes", json={"volume": {"size": 1, "volume_type": "secret"}})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("asked", "code", "word"),
    [
        ({"name": ""}, 400, "name"),
        ({"name": " "}, 400, "name"),
        ({"name": "standard"}, 409, "exists"),
        ({"name": "t", "extra_specs": {"cyclades:disk_template": "drbd"}}, 400, "drbd"),
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


async def test_extra_specs(admin: Client, member: Client) -> None:
    type_id = (await create(admin, name="fast")).json()["volume_type"]["id"]
    path = f"{BASE}/types/{type_id}/extra_specs"
    assert (await admin.post(path, json={"extra_specs": {"a": "1", "b": "2"}})).status_code == 200
    assert (await admin.put(f"{path}/a", json={"a": "3"})).json() == {"a": "3"}
    assert (await admin.put(f"{path}/a", json={"b": "3"})).status_code == 400
    assert (await admin.delete(f"{path}/b")).status_code == 202
    assert (await admin.delete(f"{path}/b")).status_code == 404
    assert (await admin.get(path)).json() == {"extra_specs": {"a": "3"}}
    assert (await member.post(path, json={"extra_specs": {"a": "4"}})).status_code == 403


async def test_the_default_type_stays(admin: Client) -> None:
    default = (await admin.get(f"{BASE}/types/default")).json()["volume_type"]
    assert default["name"] == "standard"
    assert (await admin.delete(f"{BASE}/types/{default['id']}")).status_code == 400


async def test_quota_sets_and_limits(admin: Client, member: Client) -> None:
    await make(member, size=3)
    path = f"{BASE}/os-quota-sets/{PROJECT}"
    changed = await admin.put(path, json={"quota_set": {"gigabytes": 9, "volumes_standard": 2, "backups": 0}})
    assert changed.json()["quota_set"]["gigabytes"] == 9
    usage = (await member.get(f"{path}?usage=true")).json()["quota_set"]
    assert usage["gigabytes"] == {"limit": 9, "in_use": 3, "reserved": 0}
    assert usage["volumes_standard"] == {"limit": 2, "in_use": 1, "reserved": 0}
    absolute = (await member.get(f"{BASE}/limits")).json()["limits"]["absolute"]
    assert (absolute["maxTotalVolumeGigabytes"], absolute["totalGigabytesUsed"]) == (9, 3)
    assert (await member.put(path, json={"quota_set": {"gigabytes": 90}})).status_code == 403
    assert (await member.get(f"{BASE}/os-quota-sets/{OTHER}")).status_code == 404
    assert (await admin.put(path, json={"quota_set": {"tapes": 1}})).status_code == 400
    assert (await admin.delete(path)).status_code == 200
    assert (await member.get(path)).json()["quota_set"]["gigabytes"] == 10_000
