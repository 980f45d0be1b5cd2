"""The story of `make demo` on two clusters: what a guest in one has written, a guest in the other reads, after the
volume has moved there. The cloud is `cyclades up`, the clusters are added by the operator's command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clouds import Cloud, User
from tests.ganeti import place
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.console import Console
from tests.ganeti.stage import disks_in_config
from tests.processes import LIMIT, PROGRAM

POOL = "shared"
TEXT = "from one cluster to the other"
_CHOOSES_HOST = {"OpenStack-API-Version": "compute 2.74"}


@pytest.fixture
def cloud(cells: Cells, tmp_path: Path) -> Iterator[Cloud]:
    """On both clusters, with a pool that their nodes reach, and nothing on this machine."""
    pool = place.clear(cells.shared / "story")
    pools = json.dumps([{"name": POOL, "directory": str(pool)}])
    cloud = Cloud(tmp_path / "cloud", CYCLADES_POOLS=pools, CYCLADES_BACKENDS="[]", CYCLADES_COMPUTE_STOP_SECONDS="1")
    cloud.start()
    for cell in cells.clusters:
        place.install(cell, {POOL: pool}, tmp_path)
        _add(cloud, cell, tmp_path, CYCLADES_POOLS=pools, CYCLADES_BACKENDS="[]")
    yield cloud
    cloud.end()


def _add(cloud: Cloud, cell: Cell, directory: Path, **settings: str) -> None:
    password = directory / "password"
    password.write_text(cell.password)
    words = [PROGRAM, "backend-add", cell.name, "--yes", "--data", cloud.data, "--url", cell.url, "--user", cell.user]
    words += ["--password-file", password, "--certificate", cell.certificate, "--pool", POOL]
    words += ["--domain", place.DOMAIN, "--os", place.OS, "--look-seconds", "0.5"]
    subprocess.run([str(word) for word in words], env=os.environ | settings, check=True, timeout=LIMIT)


def _server_on(admin: User, image_id: str, cell: Cell, **more: Any) -> str:
    flavors = {one["name"]: one["id"] for one in admin.ask("GET", "/compute/v2.1/flavors")["flavors"]}
    asked = {"name": f"on-{cell.name}", "imageRef": image_id, "flavorRef": flavors["m1.nano"], "host": cell.name}
    body = {"server": {**asked, "networks": "none", **more}}
    return str(admin.ask("POST", "/compute/v2.1/servers", body, headers=_CHOOSES_HOST)["server"]["id"])


def _console(cell: Cell, server_id: str) -> Console:
    console = place.node_of(cell, server_id).console(place.name_of(server_id))
    console.until_up()
    return console


def _disk_of(console: Console, size: int) -> str:
    """The name that the guest has for its disk of so many bytes: one under Ganeti has no serial."""
    found = [disk.split(":") for disk in console.ask("disks").split()]
    return next(name for name, *_, length in found if int(length) == size)


def test_a_volume_moves_from_one_cluster_to_the_other(cloud: Cloud, c1: Cell, c2: Cell, guest_image: Path) -> None:
    admin = cloud.user("openrc")
    image_id = admin.new_image(guest_image.read_bytes(), "qcow2")
    volume_id = admin.new_volume(size=2)
    servers = {cell.name: _server_on(admin, image_id, cell) for cell in (c1, c2)}
    for server_id in servers.values():
        admin.until_server(server_id, "ACTIVE")
    for cell, verb in ((c1, f"write {{}} {TEXT}"), (c2, "read {}"), (c1, "read {}")):
        server_id, console = servers[cell.name], _console(cell, servers[cell.name])
        try:
            admin.attach(server_id, volume_id)
            console.wait(rf"^DISKS .*:{2 << 30}\b")
            answer = console.ask(verb.format(_disk_of(console, 2 << 30)))
            assert answer == ("" if verb.startswith("write") else TEXT)
            admin.detach(server_id, volume_id)
        finally:
            console.close()
    for server_id in servers.values():
        admin.delete_server(server_id)
    admin.ask("DELETE", f"/volume/v3/volumes/{volume_id}")
    for cell in (c1, c2):
        assert disks_in_config(cell) == []
        assert cell.run("gnt-instance", "list", "--no-headers").strip() == ""
