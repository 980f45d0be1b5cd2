"""The clusters that the other tests rely on: real, apart from each other, and not the machine's own."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.node import LIMIT, Node
from tests.ganeti.plan import VERSIONS
from tests.ganeti.rapi import Rapi
from tests.processes import wait_until


def test_the_version_that_was_asked_for(rapi1: Rapi, rapi2: Rapi) -> None:
    wanted = os.environ.get("GANETI", VERSIONS[-1])
    assert [rapi.ask("GET", "/info")["software_version"][:3] for rapi in (rapi1, rapi2)] == [wanted] * 2


def test_hypervisors_and_disk_templates(rapi1: Rapi) -> None:
    info = rapi1.ask("GET", "/info")
    assert set(info["enabled_hypervisors"]) == {"fake", "kvm"}
    assert set(info["enabled_disk_templates"]) == {"file", "sharedfile", "ext", "diskless", "plain"}


def test_rapi_is_trusted_by_its_own_certificate_alone(c1: Cell, c2: Cell) -> None:
    def ask(cell: Cell, trusting: Cell, password: str = "") -> httpx.Response:
        return httpx.get(f"{cell.url}/2/info", verify=trusting.tls, auth=(cell.user, password or cell.password))

    assert ask(c1, c1).json()["name"] == c1.domain
    assert ask(c2, c2).json()["name"] == c2.domain
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(c1, c2)
    assert ask(c1, c1, "not the password").status_code == 401


def test_an_instance_is_created_and_deleted(c1: Cell, rapi1: Rapi) -> None:
    name = f"snf-{uuid4()}.{c1.domain}"
    rapi1.create(name, "file", 16, 8, pnode=c1.nodes[1].name)
    found = rapi1.ask("GET", f"/instances/{name}")
    assert (found["pnode"], found["disk.sizes"], found["status"]) == (c1.nodes[1].name, [16, 8], "ADMIN_down")
    assert name in c1.run("gnt-instance", "list", "--no-headers", "-o", "name")
    rapi1.job("PUT", f"/instances/{name}/startup")
    assert rapi1.ask("GET", f"/instances/{name}")["status"] == "running"
    rapi1.job("DELETE", f"/instances/{name}")
    assert name not in [one["id"] for one in rapi1.ask("GET", "/instances")]


def test_disks_of_sharedfile_are_on_all_nodes_and_on_no_other_cluster(
    c1: Cell, c2: Cell, rapi1: Rapi, cells: Cells
) -> None:
    name = f"snf-{uuid4()}.{c1.domain}"
    rapi1.create(name, "sharedfile", 16, pnode=c1.master.name)
    there = [name in node.run("ls", "/srv/ganeti/shared-file-storage") for node in (*c1.nodes, c2.master)]
    assert there == [True, True, False]
    rapi1.job("DELETE", f"/instances/{name}")


def test_a_plain_disk_is_offered_and_fails_on_the_node(c1: Cell, rapi1: Rapi) -> None:
    with pytest.raises(AssertionError, match="device-mapper"):
        rapi1.create(f"snf-{uuid4()}.{c1.domain}", "plain", 16, pnode=c1.master.name)


def test_the_shared_directory_is_the_same_everywhere(c1: Cell, c2: Cell, cells: Cells) -> None:
    file = cells.shared / "from outside"
    file.write_text("the same")
    assert [node.run("cat", file) for node in (*c1.nodes, *c2.nodes)] == ["the same"] * 3
    c2.run("tee", cells.shared / "from inside", typed="also")
    assert (cells.shared / "from inside").read_text() == "also"


def test_a_lock_on_a_shared_file_holds_in_nodes_and_outside(c1: Cell, cells: Cells) -> None:
    lock = cells.shared / "lock"
    inside = subprocess.Popen(
        c1.master.command("flock", lock, "sh", "-c", "echo locked; read answer"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert inside.stdout is not None
    assert inside.stdout.readline() == b"locked\n"
    is_free: list[str | Path] = ["flock", "--nonblock", lock, "true"]
    assert subprocess.run(is_free, check=False).returncode == 1
    inside.communicate(b"\n")
    assert subprocess.run(is_free, check=False).returncode == 0


def test_what_is_installed_is_on_all_nodes(c1: Cell, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "script").write_text("#!/bin/sh\necho it runs\n")
    (tmp_path / "there" / "script").chmod(0o755)
    c1.install(tmp_path / "there", "/srv/ganeti/extstorage/installed")
    assert [node.run("/srv/ganeti/extstorage/installed/script") for node in c1.nodes] == ["it runs\n"] * 2


def test_a_node_reaches_its_cluster_and_nothing_else(c1: Cell) -> None:
    assert c1.nodes[1].run("ssh", "-o", "StrictHostKeyChecking=no", c1.master.name, "hostname") == f"{c1.master.name}\n"
    assert c1.master.run("ip", "route").splitlines() == [
        "10.213.0.0/24 dev eth0 proto kernel scope link src 10.213.0.11 "
    ]
    assert "eth0" not in [name for _, name in socket.if_nameindex() if name.startswith("node")]


def test_a_stopped_rapi_answers_nobody_until_it_is_started(c2: Cell, rapi2: Rapi) -> None:
    with c2.master.without("rapi"), pytest.raises(httpx.TransportError):
        rapi2.ask("GET", "/info")
    wait_until("RAPI answers", lambda: _answers(rapi2))


def test_a_stopped_noded_is_a_job_that_fails(c2: Cell, rapi2: Rapi) -> None:
    name = f"snf-{uuid4()}.{c2.domain}"
    with c2.master.without("noded"), pytest.raises(AssertionError, match="'error'"):
        rapi2.create(name, "file", 16, pnode=c2.master.name)
    wait_until("the node answers", lambda: _is_created(rapi2, name, c2))
    rapi2.job("DELETE", f"/instances/{name}")


@pytest.mark.parametrize("way", [Node.without, Node.frozen])
def test_without_luxid_rapi_hangs(c2: Cell, rapi2: Rapi, way: Callable[..., AbstractContextManager[None]]) -> None:
    limits = httpx.Timeout(LIMIT, read=1)
    with way(c2.master, "luxid"), pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{c2.url}/2/info", verify=c2.tls, auth=(c2.user, c2.password), timeout=limits)
    wait_until("RAPI answers", lambda: _answers(rapi2))


def _answers(rapi: Rapi) -> bool:
    try:
        rapi.ask("GET", "/info")
    except (httpx.TransportError, AssertionError):
        return False
    return True


def _is_created(rapi: Rapi, name: str, cell: Cell) -> bool:
    try:
        rapi.create(name, "file", 16, pnode=cell.master.name)
    except AssertionError:
        return False
    return True
