"""A compute service over a database with a project, a flavor, an image and a volume type. No engine runs: a server
that was accepted stays in BUILD until a test says otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.client import client, token

from cyclades.api.compute import SERVICES
from cyclades.config import Settings, load
from cyclades.model.units import GIB
from cyclades.operations.base import new_id
from cyclades.store import flavors, quotas, volume_types, volumes
from cyclades.store.database import Database, Tx
from cyclades.store.schema import attachment, domain, image, keypair, now, operation, project, server, volume

BASE = "/compute/v2.1"
PROJECT, OTHER = "a" * 32, "b" * 32
NOBODY = "00000000-0000-4000-8000-000000000000"
Client = httpx.AsyncClient
As = Callable[..., Client]
Put = Callable[..., Awaitable[None]]

_TABLES = {"volume": volume, "server": server, "attachment": attachment, "keypair": keypair, "operation": operation}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {}, data=str(tmp_path))


@pytest.fixture
async def image_id(database: Database) -> str:
    """An active image of 2 GiB."""
    ident = new_id()
    values = {"id": ident, "project_id": PROJECT, "name": "small", "status": "active", "visibility": "public",
              "disk_format": "raw", "container_format": "bare", "size": 2 * GIB, "virtual_size": 2 * GIB,
              "created_at": now(), "properties": {"os_distro": "debian"}}  # fmt: skip
    await database.write(lambda tx: tx.execute(image.insert().values(**values)))
    return ident


@pytest.fixture
async def speaking_as(database: Database, settings: Settings) -> AsyncIterator[As]:
    """Makes a client of a project with roles, at a microversion."""

    def rows(tx: Tx) -> None:
        volume_types.add(tx, new_id(), name="standard", is_public=True, is_default=True, extra_specs={})
        flavors.add(tx, "1", name="small", vcpus=2, ram=512, disk=4, is_public=True, extra_specs={"a": "b"})
        tx.execute(domain.insert().values(id="default", name="Default", created_at=now()))
        for project_id in (PROJECT, OTHER):
            tx.execute(project.insert().values(id=project_id, domain_id="default", name=project_id, created_at=now()))

    await database.write(rows)
    made: list[Client] = []

    def make(project_id: str = PROJECT, *roles: str, version: str = "2.101", user_id: str = "u" * 32) -> Client:
        headers = {"X-Auth-Token": token(project_id, *roles, user_id=user_id)}
        headers["OpenStack-API-Version"] = f"compute {version}"
        made.append(client(database, settings, SERVICES, **headers))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
def member(speaking_as: As) -> Client:
    return speaking_as()


@pytest.fixture
def admin(speaking_as: As) -> Client:
    return speaking_as(PROJECT, "admin")


@pytest.fixture
def stranger(speaking_as: As) -> Client:
    return speaking_as(OTHER)


@pytest.fixture
def put(database: Database) -> Put:
    """Writes a row's columns as an engine would have, by table name and id."""

    async def change(table: str, row_id: str, **values: Any) -> None:
        found = _TABLES[table]
        if table != "operation":
            values.setdefault("operation_id", None)
        await database.write(lambda tx: tx.execute(found.update().where(found.c.id == row_id).values(**values)))

    return change


@pytest.fixture
def usage(database: Database) -> Callable[[], Awaitable[dict[str, int]]]:
    """What the project uses now, without what it uses nothing of."""

    async def read() -> dict[str, int]:
        found = await database.read(lambda tx: quotas.usage(tx, PROJECT))
        return {name: used for name, used in found.items() if used}

    return read


@pytest.fixture
def new_volume(database: Database, speaking_as: As) -> Callable[..., Awaitable[str]]:
    """Adds an available volume."""

    async def add(project_id: str = PROJECT, **values: Any) -> str:
        volume_id = new_id()

        def row(tx: Tx) -> None:
            type_id = volume_types.default(tx, PROJECT).id
            columns = {"project_id": project_id, "user_id": "u" * 32, "status": "available", "size": 1,
                       "volume_type_id": type_id, "pool": "local", "availability_zone": "nova"}  # fmt: skip
            volumes.add(tx, volume_id, **(columns | values))

        await database.write(row)
        return volume_id

    return add


@pytest.fixture
def new_server(member: Client, image_id: str, put: Put, database: Database) -> Callable[..., Awaitable[str]]:
    """Asks for a server and lets it be ACTIVE, as an engine would."""

    async def add(**asked: Any) -> str:
        body = {"name": "one", "flavorRef": "1", "imageRef": image_id, "networks": "auto", **asked}
        answer = await member.post(f"{BASE}/servers", json={"server": body})
        assert answer.status_code == 202, answer.text
        server_id = str(answer.json()["server"]["id"])
        await put("server", server_id, status="ACTIVE", task_state=None, power="running", launched_at=now())

        def finish(tx: Tx) -> None:
            mine = attachment.c.server_id == server_id
            tx.execute(attachment.update().where(mine).values(status="attached", operation_id=None))
            plugged = volume.c.id.in_(attachment.select().with_only_columns(attachment.c.volume_id).where(mine))
            tx.execute(volume.update().where(plugged).values(status="in-use", operation_id=None))
            tx.execute(operation.update().where(operation.c.resource_id == server_id).values(ended_at=now()))

        await database.write(finish)
        return server_id

    return add
