"""Versions, limits, quotas, zones."""

from __future__ import annotations

from tests.api.compute.conftest import BASE, OTHER, PROJECT, As, Client


async def test_the_version_documents(member: Client) -> None:
    member.headers.pop("x-auth-token")
    for path in ("/compute", "/compute/"):
        versions = (await member.get(path)).json()["versions"]
        assert [(one["id"], one["min_version"], one["version"]) for one in versions] == [("v2.1", "2.1", "2.101")]
    for path in (BASE, f"{BASE}/"):
        version = (await member.get(path)).json()["version"]
        assert version["status"] == "CURRENT"
        assert version["links"][0]["href"].endswith("/compute/v2.1/")
    assert (await member.get(f"{BASE}/servers")).status_code == 401


async def test_a_project_in_the_path(member: Client) -> None:
    assert (await member.get(f"{BASE}/{PROJECT}/servers")).status_code == 200
    assert (await member.get(f"{BASE}/{OTHER}/servers")).status_code == 404


async def test_quotas_are_set_shown_and_forgotten(admin: Client, member: Client, stranger: Client) -> None:
    path = f"{BASE}/os-quota-sets/{PROJECT}"
    before = (await member.get(path)).json()["quota_set"]
    assert {"id", "instances", "cores", "ram", "key_pairs", "metadata_items"} <= set(before)
    set_now = await admin.put(path, json={"quota_set": {"instances": 3, "cores": "-1"}})
    assert (set_now.json()["quota_set"]["instances"], set_now.json()["quota_set"]["cores"]) == (3, -1)
    detail = (await member.get(f"{path}/detail")).json()["quota_set"]
    assert detail["instances"] == {"limit": 3, "in_use": 0, "reserved": 0}
    assert (await member.get(f"{path}/defaults")).json()["quota_set"]["instances"] == before["instances"]
    assert (await admin.delete(path)).status_code == 202
    assert (await member.get(path)).json()["quota_set"] == before
    assert (await member.put(path, json={"quota_set": {"instances": 9}})).status_code == 403
    assert (await stranger.get(path)).status_code == 403
    for wrong in ({"colour": 1}, {"instances": -2}, {"instances": "many"}, {"key_pairs": 7}, {"floating_ips": 1}):
        assert (await admin.put(path, json={"quota_set": wrong})).status_code == 400, wrong
    assert (await admin.get(f"{BASE}/os-quota-sets/nobody")).status_code == 400


async def test_limits_by_version(speaking_as: As) -> None:
    new = (await speaking_as().get(f"{BASE}/limits")).json()["limits"]["absolute"]
    old = (await speaking_as(version="2.1").get(f"{BASE}/limits")).json()["limits"]["absolute"]
    assert new["maxTotalInstances"] == old["maxTotalInstances"]
    assert {"maxPersonality", "maxImageMeta", "maxSecurityGroups"} <= set(old)
    assert not {"maxPersonality", "maxImageMeta", "maxSecurityGroups"} & set(new)


async def test_zones(member: Client, admin: Client) -> None:
    zones = (await member.get(f"{BASE}/os-availability-zone")).json()["availabilityZoneInfo"]
    assert zones == [{"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
    assert (await member.get(f"{BASE}/os-availability-zone/detail")).status_code == 403
    assert (await admin.get(f"{BASE}/os-availability-zone/detail")).status_code == 200
