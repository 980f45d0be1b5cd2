"""An image service over an empty database. No engine runs unless a test starts one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.client import client, token

from cyclades.api.image.service import SERVICE
from cyclades.config import Settings, load
from cyclades.engine.engine import Engine
from cyclades.operations.base import World
from cyclades.store import operations, quotas
from cyclades.store.database import Database

PROJECT, OTHER = "a" * 32, "b" * 32
IMAGES = "/image/v2/images"
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
BYTES = {"Content-Type": "application/octet-stream"}
Client = httpx.AsyncClient
As = Callable[..., Client]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load(None, {}, data=str(tmp_path))
    settings.image_dir.mkdir()
    return settings


@pytest.fixture
async def speaking_as(database: Database, settings: Settings) -> AsyncIterator[As]:
    """Makes a client of a project with roles."""
    made: list[Client] = []

    def make(project_id: str = PROJECT, *roles: str) -> Client:
        made.append(client(database, settings, [SERVICE], **{"X-Auth-Token": token(project_id, *roles)}))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
def member(speaking_as: As) -> Client:
    return speaking_as()


@pytest.fixture
def admin(speaking_as: As) -> Client:
    return speaking_as("c" * 32, "admin")


@pytest.fixture
def stranger(speaking_as: As) -> Client:
    return speaking_as(OTHER)


@pytest.fixture
def usage(database: Database) -> Callable[[], Awaitable[dict[str, int]]]:
    """What the project uses of images' quotas; 0 is left out."""

    async def look() -> dict[str, int]:
        used = await database.read(lambda tx: quotas.usage(tx, PROJECT))
        return {name: amount for name, amount in used.items() if amount}

    return look


@pytest.fixture
def files(settings: Settings) -> Callable[[], list[Path]]:
    return lambda: list(settings.image_dir.iterdir())


@pytest.fixture
def settle(database: Database, settings: Settings) -> Callable[[], Awaitable[None]]:
    """Runs an engine until no operation is open."""

    async def run() -> None:
        ended = asyncio.Event()
        stop = database.listen("ended", ended.set)
        running = asyncio.create_task(Engine(World(database, settings, {}, {}), alone=True, first_pause=0.005).run())
        try:
            async with asyncio.timeout(60):
                while await database.read(operations.open_ones):
                    await ended.wait()
                    ended.clear()
        finally:
            stop()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    return run


async def make(client: Client, **asked: Any) -> dict[str, Any]:
    """An image without data."""
    answer = await client.post(IMAGES, json={"disk_format": "raw", "container_format": "bare", **asked})
    assert answer.status_code == 201, answer.text
    image: dict[str, Any] = answer.json()
    return image


async def put(client: Client, image_id: str, content: Any, **headers: str) -> httpx.Response:
    return await client.put(f"{IMAGES}/{image_id}/file", content=content, headers=BYTES | headers)


async def show(client: Client, image_id: str) -> dict[str, Any]:
    answer = await client.get(f"{IMAGES}/{image_id}")
    assert answer.status_code == 200, answer.text
    image: dict[str, Any] = answer.json()
    return image


def refused(answer: httpx.Response, code: int, *words: str) -> None:
    """The answer is a refusal with this code, in the error form, and its message has these words."""
    assert answer.status_code == code, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    for word in words:
        assert word in error["message"]
