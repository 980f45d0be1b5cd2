"""`cyclades reconcile-servers`, `-volumes` and `-quotas`, beside a cloud that runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cli.stage import Cloud
from tests.processes import wait_until

from cyclades.backends.local.home import Home, Wanted
from cyclades.cli.refused import DIFFERS
from cyclades.model import quota
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations.base import new_id
from cyclades.store import layers
from cyclades.store.schema import quota_usage, volume

COMMANDS = ("reconcile-servers", "reconcile-volumes", "reconcile-quotas")


def found(cloud: Cloud, *words: str, code: int) -> list[Any]:
    done = cloud.command(*words, "-o", "json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def add_disk(cloud: Cloud) -> str:
    """In the pool, of nobody."""
    disk, layer = volume_disk(new_id()), new_id()
    (cloud.data / "pools" / "local" / "layers" / f"{layer}.qcow2").touch()

    def add(tx: Any) -> None:
        layers.add(tx, "local", layer, size=GIB)
        layers.change(tx, layer, state="live")
        layers.add_disk(tx, "local", disk, layer, written=True)

    cloud.database.write_now(add)
    return disk


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_differs(cloud: Cloud, command: str) -> None:
    cloud.make()
    assert found(cloud, command, code=0) == []
    assert found(cloud, command, "--fix-all", code=0) == []


def test_usage_that_is_not_the_sum(cloud: Cloud) -> None:
    cloud.make()
    mine = quota_usage.c.resource == quota.VOLUMES
    more = quota_usage.update().where(mine).values(used=quota_usage.c.used + 3)
    cloud.database.write_now(lambda tx: tx.execute(more))
    (one,) = found(cloud, "reconcile-quotas", code=DIFFERS)
    assert (one["kind"], one["recorded"], one["found"]) == ("quota", "4 of volumes", "1 of volumes")
    assert one["mended_by"] == ["--fix-quota"]
    assert cloud.command("reconcile-quotas", "--fix-quota", typed="n\n").returncode == 1
    assert len(found(cloud, "reconcile-quotas", "--fix-all", "--dry-run", code=0)) == 1
    assert len(found(cloud, "reconcile-quotas", code=DIFFERS)) == 1
    assert len(found(cloud, "reconcile-quotas", "--fix-all", "--yes", code=0)) == 1
    assert found(cloud, "reconcile-quotas", code=0) == []


def test_a_disk_that_nobody_owns_is_deleted_by_its_own_flag_alone(cloud: Cloud) -> None:
    disk = add_disk(cloud)
    (one,) = found(cloud, "reconcile-volumes", code=DIFFERS)
    assert (one["kind"], one["resource"], one["place"]) == ("pool-disk-unowned", f"disk {disk}", "local")
    assert found(cloud, "reconcile-volumes", "--fix-all", "--yes", code=DIFFERS) == []
    assert found(cloud, "reconcile-servers", code=0) == []
    assert len(found(cloud, "reconcile-volumes", "--fix-pool-disk-unowned", "--yes", "--wait", code=0)) == 1
    assert cloud.database.read_now(lambda tx: layers.disks(tx, "local")) == []
    assert found(cloud, "reconcile-volumes", code=0) == []


def test_a_server_that_nobody_owns(cloud: Cloud) -> None:
    home = Home(cloud.data / "servers" / new_id())
    home.directory.mkdir()
    home.want(Wanted("off", {}))
    (one,) = found(cloud, "reconcile-servers", code=DIFFERS)
    assert (one["kind"], one["resource"]) == ("server-unknown", f"server {home.server_id}")
    assert found(cloud, "reconcile-servers", "--fix-all", "--yes", code=DIFFERS) == []
    assert len(found(cloud, "reconcile-servers", "--fix-server-unknown", "--yes", code=0)) == 1
    wait_until("the server is gone", lambda: not home.directory.exists())


def test_what_is_refused_keeps_nothing_else_from_being_mended(cloud: Cloud) -> None:
    """A volume of a size that no volume may have."""
    good, bad = cloud.make(), cloud.make()

    def grow(tx: Any) -> None:
        for made, size in ((good, GIB + 1), (bad, 1 << 60)):
            row = layers.find(tx, "local", volume_disk(made["id"]))
            assert row is not None
            layers.change(tx, row.layer_id, size=size)

    cloud.database.write_now(grow)
    done = cloud.command("reconcile-volumes", "--fix-disk-size", "--yes", "--wait")
    assert done.returncode == 1
    assert f"disk-size, volume {bad['id']}: " in done.stderr
    size = cloud.database.read_now(lambda tx: tx.execute(volume.select().where(volume.c.id == good["id"])).one().size)
    assert size == 2


def test_help_names_each_way(stopped: Cloud) -> None:
    for command, flags in zip(COMMANDS, ("--fix-disk-missing", "--fix-pool-owner", "--fix-quota"), strict=True):
        done = stopped.command(command, "--help")
        assert done.returncode == 0
        assert "--fix-all" in done.stdout
        assert flags in done.stdout
