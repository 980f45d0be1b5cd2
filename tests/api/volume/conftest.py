"""A volume service over an empty database with one volume type and one project. No engine runs: what was accepted
stays `creating` until a test says otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.api.client import client, token

from cyclades.api.volume import SERVICES
from cyclades.config import Settings, load
from cyclades.operations.base import new_id
from cyclades.store import servers, volume_types, volumes
from cyclades.store.database import Database, Tx
from cyclades.store.schema import attachment, domain, now, project, server, snapshot, volume, volume_type

PROJECT, OTHER = "a" * 32, "b" * 32
Client = httpx.AsyncClient
As = Callable[..., Client]
New = Callable[..., Awaitable[str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {}, data=str(tmp_path))


@pytest.fixture
async def speaking_as(database: Database, settings: Settings) -> AsyncIterator[As]:
    """Makes a client of a project with roles, at a microversion."""
    type_id = new_id()

    def rows(tx: Any) -> None:
        volume_types.add(tx, type_id, name="standard", is_public=True, is_default=True, extra_specs={})
        tx.execute(domain.insert().values(id="default", name="Default", created_at=now()))
        for project_id in (PROJECT, OTHER):
            tx.execute(project.insert().values(id=project_id, domain_id="default", name=project_id, created_at=now()))

    await database.write(rows)
    made: list[Client] = []

    def make(project_id: str = PROJECT, *roles: str, version: str = "3.71") -> Client:
        headers = {"X-Auth-Token": token(project_id, *roles), "OpenStack-API-Version": f"volume {version}"}
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
def put(database: Database) -> Callable[..., Any]:
    """Writes a row's columns as an engine would have, by table name and id."""
    tables = {"volume": volume, "snapshot": snapshot, "server": server, "attachment": attachment}

    async def change(table: str, row_id: str, **values: Any) -> None:
        values.setdefault("operation_id", None)
        found = tables[table]
        await database.write(lambda tx: tx.execute(found.update().where(found.c.id == row_id).values(**values)))

    return change


@pytest.fixture
def new_volume(database: Database, speaking_as: As) -> New:
    """Adds a volume of 1 GiB, available unless `values` say otherwise."""

    async def add(project_id: str = PROJECT, **values: Any) -> str:
        volume_id = new_id()

        def row(tx: Tx) -> None:
            type_id = tx.execute(sa.select(volume_type.c.id).where(volume_type.c.name == "standard")).scalar_one()
            columns = {"project_id": project_id, "user_id": "u" * 32, "status": "available", "size": 1,
                       "volume_type_id": type_id, "pool": "local", "availability_zone": "nova"}  # fmt: skip
            volumes.add(tx, volume_id, **(columns | values))

        await database.write(row)
        return volume_id

    return add


@pytest.fixture
def new_server(database: Database) -> New:
    """Adds a server that is ACTIVE, without disks."""

    async def add(project_id: str = PROJECT, **values: Any) -> str:
        server_id = new_id()
        flavor = {"id": "1", "name": "small", "vcpus": 1, "ram": 64, "disk": 1, "extra_specs": {}}
        columns = {"project_id": project_id, "user_id": "u" * 32, "name": "one", "hostname": "one", "status": "ACTIVE",
                   "power": "running", "backend": "local", "flavor_id": "1", "flavor": flavor}  # fmt: skip
        await database.write(lambda tx: servers.add(tx, server_id, **(columns | values)))
        return server_id

    return add
