"""Quota sets, the quota class, and limits: what is set is what holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, As, Client
from tests.api.volume.test_volumes import BASE, make

from cyclades.config import Quotas
from cyclades.model import quota
from cyclades.model.errors import OverQuota
from cyclades.store import quotas, volume_types
from cyclades.store.database import Database
from cyclades.store.schema import project

SETS = f"{BASE}/os-quota-sets"
OWN = f"{SETS}/{PROJECT}"
CLASS = f"{BASE}/os-quota-class-sets/default"


async def allow(admin: Client, **limits: Any) -> None:
    answer = await admin.put(OWN, json={"quota_set": limits})
    assert answer.status_code == 200, answer.text


async def test_quota_sets_and_limits(admin: Client, member: Client) -> None:
    await make(member, size=3)
    changed = await admin.put(OWN, json={"quota_set": {"gigabytes": 9, "volumes_standard": "2", "backups": 4}})
    assert changed.json()["quota_set"]["gigabytes"] == 9
    assert "id" not in changed.json()["quota_set"]
    usage = (await member.get(f"{OWN}?usage=true")).json()["quota_set"]
    assert usage["id"] == PROJECT
    assert usage["gigabytes"] == {"limit": 9, "in_use": 3, "reserved": 0}
    assert usage["volumes_standard"] == {"limit": 2, "in_use": 1, "reserved": 0}
    assert usage["snapshots_standard"] == {"limit": -1, "in_use": 0, "reserved": 0}
    assert usage["backups"] == {"limit": 4, "in_use": 0, "reserved": 0}
    absolute = (await member.get(f"{BASE}/limits")).json()["limits"]["absolute"]
    assert (absolute["maxTotalVolumeGigabytes"], absolute["totalGigabytesUsed"]) == (9, 3)
    assert (await member.put(OWN, json={"quota_set": {"gigabytes": 90}})).status_code == 403
    assert (await member.get(f"{SETS}/{OTHER}")).status_code == 404
    assert (await admin.delete(OWN)).status_code == 200
    assert (await member.get(OWN)).json()["quota_set"]["gigabytes"] == 10_000


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"tapes": 1},
        {"volumes_golden": 1},
        {"volumes": -2},
        {"volumes": "-2"},
        {"volumes": "many"},
        {"volumes": None},
        {"volumes": 1.5},
        {"volumes": 2**31},
        {"gigabytes": 5, "tapes": 1},
    ],
)
async def test_what_is_no_quota_changes_nothing(admin: Client, asked: dict[str, Any]) -> None:
    before = (await admin.get(OWN)).json()
    assert (await admin.put(OWN, json={"quota_set": asked})).status_code == 400
    assert (await admin.put(CLASS, json={"quota_class_set": asked})).status_code == 400
    assert (await admin.get(OWN)).json() == before


async def test_a_limit_is_not_set_below_what_is_there_unless_one_insists(admin: Client, member: Client) -> None:
    await make(member, size=3)
    for name in ("gigabytes", "gigabytes_standard"):
        answer = await admin.put(OWN, json={"quota_set": {"volumes": 7, name: 2}})
        assert answer.status_code == 400
        assert f"Quota {name} limit must be equal or greater" in answer.text
    assert (await member.get(OWN)).json()["quota_set"]["volumes"] == 100
    assert (await admin.put(f"{OWN}?skip_validation=null", json={"quota_set": {"gigabytes": 2}})).status_code == 400
    assert (await admin.put(f"{OWN}?skip_validation=True", json={"quota_set": {"gigabytes": 2}})).status_code == 200
    await allow(admin, gigabytes=-1)


async def test_over_quota_speaks_as_cinder_does(admin: Client, member: Client, put: Callable[..., Any]) -> None:
    made = await make(member, size=2)
    await put("volume", made["id"], status="available")

    async def refused(path: str, body: dict[str, Any]) -> str:
        answer = await member.post(f"{BASE}/{path}", json=body)
        assert answer.status_code == 413, answer.text
        return str(answer.json()["overLimit"]["message"])

    one = {"volume": {"size": 1}}
    await allow(admin, gigabytes=2)
    assert await refused("volumes", one) == (
        "Requested volume or snapshot exceeds allowed gigabytes quota. "
        "Requested 1G, quota is 2G and 2G has been consumed."
    )
    await refused("snapshots", {"snapshot": {"volume_id": made["id"]}})
    await refused(f"volumes/{made['id']}/action", {"os-extend": {"new_size": 3}})
    await allow(admin, gigabytes=-1, volumes=1)
    assert await refused("volumes", one) == "Maximum number of volumes allowed (1) exceeded for quota 'volumes'."
    await allow(admin, volumes=-1, volumes_standard=1)
    assert "'volumes_standard'" in await refused("volumes", one)
    await allow(admin, volumes_standard=-1, gigabytes_standard=2)
    assert "gigabytes_standard quota" in await refused("volumes", one)
    await allow(admin, gigabytes_standard=-1, snapshots_standard=0)
    assert "'snapshots_standard'" in await refused("snapshots", {"snapshot": {"volume_id": made["id"]}})
    await allow(admin, per_volume_gigabytes=2)
    too_large = "Requested volume size 3G is larger than maximum allowed limit 2G."
    assert await refused("volumes", {"volume": {"size": 3}}) == too_large
    assert await refused(f"volumes/{made['id']}/action", {"os-extend": {"new_size": 3}}) == too_large
    await make(member, size=2)


async def test_a_renamed_type_keeps_its_quotas_and_what_counts_there(
    admin: Client, member: Client, database: Database
) -> None:
    await make(member, size=2)
    await allow(admin, volumes_standard=3)
    await admin.put(CLASS, json={"quota_class_set": {"gigabytes_standard": 5}})
    (row,) = (await admin.get(f"{BASE}/types")).json()["volume_types"]
    await admin.put(f"{BASE}/types/{row['id']}", json={"volume_type": {"name": "plain"}})
    usage = (await member.get(f"{OWN}?usage=true")).json()["quota_set"]
    assert usage["volumes_plain"] == {"limit": 3, "in_use": 1, "reserved": 0}
    assert usage["gigabytes_plain"] == {"limit": 5, "in_use": 2, "reserved": 0}
    assert "volumes_standard" not in usage
    with pytest.raises(OverQuota) as over:
        await database.write(lambda tx: quotas.take(tx, Quotas(), PROJECT, quota.of_volume(4, type_id=row["id"])))
    assert over.value.resource == "gigabytes_plain"


async def test_a_type_that_is_gone_leaves_no_quotas(admin: Client, database: Database) -> None:
    made = (await admin.post(f"{BASE}/types", json={"volume_type": {"name": "fast"}})).json()["volume_type"]
    await allow(admin, volumes_fast=1)
    await admin.put(CLASS, json={"quota_class_set": {"snapshots_fast": 2}})
    assert (await admin.delete(f"{BASE}/types/{made['id']}")).status_code == 202
    again = (await admin.post(f"{BASE}/types", json={"volume_type": {"name": "fast"}})).json()["volume_type"]
    limits = (await admin.get(OWN)).json()["quota_set"]
    assert (limits["volumes_fast"], limits["snapshots_fast"]) == (-1, -1)
    assert made["id"] != again["id"]
    kept = await database.read(lambda tx: quotas.limits(tx, Quotas(), PROJECT))
    assert not [name for name in kept if made["id"] in name]


async def test_the_default_class_is_for_all_who_have_no_limit_of_their_own(
    admin: Client, member: Client, stranger: Client
) -> None:
    await allow(admin, gigabytes=50)
    asked = {"gigabytes": 7, "volumes_standard": 1, "per_volume_gigabytes": 6, "backups": 1}
    changed = (await admin.put(CLASS, json={"quota_class_set": asked})).json()["quota_class_set"]
    assert asked.items() <= changed.items()
    assert "id" not in changed
    shown = (await admin.get(CLASS)).json()["quota_class_set"]
    assert shown == {"id": "default", **changed}
    assert (await stranger.get(f"{SETS}/{OTHER}/defaults")).json()["quota_set"] == {"id": OTHER, **changed}
    assert (await member.get(OWN)).json()["quota_set"]["gigabytes"] == 50
    assert (await stranger.get(f"{SETS}/{OTHER}")).json()["quota_set"]["gigabytes"] == 7
    answer = await stranger.post(f"{BASE}/volumes", json={"volume": {"size": 7}})
    assert answer.status_code == 413
    await make(stranger, size=5)
    assert (await stranger.post(f"{BASE}/volumes", json={"volume": {"size": 1}})).status_code == 413


async def test_there_is_one_class_and_it_is_the_admins(admin: Client, member: Client) -> None:
    gold = f"{BASE}/os-quota-class-sets/gold"
    assert (await admin.get(gold)).status_code == 404
    assert (await admin.put(gold, json={"quota_class_set": {"volumes": 1}})).status_code == 404
    assert (await member.get(CLASS)).status_code == 403
    assert (await member.put(CLASS, json={"quota_class_set": {"volumes": 1}})).status_code == 403


async def test_limits_of_another_project(admin: Client, member: Client, stranger: Client, speaking_as: As) -> None:
    await make(stranger, size=4)

    async def used(who: Client, query: str) -> int:
        answer = (await who.get(f"{BASE}/limits?{query}")).json()["limits"]["absolute"]
        return int(answer["totalGigabytesUsed"])

    assert await used(admin, f"project_id={OTHER}") == 4
    assert await used(admin, f"tenant_id={OTHER}") == 4
    assert await used(speaking_as(PROJECT, "admin", version="3.38"), f"project_id={OTHER}") == 0
    assert await used(member, f"project_id={OTHER}") == 0


async def test_quotas_of_a_project_that_is_gone_can_be_forgotten(admin: Client, database: Database) -> None:
    await allow(admin, volumes=3)
    await database.write(lambda tx: tx.execute(project.delete().where(project.c.id == PROJECT)))
    assert (await admin.get(OWN)).status_code == 404
    assert (await admin.delete(OWN)).status_code == 200
    limits = await database.read(lambda tx: quotas.limits(tx, Quotas(), PROJECT))
    assert limits["volumes"] == 100
    assert await database.read(volume_types.living_names)
