"""The real clients against the real web server: openstacksdk and the openstack command."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openstack
import pytest
import uvicorn
from openstack import exceptions
from tests.api.client import PlainTokens, token
from tests.api.image.conftest import OTHER, PROJECT

from cyclades.api.app import application
from cyclades.api.http.service import Shared
from cyclades.api.image.service import SERVICE
from cyclades.config import Settings, load
from cyclades.security.keys import Keys
from cyclades.store.database import Database
from cyclades.store.schema import metadata

LIMIT = 120  # seconds
CONTENT = os.urandom(300_000) + bytes(3_000_000) + os.urandom(4096 - 3_300_000 % 4096)


class Cloud:
    """A running image service, and the directory of a person who uses it."""

    def __init__(self, url: str, home: Path) -> None:
        self.url, self.home = url, home

    def connect(self, project_id: str = PROJECT, *roles: str) -> Any:
        return openstack.connect(
            auth_type="admin_token", auth={"endpoint": f"{self.url}/image/v2", "token": token(project_id, *roles)}
        )

    async def cli(self, *words: str) -> Any:
        """`openstack image WORDS…`, its answer read from JSON; the error text if it fails."""
        options = [
            "--os-auth-type",
            "admin_token",
            "--os-endpoint",
            f"{self.url}/image/v2",
            "--os-token",
            token(PROJECT),
        ]
        form = ["-f", "json"] if words[0] in ("create", "show", "list") else []
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("openstack"), *options, "image", *words, *form,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=self.home, env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        output, errors = await asyncio.wait_for(process.communicate(), LIMIT)
        if process.returncode:
            return errors.decode()
        return json.loads(output) if form else output.decode()


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    settings: Settings = load(None, {}, data=str(tmp_path / "data"))
    settings.image_dir.mkdir(parents=True)
    database = Database(settings.database_url)
    metadata.create_all(database.engine)
    app = application([SERVICE], Shared(database, settings, Keys(settings.key_dir), PlainTokens()))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", access_log=False))
    server.config.load()
    sockets = [server.config.bind_socket()]
    port = sockets[0].getsockname()[1]
    settings.api.port = port
    serving = asyncio.create_task(server.serve(sockets))
    home = tmp_path / "home"
    home.mkdir()
    (home / "small.raw").write_bytes(CONTENT)
    yield Cloud(f"http://127.0.0.1:{port}", home)
    server.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    database.close()


async def test_the_openstack_command(cloud: Cloud) -> None:
    made = await cloud.cli(
        "create", "--file", "small.raw", "--disk-format", "raw", "--min-disk", "1", "--tag", "t", "--property",
        "hw_machine_type=q35", "small",
    )  # fmt: skip
    assert made["status"] == "active", made
    assert made["size"] == len(CONTENT)
    assert made["checksum"] == hashlib.md5(CONTENT).hexdigest()
    shown = await cloud.cli("show", "small")
    assert shown["id"] == made["id"]
    assert shown["properties"]["hw_machine_type"] == "q35"
    assert shown["tags"] == ["t"]
    await cloud.cli("set", "--name", "renamed", "--property", "a=b", "--tag", "u", "--min-ram", "64", "small")
    shown = await cloud.cli("show", "renamed")
    assert (shown["properties"]["a"], shown["min_ram"], sorted(shown["tags"])) == ("b", 64, ["t", "u"])
    await cloud.cli("unset", "--property", "a", "--tag", "t", "renamed")
    listed, shown, _ = await asyncio.gather(
        cloud.cli("list"), cloud.cli("show", "renamed"), cloud.cli("save", "--file", "again.raw", "renamed")
    )
    assert listed == [{"ID": made["id"], "Name": "renamed", "Status": "active"}]
    assert "a" not in shown["properties"]
    assert shown["tags"] == ["u"]
    assert (cloud.home / "again.raw").read_bytes() == CONTENT
    await cloud.cli("set", "--protected", "renamed")
    assert "is protected and cannot be deleted" in await cloud.cli("delete", "renamed")
    await cloud.cli("set", "--unprotected", "renamed")
    await cloud.cli("delete", "renamed")
    assert "No Image found for renamed" in await cloud.cli("show", "renamed")


async def test_a_wrong_image_by_the_openstack_command(cloud: Cloud) -> None:
    error = await cloud.cli("create", "--file", "small.raw", "--disk-format", "qcow2", "small")
    assert "The image is raw, not qcow2." in error
    error = await cloud.cli("create", "--file", "small.raw", "--disk-format", "vmdk", "small")
    assert "disk_format" in error
    assert "qcow2" in error


async def test_openstacksdk(cloud: Cloud) -> None:
    def story() -> None:
        mine, others = cloud.connect(), cloud.connect(OTHER)
        image = mine.image.create_image("a", data=CONTENT, disk_format="raw", validate_checksum=True)
        image = mine.image.get_image(image.id)
        assert (image.status, image.size, image.owner_id) == ("active", len(CONTENT), PROJECT)
        assert (image.hash_algo, image.hash_value) == ("sha512", hashlib.sha512(CONTENT).hexdigest())
        assert mine.image.find_image("a").id == image.id
        assert others.image.find_image(image.id) is None
        with pytest.raises(exceptions.NotFoundException):
            others.image.get_image(image.id)
        assert mine.image.update_image(image, name="b", visibility="community", colour="red").name == "b"
        seen = others.image.get_image(image.id)
        assert seen.properties["colour"] == "red"
        assert others.image.download_image(seen).content == CONTENT
        with pytest.raises(exceptions.ForbiddenException, match="another project"):
            others.image.update_image(seen, name="c")
        with pytest.raises(exceptions.ForbiddenException, match="admins"):
            mine.image.update_image(image, visibility="public")
        for i in range(5):
            mine.image.create_image(f"n{i}", allow_duplicates=True, disk_format="raw", container_format="bare")
        names = [found.name for found in mine.image.images(limit=2, sort="name:asc")]
        assert names == ["b", "n0", "n1", "n2", "n3", "n4"]
        mine.image.add_tag(image, "t")
        assert [found.name for found in mine.image.images(tag="t")] == ["b"]
        assert mine.image.get_image_schema().properties["name"]
        for found in list(mine.image.images()):
            mine.image.delete_image(found)
        assert list(mine.image.images()) == []

    await asyncio.wait_for(asyncio.to_thread(story), LIMIT)


async def test_a_connection_that_breaks_leaves_nothing(cloud: Cloud, tmp_path: Path) -> None:
    headers = {"X-Auth-Token": token(PROJECT)}
    async with httpx.AsyncClient(base_url=f"{cloud.url}/image/v2", headers=headers) as client:
        made = await client.post("/images", json={"disk_format": "raw", "container_format": "bare"})
        path = made.json()["file"].removeprefix("/v2")
        _, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        head = f"PUT /image/v2{path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token(PROJECT)}\r\n"
        head += "Content-Type: application/octet-stream\r\nContent-Length: 50000000\r\n\r\n"
        writer.write(head.encode() + bytes(5_000_000))
        await writer.drain()
        image = path.removesuffix("/file")
        await until(client, image, "saving")
        writer.close()
        await until(client, image, "queued")
        async with asyncio.timeout(LIMIT):
            while list((tmp_path / "data" / "images").iterdir()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def until(client: httpx.AsyncClient, path: str, status: str) -> None:
    async with asyncio.timeout(LIMIT):
        while (await client.get(path)).json()["status"] != status:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
