"""The commands for backends, on real clusters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.cli.stage import Cloud, write_config
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.processes import wait_until

from cyclades.backends.ganeti.survey import fingerprint
from cyclades.security.keys import Keys
from cyclades.store import backend_disks, clusters

_OS = "blank"  # which every cell has


@pytest.fixture
def cloud(blank_database_url: str, cells: Cells, tmp_path: Path) -> Iterator[Cloud]:
    config = write_config(tmp_path, tmp_path / "data", blank_database_url)
    cloud = Cloud(config, tmp_path / "data", blank_database_url)
    Keys(tmp_path / "data" / "keys")  # as `up` makes them
    yield cloud
    cloud.end()


@pytest.fixture
def way(c1: Cell, tmp_path: Path) -> tuple[str, ...]:
    """Into the cluster c1, for who knows its certificate."""
    password = tmp_path / "password"
    password.write_text(f"{c1.password}\n")
    words = ("--url", c1.url, "--user", c1.user, "--password-file", str(password))
    return (*words, "--certificate", str(c1.certificate), "--os", _OS)


def names(cloud: Cloud) -> list[str]:
    return [row.name for row in cloud.database.read_now(clusters.every)]


def shown(cloud: Cloud) -> Any:
    return cloud.done("backend-show", "c1")


def test_a_cluster_comes_and_goes_while_an_engine_runs(cloud: Cloud, c1: Cell, way: tuple[str, ...]) -> None:
    """It sees what the cluster holds before it says yes. The engine takes up each change at once."""
    cloud.start()
    ours = str(uuid4())
    for name in (f"snf-{ours}.cyclades.internal", "mail.example.com"):
        made = ("-t", "diskless", "-H", "fake", "-o", _OS, "--no-install", "--no-start", "-n", c1.master.name)
        c1.run("gnt-instance", "add", *made, "--no-name-check", "--no-ip-check", name)
    try:
        words = ("backend-add", "c1", *way, "--pool", "local", "--hvparam", "acpi=false")
        asked = cloud.command(*words, typed="n\n")
        assert (asked.returncode, asked.stdout, names(cloud)) == (1, "", [])
        holds = dict(line.strip().split("  ", 1) for line in asked.stderr.splitlines() if "  " in line.strip())
        assert holds["cluster"].strip() == c1.domain
        assert holds["nodes"].strip() == f"{len(c1.nodes)}, of which {len(c1.nodes)} take servers"
        assert f"{ours} (this cloud does not know it)" in asked.stderr
        assert holds["other instances, which are left alone"].strip() == "1"
        assert holds["wipes new disks"].strip() == "no"
        assert asked.stderr.endswith("Add this cluster as backend c1? [y/N] Nothing was changed.\n")
        assert cloud.done(*words, "--dry-run")["pools"] == ["local"]
        assert names(cloud) == []
        added = json.loads(cloud.command(*words, "-o", "json", typed="y\n").stdout)
    finally:
        c1.run("gnt-instance", "remove", "--force", f"snf-{ours}.cyclades.internal")
        c1.run("gnt-instance", "remove", "--force", "mail.example.com")
    assert (added["state"], added["takes_no_servers_because"], added["pools"]) == ("up", None, ["local"])
    assert added["options"]["hvparams"] == {"acpi": False}
    assert added["certificate"] == fingerprint(c1.certificate.read_text())
    row = cloud.database.read_now(lambda tx: clusters.get(tx, "c1"))
    assert c1.password.encode() not in row.password
    wait_until("an engine has looked at it", lambda: shown(cloud)["seen_at"] > added["seen_at"])
    offline = cloud.done("backend-modify", "c1", "--offline", "--yes")
    assert (offline["state"], offline["takes_no_servers_because"]) == ("offline", "it is offline")
    online = cloud.done("backend-modify", "c1", "--online", "--hvparam", "acpi=", "--nic-link", "br0", "--yes")
    assert (online["options"]["hvparams"], online["options"]["nic_link"]) == ({}, "br0")
    wait_until("an engine has looked again", lambda: shown(cloud)["seen_at"] > online["seen_at"])
    assert cloud.done("backend-remove", "c1", "--yes") is None
    assert names(cloud) == []


def test_a_certificate_that_is_only_shown_is_confirmed(cloud: Cloud, c1: Cell, way: tuple[str, ...]) -> None:
    words = ("backend-add", "c1", *way[:6], *way[8:])
    seen = fingerprint(c1.certificate.read_text())
    said = cloud.refused(*words, typed="n\n")
    assert seen in said
    assert said.endswith("Is it this one? [y/N] Nothing was changed.\n")
    assert "another fingerprint" in cloud.refused(*words, "--fingerprint", seen[:-2] + "zz", "--yes")
    assert cloud.done(*words, "--fingerprint", seen, "--yes")["certificate"] == seen
    wrong = cloud.refused("backend-modify", "c1", "--password-file", "-", "--yes", typed="wrong\n")
    assert "does not let Cyclades in" in wrong


def test_what_does_not_fit_is_refused(cloud: Cloud, c1: Cell, way: tuple[str, ...]) -> None:
    def add(*words: str) -> str:
        return cloud.refused("backend-add", "c1", *way, *words, "--yes")

    def enable(templates: str) -> None:
        both = ("--enabled-disk-templates", templates, "--ipolicy-disk-templates", templates)
        c1.run("gnt-cluster", "modify", *both)

    assert "no hypervisor 'xen-pvm'; it has fake, kvm" in add("--hypervisor", "xen-pvm")
    assert f"OS definition 'none'; they have {_OS}" in add("--os", "none")
    assert "does not let Cyclades in" in add("--user", "nobody")
    c1.run("gnt-cluster", "modify", "--prealloc-wipe-disks=yes")
    try:
        assert "prealloc_wipe_disks" in add("--pool", "local")
        cloud.done("backend-add", "c1", *way, "--yes")  # its own disks are its own
        assert "prealloc_wipe_disks" in cloud.refused("backend-modify", "c1", "--add-pool", "local", "--yes")
    finally:
        c1.run("gnt-cluster", "modify", "--prealloc-wipe-disks=no")
    assert "is at this URL already" in cloud.refused("backend-add", "again", *way, "--yes")
    assert cloud.done("backend-modify", "c1", "--add-pool", "local", "--yes")["pools"] == ["local"]
    enable("file,sharedfile,diskless,plain")
    try:
        said = cloud.refused("backend-modify", "c1", "--hvparam", "acpi=true", "--yes")
        assert "need the disk template ext" in said
        assert cloud.done("backend-modify", "c1", "--remove-pool", "local", "--yes")["pools"] == []
    finally:
        enable("file,sharedfile,ext,diskless,plain")


def test_one_that_is_used_stays(cloud: Cloud, way: tuple[str, ...]) -> None:
    cloud.done("backend-add", "c1", *way, "--pool", "local", "--yes")
    disk = {"volume_id": str(uuid4()), "server_id": None, "template": "sharedfile", "size": 1 << 30, "generation": 1}
    uuid = str(uuid4())
    cloud.database.write_now(lambda tx: backend_disks.saw(tx, "c1", uuid, **disk))
    assert f"keeps 1 disks of volumes ({disk['volume_id']}" in cloud.refused("backend-remove", "c1", "--yes")
    cloud.database.write_now(lambda tx: backend_disks.gone(tx, "c1", uuid))
    assert names(cloud) == ["c1"]
    cloud.done("backend-remove", "c1", "--yes")
