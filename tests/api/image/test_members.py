"""Members of images: offered, accepted, refused, withdrawn; and who sees what of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.image.conftest import IMAGES, OTHER, PATCH, PROJECT, As, Client, make, refused, show

from cyclades.model import images as rules

THIRD = "d" * 32


async def offer(client: Client, image_id: str, project_id: str = OTHER) -> dict[str, Any]:
    answer = await client.post(f"{IMAGES}/{image_id}/members", json={"member": project_id})
    assert answer.status_code == 200, answer.text
    member: dict[str, Any] = answer.json()
    return member


async def reply(client: Client, image_id: str, status: str, project_id: str = OTHER) -> Any:
    return await client.put(f"{IMAGES}/{image_id}/members/{project_id}", json={"status": status})


async def listed(client: Client, query: str = "") -> list[str]:
    return [image["name"] for image in (await client.get(f"{IMAGES}?{query}")).json()["images"]]


async def test_an_offer_is_accepted_or_not(member: Client, stranger: Client) -> None:
    made = await make(member, name="ours")
    path = f"{IMAGES}/{made['id']}/members"
    refused(await stranger.get(f"{IMAGES}/{made['id']}"), 404)
    one = await offer(member, made["id"])
    assert (one["image_id"], one["member_id"], one["status"]) == (made["id"], OTHER, "pending")
    assert one["schema"] == "/v2/schemas/member"
    assert await show(stranger, made["id"]) == made  # whoever knows of it may use it
    assert await listed(stranger) == []
    assert await listed(stranger, "member_status=pending") == ["ours"]
    assert await listed(stranger, "visibility=shared&member_status=all") == ["ours"]
    assert await listed(stranger, "visibility=private&member_status=all") == []
    accepted = (await reply(stranger, made["id"], "accepted")).json()
    assert accepted == {**one, "status": "accepted", "updated_at": accepted["updated_at"]}
    assert (await member.get(path)).json() == {"members": [accepted], "schema": "/v2/schemas/members"}
    assert (await stranger.get(f"{path}/{OTHER}")).json() == accepted
    assert await listed(stranger) == ["ours"]
    await reply(stranger, made["id"], "rejected")
    assert await listed(stranger) == []
    assert await listed(stranger, "member_status=rejected") == ["ours"]
    assert await listed(member) == ["ours"]


async def test_an_offer_is_withdrawn(member: Client, stranger: Client) -> None:
    made = await make(member)
    await offer(member, made["id"])
    assert (await member.delete(f"{IMAGES}/{made['id']}/members/{OTHER}")).status_code == 204
    refused(await stranger.get(f"{IMAGES}/{made['id']}"), 404)
    refused(await member.delete(f"{IMAGES}/{made['id']}/members/{OTHER}"), 404)


async def test_only_the_owner_offers_and_only_the_member_answers(
    member: Client, stranger: Client, admin: Client
) -> None:
    made = await make(member)
    path = f"{IMAGES}/{made['id']}/members"
    refused(await stranger.post(path, json={"member": OTHER}), 404)
    await offer(member, made["id"])
    refused(await stranger.post(path, json={"member": THIRD}), 403)
    refused(await stranger.delete(f"{path}/{OTHER}"), 403)
    refused(await reply(member, made["id"], "accepted"), 403)
    assert (await reply(admin, made["id"], "accepted")).status_code == 200
    await offer(admin, made["id"], THIRD)
    assert len((await member.get(path)).json()["members"]) == 2


async def test_members_do_not_see_each_other(member: Client, stranger: Client, speaking_as: As) -> None:
    made = await make(member)
    path = f"{IMAGES}/{made['id']}/members"
    await offer(member, made["id"])
    await offer(member, made["id"], THIRD)
    assert [one["member_id"] for one in (await stranger.get(path)).json()["members"]] == [OTHER]
    refused(await stranger.get(f"{path}/{THIRD}"), 404)
    refused(await reply(stranger, made["id"], "accepted", THIRD), 404)
    nobody = speaking_as("e" * 32)
    refused(await nobody.get(path), 404)
    refused(await nobody.get(f"{path}/{OTHER}"), 404)


async def test_what_is_not_shared_has_no_members(member: Client, stranger: Client) -> None:
    made = await make(member)
    await offer(member, made["id"])
    private = [{"op": "replace", "path": "/visibility", "value": "private"}]
    assert (await member.patch(f"{IMAGES}/{made['id']}", json=private, headers=PATCH)).status_code == 200
    refused(await stranger.get(f"{IMAGES}/{made['id']}"), 404)
    path = f"{IMAGES}/{made['id']}/members"
    refused(await member.get(path), 403, "shared")
    refused(await member.post(path, json={"member": THIRD}), 403, "shared")
    refused(await member.delete(f"{path}/{OTHER}"), 403, "shared")


@pytest.mark.parametrize("body", [{}, {"member": ""}, {"member": None}, {"member": "a b"}, {"member": "a" * 65}])
async def test_a_bad_member_is_refused(member: Client, body: dict[str, Any]) -> None:
    made = await make(member)
    refused(await member.post(f"{IMAGES}/{made['id']}/members", json=body), 400)


async def test_an_answer_is_one_of_three(member: Client, stranger: Client) -> None:
    made = await make(member)
    await offer(member, made["id"])
    refused(await reply(stranger, made["id"], "perhaps"), 400)


async def test_nobody_is_a_member_twice_and_their_number_is_bounded(member: Client) -> None:
    made = await make(member)
    path = f"{IMAGES}/{made['id']}/members"
    await offer(member, made["id"])
    refused(await member.post(path, json={"member": OTHER}), 409)
    for i in range(1, rules.MOST_MEMBERS):
        await offer(member, made["id"], f"{i:032x}")
    refused(await member.post(path, json={"member": THIRD}), 413)


async def test_a_deleted_image_is_gone_for_its_members(member: Client, stranger: Client) -> None:
    made = await make(member)
    await offer(member, made["id"])
    assert (await member.delete(f"{IMAGES}/{made['id']}")).status_code == 204
    refused(await stranger.get(f"{IMAGES}/{made['id']}"), 404)


async def test_readers_only_read(member: Client, speaking_as: As) -> None:
    made = await make(member)
    await offer(member, made["id"])
    reader = speaking_as(PROJECT, "reader")
    assert (await reader.get(f"{IMAGES}/{made['id']}/members")).status_code == 200
    refused(await reader.delete(f"{IMAGES}/{made['id']}/members/{OTHER}"), 403)
    refused(await reply(speaking_as(OTHER, "reader"), made["id"], "accepted"), 403)


async def test_schemas(member: Client) -> None:
    for name in ("member", "members"):
        assert (await member.get(f"/image/v2/schemas/{name}")).json()["name"] == name
