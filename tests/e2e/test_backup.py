"""A backup of a running cloud's database, restored after more was made: what it does not know is named, and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests import postgres_server
from tests.clouds import Cloud
from tests.processes import LIMIT, command, guests, wait_until

from cyclades.cli.refused import DIFFERS


class Backup:
    """Of a cloud's database, as docs/back-up.md says."""

    def __init__(self, data: Path, url: str | None, directory: Path) -> None:
        """`url` is PostgreSQL's; None: SQLite in `data`."""
        self._data, self._url, self._directory = data, url, directory

    def make(self) -> None:
        if self._url is None:
            done = command("db", "backup", self._directory / "cyclades.db", "--data", self._data)
            assert done.returncode == 0, done.stderr
        else:
            self._postgres("pg_dump", "--format=custom", f"--file={self._directory}/cyclades.dump")

    def restore(self) -> None:
        """The cloud is stopped."""
        if self._url is None:
            for end in ("", "-wal", "-shm"):
                (self._data / f"cyclades.db{end}").unlink(missing_ok=True)
            shutil.copy(self._directory / "cyclades.db", self._data / "cyclades.db")
        else:
            self._postgres("pg_restore", "--clean", "--if-exists", f"{self._directory}/cyclades.dump")

    def _postgres(self, program: str, *words: str) -> None:
        assert self._url is not None
        url = sa.make_url(self._url).set(drivername="postgresql").render_as_string(hide_password=False)
        whole = postgres_server.program(program)
        assert whole is not None
        subprocess.run([whole, f"--dbname={url}", *words], check=True, timeout=LIMIT)


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest) -> str | None:
    new: Callable[[str], str] | None = None
    if database_kind == "postgres":
        new = request.getfixturevalue("new_postgres")
    return None if new is None else new("backup")


@pytest.fixture
def cloud(reachable: Path, database_kind: str, url: str | None) -> Iterator[Cloud]:
    settings = {} if url is None else {"CYCLADES_DATABASE_URL": url}
    cloud = Cloud(reachable / f"backup-{database_kind}", **settings)
    cloud.start()
    yield cloud
    cloud.end()


@pytest.fixture
def found(cloud: Cloud, url: str | None) -> Callable[[str], set[tuple[str, str]]]:
    """What a command that reconciles finds: kinds, and what they are about."""
    settings = {} if url is None else {"CYCLADES_DATABASE_URL": url}

    def look(name: str) -> set[tuple[str, str]]:
        done = command(name, "--data", cloud.data, "-o", "json", **settings)
        assert done.returncode == DIFFERS, done.stdout + done.stderr
        return {(one["kind"], one["resource"]) for one in json.loads(done.stdout)}

    return look


def layers(data: Path) -> set[str]:
    return {path.name for path in (data / "pools" / "local" / "layers").iterdir()}


def test_what_a_backup_does_not_know_is_named_and_kept(
    cloud: Cloud, url: str | None, tmp_path: Path, found: Callable[[str], set[tuple[str, str]]]
) -> None:
    demo = cloud.user()
    image_id = demo.new_image(bytes(1 << 20), "raw")
    kept, gone, server_id = demo.new_volume(), demo.new_volume(), demo.new_server(image_id)
    backup = Backup(cloud.data, url, tmp_path)
    made = while_requests_run(cloud, backup.make)
    assert made
    for volume_id in made:
        demo.until_volume(volume_id, "available")

    before = layers(cloud.data)
    late_server, late = demo.new_server(image_id), demo.new_volume()
    snapshot = demo.ask("POST", "/volume/v3/snapshots", {"snapshot": {"volume_id": kept}})["snapshot"]
    path = f"/volume/v3/snapshots/{snapshot['id']}"
    wait_until("the snapshot is there", lambda: demo.ask("GET", path)["snapshot"]["status"] == "available")
    demo.ask("DELETE", f"/volume/v3/volumes/{gone}")
    wait_until("it is gone", lambda: demo.request("GET", f"/volume/v3/volumes/{gone}").status_code == 404)
    late_files, there = layers(cloud.data) - before, layers(cloud.data)
    assert len(late_files) == 3  # the late server's root, the late volume, and what is written since the snapshot
    cloud.stop()

    backup.restore()
    cloud.start()
    on_servers, in_pools = found("reconcile-servers"), found("reconcile-volumes")
    assert ("server-unknown", f"server {late_server}") in on_servers
    assert {("pool-file-unknown", f"file {name}") for name in late_files} <= in_pools
    assert ("pool-disk-missing", f"volume {gone}") in in_pools
    assert demo.request("GET", f"/volume/v3/volumes/{late}").status_code == 404
    # Nothing of it was touched, and what the backup knows is as it was. (What was under way then is done once more.)
    assert there <= layers(cloud.data)
    assert set(guests(cloud.data)) == {server_id, late_server}
    demo.until_server(server_id, "ACTIVE")
    assert demo.new_volume()


def while_requests_run(cloud: Cloud, do: Callable[[], None]) -> list[str]:
    """Volumes are made before it, meanwhile, and after it; returns them."""
    made: list[str] = []
    enough, stop = threading.Event(), threading.Event()
    user = cloud.user()

    def make() -> None:
        while not stop.is_set():
            made.append(user.make_volume())
            if len(made) == 5:
                enough.set()

    making = threading.Thread(target=make)
    making.start()
    try:
        assert enough.wait(LIMIT)
        do()
    finally:
        stop.set()
        making.join()
    return made
