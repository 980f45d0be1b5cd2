"""/v2/fills/{image_id}: an image for the machine that writes it to a new server's disk."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.api.image.conftest import PROJECT, As, Client, make, put

from cyclades.config import Settings
from cyclades.operations.base import new_id
from cyclades.security import grants
from cyclades.security.keys import Keys
from cyclades.store import servers
from cyclades.store.database import Database, Tx

CONTENT = os.urandom(1 << 20)


@pytest.fixture
async def image_id(member: Client) -> str:
    made = await make(member)
    assert (await put(member, made["id"], CONTENT)).status_code == 204
    return str(made["id"])


@pytest.fixture
async def server_id(database: Database) -> str:
    ident = new_id()
    flavor = {"id": "f", "name": "f", "vcpus": 1, "ram": 1, "disk": 1, "extra_specs": {}}

    def add(tx: Tx) -> None:
        values = {"project_id": PROJECT, "user_id": "u", "name": "one", "hostname": "one", "flavor_id": "f"}
        servers.add(tx, ident, **values, flavor=flavor, status="BUILD", power="missing", backend="c1")

    await database.write(add)
    return ident


async def ask(client: Client, image_id: str, grant: str, range_: str = "") -> Any:
    headers = {"X-Auth-Token": grant} | ({"Range": range_} if range_ else {})
    return await client.get(f"/image/v2/fills/{image_id}/file", headers=headers)


async def test_piece_by_piece(
    speaking_as: As, settings: Settings, database: Database, image_id: str, server_id: str
) -> None:
    grant, nobody = grants.issue(Keys(settings.key_dir), image_id, server_id), speaking_as(PROJECT)

    async def progress() -> int | None:
        row = await database.read(lambda tx: servers.get(tx, server_id, None))
        found: int | None = row.progress
        return found

    assert (await ask(nobody, image_id, grant)).content == CONTENT
    half = len(CONTENT) // 2
    answer = await ask(nobody, image_id, grant, f"bytes={half}-{half + 99}")
    assert (answer.status_code, answer.content) == (206, CONTENT[half : half + 100])
    assert answer.headers["content-range"] == f"bytes {half}-{half + 99}/{len(CONTENT)}"
    assert await progress() == 50
    await ask(nobody, image_id, grant, "bytes=0-99")  # again, after a connection broke
    assert await progress() == 50


async def test_a_grant_is_for_one_image(speaking_as: As, settings: Settings, image_id: str, server_id: str) -> None:
    keys, nobody = Keys(settings.key_dir), speaking_as(PROJECT)
    for grant in (
        "",
        "x",
        grants.issue(keys, new_id(), server_id),
        grants.issue(keys, image_id, server_id, seconds=-1),
    ):
        answer = await ask(nobody, image_id, grant)
        assert answer.status_code == 401, answer.text
        assert CONTENT[:64] not in answer.content
    gone = new_id()
    assert (await ask(nobody, gone, grants.issue(keys, gone, server_id))).status_code == 404


async def test_it_is_for_nothing_else(speaking_as: As, settings: Settings, image_id: str, server_id: str) -> None:
    grant = grants.issue(Keys(settings.key_dir), image_id, server_id)
    answer = await speaking_as(PROJECT).get(f"/image/v2/images/{image_id}", headers={"X-Auth-Token": grant})
    assert answer.status_code == 401
