"""APIs and engines as processes of their own, two of each, on PostgreSQL and one configuration file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.clouds import User
from tests.processes import Process, command, end_guests, free_address, frozen, guests, wait_until

from cyclades.store.database import Database
from cyclades.store.schema import operation

# An engine that nobody wakes would look for work long after a test has given up.
_CONFIG = """
data = {data}

[database]
url = {url}

[api]
host = {host}
port = {port}

[engine]
lease_seconds = 3
idle_seconds = 100000
"""


class Apart:
    """The processes, on a database that `cyclades db upgrade` has made ready."""

    def __init__(self, directory: Path, url: str) -> None:
        self.data, self.config = directory / "data", directory / "cyclades.toml"
        self._logs = directory
        host, port = free_address()
        values = {"data": str(self.data), "url": url, "host": host, "port": port}
        self.config.write_text(_CONFIG.format(**{name: json.dumps(value) for name, value in values.items()}))
        done = command("db", "upgrade", "--config", self.config)
        assert done.returncode == 0, done.stderr
        self.database = Database(url)
        self.addresses = [(host, port), free_address()]
        # The first is where the file says, the second where its environment says.
        self.apis = [self._start("api", host, port), self._start("api", *self.addresses[1])]
        self.engines = [self._start("engine"), self._start("engine")]
        self.ready = [process.ready() for process in (*self.apis, *self.engines)]
        self.users = [User(self.data / "openrc-demo", url=f"http://{host}:{port}") for host, port in self.addresses]

    def _start(self, kind: str, host: str | None = None, port: int | None = None) -> Process:
        log = self._logs / f"{kind}-{len(list(self._logs.iterdir()))}.log"
        where = {"CYCLADES_API_HOST": host, "CYCLADES_API_PORT": str(port)} if host is not None else {}
        return Process(log, kind, "--config", self.config, **where)

    def two_engines(self) -> None:
        for i, engine in enumerate(self.engines):
            if engine.ended:
                self.engines[i] = self._start("engine")
                self.engines[i].ready()

    def at_work(self, resource_id: str) -> Process | None:
        """The engine that works on this resource now."""
        query = sa.select(operation.c.lease_owner).where(
            operation.c.resource_id == resource_id, operation.c.ended_at.is_(None), operation.c.state == "running"
        )
        owner = self.database.read_now(lambda tx: tx.execute(query).scalar())
        pid = int(owner.split(":")[1]) if owner else None
        return next((engine for engine in self.engines if engine.pid == pid), None)

    def end(self) -> None:
        for user in self.users:
            user.close()
        for process in (*self.apis, *self.engines):
            process.kill()
        self.database.close()
        end_guests(self.data)


@pytest.fixture(scope="module")
def _apart(new_postgres: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    made = Apart(tmp_path_factory.mktemp("apart"), new_postgres("apart"))
    yield made
    made.end()


@pytest.fixture
def apart(_apart: Apart) -> Apart:
    """All four run when a test begins."""
    _apart.two_engines()
    return _apart


@pytest.fixture
def server(apart: Apart) -> str:
    """Its QEMU runs; no guest boots in it."""
    demo = apart.users[0]
    return demo.new_server(demo.new_image(bytes(1 << 20), "raw"))


def test_the_environment_wins_over_the_file(apart: Apart) -> None:
    for (host, port), line in zip(apart.addresses, apart.ready[:2], strict=True):
        assert f"http://{host}:{port} " in line
    assert apart.ready[2:] == ["The engine is ready."] * 2


def test_what_one_api_accepts_is_made_at_once_and_shown_by_the_other(apart: Apart) -> None:
    """Only the notification can tell an engine."""
    here, there = apart.users
    for size in range(1, 6):
        found = there.until_volume(here.make_volume(size=size), "available")
        assert found["size"] == size
    assert apart.at_work("") is None


def test_a_token_revoked_here_is_refused_there(apart: Apart) -> None:
    here, there = apart.users
    token: dict[str, Any] = {"headers": {"X-Auth-Token": User(apart.data / "openrc-demo").token}}
    for user in (here, there):
        user.ask("GET", "/volume/v3/volumes", **token)
    subject = {"headers": {"X-Subject-Token": token["headers"]["X-Auth-Token"]}}
    here.ask("DELETE", "/identity/v3/auth/tokens", **subject)
    assert here.request("GET", "/volume/v3/volumes", **token).status_code == 401
    wait_until("it is refused", lambda: there.request("GET", "/volume/v3/volumes", **token).status_code == 401)
    there.ask("GET", "/volume/v3/volumes")


def test_servers_and_their_volumes(apart: Apart, server: str) -> None:
    here, there = apart.users
    volume_id = here.new_volume()
    there.attach(server, volume_id)
    path = f"/compute/v2.1/servers/{server}/os-volume_attachments"
    assert [one["volumeId"] for one in here.ask("GET", path)["volumeAttachments"]] == [volume_id]
    here.detach(server, volume_id)
    there.delete_server(server)
    assert guests(apart.data) == {}


def test_an_engine_killed_in_the_middle(apart: Apart, server: str) -> None:
    """The other one finishes its work, and looks after the servers that it had made."""
    demo, _ = apart.users
    volume_id = demo.new_volume()
    demo.attach(server, volume_id)
    with frozen(apart.data, server):
        demo.ask_to_detach(server, volume_id)
        wait_until("an engine is at it", lambda: apart.at_work(volume_id)).kill()
        assert demo.volume(volume_id)["status"] == "detaching"
    demo.until_volume(volume_id, "available")
    assert demo.server(server)["status"] == "ACTIVE"
    os.kill(guests(apart.data)[server], signal.SIGKILL)
    assert "unexpectedly" in demo.until_server(server, "SHUTOFF")["fault"]["message"]
