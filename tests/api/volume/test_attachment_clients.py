"""The cinder command, and openstacksdk, against the real web server: attachments."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openstack
import pytest
import uvicorn
from openstack import exceptions
from tests.api.client import PlainTokens, token
from tests.api.volume.conftest import PROJECT

from cyclades.api.app import application
from cyclades.api.http.service import Shared
from cyclades.api.volume import SERVICES
from cyclades.config import Settings, load
from cyclades.operations.base import new_id
from cyclades.security.keys import Keys
from cyclades.store import volume_types, volumes
from cyclades.store.database import Database, Tx
from cyclades.store.schema import metadata

LIMIT = 120  # seconds
HERE, ELSEWHERE = "11111111-2222-4333-8444-555555555555", "22222222-2222-4333-8444-555555555555"


class Cloud:
    """A running volume service, and the directory of a person who uses it."""

    def __init__(self, database: Database, url: str, home: Path) -> None:
        self.database, self.url, self.home = database, url, home

    async def volume(self, name: str) -> str:
        volume_id = new_id()

        def add(tx: Tx) -> None:
            values = {"project_id": PROJECT, "user_id": "u" * 32, "status": "available", "size": 1, "pool": "local"}
            type_id = volume_types.default(tx, PROJECT).id
            volumes.add(tx, volume_id, name=name, volume_type_id=type_id, availability_zone="nova", **values)

        await self.database.write(add)
        return volume_id

    async def cinder(self, *words: str) -> dict[str, str] | list[dict[str, str]] | str:
        """`cinder WORDS…`: its table's rows, or an object where they are properties; the error text if it fails."""
        options = ["--os-auth-type", "admin_token", "--os-endpoint", f"{self.url}/volume/v3"]
        options += ["--os-project-id", PROJECT, "--os-volume-api-version", "3.71"]
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("cinder"), *options, *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "OS_TOKEN": token(PROJECT, "admin")},
        )  # fmt: skip
        output, errors = await asyncio.wait_for(process.communicate(), LIMIT)
        return errors.decode() if process.returncode else _table(output.decode())


def _table(text: str) -> dict[str, str] | list[dict[str, str]]:
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    if lines and lines[0] == ["Property", "Value"]:
        return {line[0]: line[1] if len(line) > 1 else "" for line in lines if line != ["Property", "Value"]}
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    settings: Settings = load(None, {}, data=str(tmp_path / "data"))
    database = Database(settings.database_url)
    metadata.create_all(database.engine)
    await database.write(
        lambda tx: volume_types.add(tx, new_id(), name="standard", is_public=True, is_default=True, extra_specs={})
    )
    app = application(list(SERVICES), Shared(database, settings, Keys(settings.key_dir), PlainTokens()))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", access_log=False))
    server.config.load()
    sockets = [server.config.bind_socket()]
    port = sockets[0].getsockname()[1]
    settings.api.port = port
    serving = asyncio.create_task(server.serve(sockets))
    home = tmp_path / "home"
    home.mkdir()
    yield Cloud(database, f"http://127.0.0.1:{port}", home)
    server.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    database.close()


async def test_the_cinder_command(cloud: Cloud) -> None:
    one, two = await cloud.volume("one"), await cloud.volume("two")
    made = await cloud.cinder("attachment-create", "one", HERE)
    assert isinstance(made, dict), made
    assert (made["status"], made["instance"], made["volume_id"]) == ("reserved", HERE, one)
    whole = await cloud.cinder(
        "attachment-create", "two", ELSEWHERE, "--connect", "True", "--host", "h", "--mountpoint", "/dev/vdb",
        "--mode", "ro",
    )  # fmt: skip
    assert isinstance(whole, dict), whole
    assert (whole["status"], whole["attach_mode"], whole["name"]) == ("attaching", "ro", f"snf-vol-{two}")
    listed, failed = await asyncio.gather(
        cloud.cinder("attachment-list", "--sort", "created_at:asc"), cloud.cinder("attachment-create", "one", ELSEWHERE)
    )
    assert listed == [
        {"ID": made["id"], "Volume ID": one, "Status": "reserved", "Server ID": HERE},
        {"ID": whole["id"], "Volume ID": two, "Status": "attaching", "Server ID": ELSEWHERE},
    ]
    assert "must be available to reserve" in failed
    updated = await cloud.cinder("attachment-update", made["id"], "--host", "h", "--mountpoint", "/dev/vdc")
    assert isinstance(updated, dict), updated
    assert (updated["status"], updated["driver_volume_type"]) == ("attaching", "qcow2")
    await cloud.cinder("attachment-complete", made["id"], whole["id"])
    shown, filtered, volume = await asyncio.gather(
        cloud.cinder("attachment-show", made["id"]),
        cloud.cinder("attachment-list", "--filters", f"volume_id={two}", "--limit", "1"),
        cloud.cinder("show", "one"),
    )
    assert isinstance(shown, dict), shown
    assert (shown["status"], shown["attach_mode"], shown["access_mode"]) == ("attached", "rw", "rw")
    assert [row["ID"] for row in filtered if isinstance(row, dict)] == [whole["id"]]
    assert isinstance(volume, dict), volume
    assert volume["status"] == "in-use"
    assert made["id"] in volume["attachment_ids"]
    await cloud.cinder("attachment-delete", made["id"], whole["id"])
    assert await cloud.cinder("attachment-list") == []
    assert "could not be found" in await cloud.cinder("attachment-show", made["id"])


async def test_openstacksdk(cloud: Cloud) -> None:
    volume_id = await cloud.volume("one")

    def story() -> None:
        auth = {"endpoint": f"{cloud.url}/volume/v3", "token": token(PROJECT, "admin")}
        service: Any = openstack.connect(auth_type="admin_token", auth=auth).block_storage
        one = service.create_attachment(volume_id, connector={}, instance=HERE)
        assert (one.status, one.instance, one.volume_id) == ("reserved", HERE, volume_id)
        one = service.update_attachment(one.id, connector={"host": "h", "mountpoint": "/dev/vdb"})
        assert one.status == "attaching"
        assert one.connection_info["name"] == f"snf-vol-{volume_id}"
        service.complete_attachment(one.id)
        assert service.get_attachment(one.id).status == "attached"
        assert [found.id for found in service.attachments(instance_id=HERE, limit=1)] == [one.id]
        service.delete_attachment(one.id, ignore_missing=False)
        with pytest.raises(exceptions.NotFoundException):
            service.get_attachment(one.id)

        volume = service.get_volume(volume_id)
        service.reserve_volume(volume)
        assert service.get_volume(volume_id).status == "attaching"
        assert service.init_volume_attachment(volume, {"host": "h"})["driver_volume_type"] == "qcow2"
        service.attach_volume(volume, "/dev/vdb", instance=HERE)
        (attached,) = service.get_volume(volume_id).attachments
        assert (attached["server_id"], attached["device"]) == (HERE, "/dev/vdb")
        service.begin_volume_detaching(volume)
        service.abort_volume_detaching(volume)
        assert service.get_volume(volume_id).status == "in-use"
        service.terminate_volume_attachment(volume, {"host": "h"})
        service.detach_volume(volume, attached["attachment_id"])
        assert service.get_volume(volume_id).status == "available"
        service.unreserve_volume(volume)

    await asyncio.wait_for(asyncio.to_thread(story), LIMIT)
