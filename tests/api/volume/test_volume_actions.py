"""What a project does with its volumes: the read-only flag, and giving one to another project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.volume.conftest import OTHER, PROJECT, As, Client, New
from tests.api.volume.test_admin_actions import act
from tests.api.volume.test_snapshots import take
from tests.api.volume.test_volumes import BASE, make

from cyclades.model import quota
from cyclades.store import assignments, quotas, roles, users
from cyclades.store import schema as t
from cyclades.store.database import Database, Tx

USER = "u" * 32
Joins = Callable[..., Awaitable[None]]


@pytest.fixture
async def joins(database: Database, speaking_as: As) -> Joins:
    """Gives the user of all clients a role in a project."""

    def add(tx: Tx) -> None:
        users.add(tx, USER, domain_id="default", name="ada")
        for name in ("member", "reader"):
            roles.add(tx, f"{name:0<32}", name=name)

    await database.write(add)

    async def join(project_id: str, role: str = "member") -> None:
        await database.write(lambda tx: assignments.add(tx, USER, "project", project_id, f"{role:0<32}"))

    return join


async def test_the_flag_shows_once_somebody_has_set_it(member: Client, new_volume: New) -> None:
    volume_id = await new_volume(metadata={"a": "b"})
    path = f"{BASE}/volumes/{volume_id}"
    assert (await member.get(path)).json()["volume"]["metadata"] == {"a": "b"}
    for asked, shown in ((True, "True"), ("false", "False")):
        answer = await act(member, volume_id, "os-update_readonly_flag", {"readonly": asked})
        assert (answer.status_code, answer.content) == (202, b"")
        assert (await member.get(path)).json()["volume"]["metadata"] == {"a": "b", "readonly": shown}
    assert (await member.get(f"{path}/metadata")).json() == {"metadata": {"a": "b"}}


@pytest.mark.parametrize("status", ["in-use", "error", "attaching", "awaiting-transfer"])
async def test_the_flag_is_for_volumes_at_rest(member: Client, new_volume: New, status: str) -> None:
    volume_id = await new_volume(status=status)
    answer = await act(member, volume_id, "os-update_readonly_flag", {"readonly": True})
    assert answer.status_code == 400
    assert "available" in answer.text
    assert status in answer.text


@pytest.mark.parametrize("asked", [{}, {"readonly": None}, {"readonly": "maybe"}, {"readonly": 2}, None])
async def test_a_flag_that_is_none(member: Client, new_volume: New, asked: Any) -> None:
    assert (await act(member, await new_volume(), "os-update_readonly_flag", asked)).status_code == 400


async def _with_snapshot(client: Client, put: Callable[..., Any]) -> tuple[str, str]:
    """A volume of 2 GiB and its snapshot, both available."""
    volume_id = (await make(client, size=2))["id"]
    await put("volume", volume_id, status="available")
    snapshot_id = (await take(client, volume_id)).json()["snapshot"]["id"]
    await put("snapshot", snapshot_id, status="available")
    return volume_id, snapshot_id


async def usage(database: Database, project_id: str) -> tuple[int, int, int]:
    used = await database.read(lambda tx: quotas.usage(tx, project_id))
    return used[quota.VOLUMES], used[quota.SNAPSHOTS], used[quota.GIGABYTES]


async def test_a_volume_moves_with_its_snapshots_and_what_they_count(
    member: Client, stranger: Client, joins: Joins, put: Callable[..., Any], database: Database
) -> None:
    volume_id, snapshot_id = await _with_snapshot(member, put)
    await joins(OTHER)
    before = await database.read(lambda tx: tx.execute(sa.select(sa.func.max(t.event.c.id))).scalar_one())
    asked = {"project": OTHER, "shared_to_project": True}
    answer = await act(member, volume_id, "reassign", asked)
    assert (answer.status_code, answer.content) == (200, b"")
    for path in (f"{BASE}/volumes/{volume_id}", f"{BASE}/snapshots/{snapshot_id}"):
        assert (await member.get(path)).status_code == 404
        assert (await stranger.get(path)).status_code == 200
    assert await usage(database, PROJECT) == (0, 0, 0)
    assert await usage(database, OTHER) == (1, 1, 4)
    since = sa.select(t.event).where(t.event.c.id > before).order_by(t.event.c.id)
    events = await database.read(lambda tx: tx.execute(since).all())
    assert {(row.resource_id, row.project_id, row.change) for row in events} == {
        (one, project, change)
        for one in (volume_id, snapshot_id)
        for project, change in ((PROJECT, "deleted"), (OTHER, "created"))
    }


async def test_only_to_where_one_is_a_member(
    member: Client, admin: Client, joins: Joins, put: Callable[..., Any], database: Database
) -> None:
    volume_id, _ = await _with_snapshot(member, put)
    for project in (OTHER, "f" * 32):
        answer = await act(member, volume_id, "reassign", {"project": project})
        assert answer.status_code == 404, "of a project that is not one's own nothing is told"
    await joins(OTHER, "reader")
    assert (await act(member, volume_id, "reassign", {"project": OTHER})).status_code == 403
    assert await usage(database, OTHER) == (0, 0, 0)
    assert (await act(admin, volume_id, "reassign", {"project": "f" * 32})).status_code == 404
    assert (await act(admin, volume_id, "reassign", {"project": OTHER})).status_code == 200
    assert await usage(database, OTHER) == (1, 1, 4)


async def test_to_its_own_project_nothing_moves(
    admin: Client, member: Client, put: Callable[..., Any], database: Database
) -> None:
    volume_id, _ = await _with_snapshot(member, put)
    assert (await act(admin, volume_id, "reassign", {"project": PROJECT})).status_code == 200
    assert await usage(database, PROJECT) == (1, 1, 4)
    assert (await member.get(f"{BASE}/volumes/{volume_id}")).status_code == 200


async def test_not_over_the_other_projects_quota(
    admin: Client, member: Client, put: Callable[..., Any], database: Database
) -> None:
    volume_id, snapshot_id = await _with_snapshot(member, put)
    await database.write(lambda tx: quotas.set_limit(tx, OTHER, quota.GIGABYTES, 3))
    answer = await act(admin, volume_id, "reassign", {"project": OTHER})
    assert answer.status_code == 413
    assert await usage(database, PROJECT) == (1, 1, 4)
    assert await usage(database, OTHER) == (0, 0, 0)
    assert (await member.get(f"{BASE}/snapshots/{snapshot_id}")).status_code == 200


async def test_only_at_rest_with_all_its_snapshots(admin: Client, member: Client, put: Callable[..., Any]) -> None:
    volume_id, snapshot_id = await _with_snapshot(member, put)
    await put("snapshot", snapshot_id, status="creating")
    assert (await act(admin, volume_id, "reassign", {"project": OTHER})).status_code == 400
    await put("snapshot", snapshot_id, status="available")
    await put("volume", volume_id, status="in-use")
    assert (await act(admin, volume_id, "reassign", {"project": OTHER})).status_code == 400
    assert (await member.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]["status"] == "in-use"


@pytest.mark.parametrize(
    "asked", [{}, {"project": ""}, {"project": None}, {"project": OTHER, "shared_to_project": False}, None, []]
)
async def test_what_cannot_be_reassigned(admin: Client, new_volume: New, asked: Any) -> None:
    assert (await act(admin, await new_volume(), "reassign", asked)).status_code == 400


async def test_not_to_a_project_that_is_disabled(admin: Client, new_volume: New, database: Database) -> None:
    volume_id = await new_volume()
    off = t.project.update().where(t.project.c.id == OTHER).values(enabled=False)
    await database.write(lambda tx: tx.execute(off))
    assert (await act(admin, volume_id, "reassign", {"project": OTHER})).status_code == 403
