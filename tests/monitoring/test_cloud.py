"""The figures about the whole cloud, which the database knows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from tests.monitoring.figures import samples, value

from cyclades.config import Settings, load
from cyclades.model.quota import RAM, VOLUMES
from cyclades.monitoring.cloud import CloudCollector
from cyclades.monitoring.metrics import Metrics
from cyclades.operations.base import new_id
from cyclades.store import backends, differences, operations, pools, quotas, services
from cyclades.store.database import Database, Tx
from cyclades.store.schema import now, operation

BUSY = "b" * 32


def read(database: Database, settings: Settings) -> Any:
    metrics = Metrics(database, CloudCollector(database, settings))
    return partial(value, samples(generate_latest(metrics.registry).decode()))


def add_operation(tx: Tx, **values: Any) -> None:
    op_id = new_id()
    operations.add(
        tx, op_id, kind="volume_create", args={}, resource_kind="volume", resource_id=op_id, project_id=BUSY,
        user_id="u", request_id="req-1",
    )  # fmt: skip
    if values:
        tx.execute(operation.update().where(operation.c.id == op_id).values(values))


def test_a_cloud_that_was_never_used(database: Database, tmp_path: Path) -> None:
    read_value = read(database, load(None, {}, data=str(tmp_path)))
    assert read_value("queue_seconds") == 0
    assert read_value("processes", kind="engine") == 0
    assert read_value("backend_up", backend="local") == 0
    assert read_value("backend_enabled", backend="local") == 1
    assert read_value("pool_up", pool="local") == 0
    assert read_value("pool_free_bytes", pool="local") is None
    assert read_value("reconciliation_age_seconds") is None


def fill(tx: Tx) -> None:
    hour_ago = now() - 3600 * 1_000_000
    add_operation(tx)
    add_operation(tx, not_before=hour_ago, created_at=hour_ago)
    add_operation(tx, attempts=1, not_before=now() + 3600 * 1_000_000)
    add_operation(tx, state="running", lease_until=now() + 3600 * 1_000_000)
    add_operation(tx, state="done", ended_at=now())
    for number in range(2):
        services.seen(tx, f"engine-{number}", host="h", kind="engine", version="1")
    host = {"kind": "local", "vcpus": 4, "memory": 1024, "program": "qemu", "version": 7, "memory_free": 512}
    backends.report(tx, "local", **host, problem=None)
    backends.change(tx, "local", enabled=False, disabled_reason=None)
    pools.report(tx, "local", engine="qcow2", total=100, free=40, promised=120)
    quotas.count(tx, BUSY, {VOLUMES: 80, RAM: 100})  # the limit of volumes is 100
    for number in range(3):
        quotas.count(tx, str(number) * 32, {VOLUMES: 79})
    quotas.set_limit(tx, "0" * 32, VOLUMES, 79)
    quotas.set_limit(tx, "1" * 32, VOLUMES, -1)
    found = {"kind": "quota", "resource": "r", "place": "database", "recorded": "1", "found": "2", "fixes": []}
    assert differences.take_turn(tx, "me", lease=1, every=0)
    assert differences.report(tx, "me", [{**found, "advice": None}], {"paris": "down"}, {"database", "paris"})


def test_a_cloud_that_is_used(database: Database, tmp_path: Path) -> None:
    database.write_now(fill)
    read_value = read(database, load(None, {}, data=str(tmp_path)))
    of_kind = partial(read_value, "operations_open", kind="volume_create")
    assert [of_kind(phase=phase) for phase in ("queued", "put-off", "running", "done")] == [2, 1, 1, None]
    assert read_value("operations_oldest_seconds", kind="volume_create", phase="queued") >= 3600
    assert read_value("operations_oldest_seconds", kind="volume_create", phase="running") < 3600
    assert read_value("queue_seconds") >= 3600
    assert read_value("processes", kind="engine") == 2
    assert (read_value("backend_up", backend="local"), read_value("backend_enabled", backend="local")) == (1, 0)
    assert read_value("backend_memory_free_bytes", backend="local") == 512 << 20
    of_pool = [read_value(f"pool_{name}_bytes", pool="local") for name in ("total", "free", "promised")]
    assert of_pool == [100, 40, 120]
    assert read_value("pool_up", pool="local") == 1
    assert read_value("quota_used", resource=VOLUMES) == 80 + 3 * 79
    assert read_value("quota_projects_nearly_full", resource=VOLUMES) == 2
    assert read_value("quota_projects_nearly_full", resource=RAM) == 0
    assert read_value("differences", kind="quota") == 1
    assert read_value("reconciliation_unseen") == 1
    assert read_value("reconciliation_age_seconds") < 3600
