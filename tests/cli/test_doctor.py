"""`cyclades doctor`: beside a cloud that runs, and on one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.cli.stage import Cloud
from tests.processes import command, wait_until

from cyclades.model.quota import VOLUMES
from cyclades.operations.base import new_id
from cyclades.store import backends, differences, operations, quotas, services
from cyclades.store.database import Tx
from cyclades.store.schema import layer, look, message, now, operation, pool, service

HOUR = 3600 * 1_000_000
ERROR = 2


def look_at(cloud: Cloud, *words: str) -> tuple[int, list[dict[str, Any]]]:
    done = cloud.command("doctor", "-o", "json", *words)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def about(found: list[dict[str, Any]], word: str, severity: str) -> str:
    """What is said of something in this severity, with the advice; at least one line."""
    lines = [one for one in found if one["about"].startswith(word) and one["severity"] == severity]
    assert lines, found
    return "\n".join(f"{one['finding']} → {one['advice']}" for one in lines)


def test_a_cloud_that_runs(cloud: Cloud) -> None:
    cloud.make()

    def is_well() -> bool:
        """The first looks at pool and backend, and the first word of each process, may still be on their way. The
        machine's own file systems may be full."""
        return all("are free" in one["finding"] for one in look_at(cloud, "--problems")[1])

    wait_until("all is well", is_well)
    code, found = look_at(cloud)
    assert code == max(["ok", "warning", "error"].index(one["severity"]) for one in found)
    topics = {one["about"].partition(" ")[0] for one in found}
    assert topics >= {"settings", "data", "keys", "database", "clock", "engine", "api", "version", "operations"}
    assert topics >= {"pool", "backend", "quotas", "reconciliation", "housekeeping"}


def test_a_cloud_that_is_stopped_and_was_left_in_disorder(stopped: Cloud) -> None:
    stopped.database.write_now(disorder)
    (stopped.data / "keys").mkdir()
    (stopped.data / "keys").chmod(0o755)
    code, found = look_at(stopped)
    assert code == ERROR
    severities = [one["severity"] for one in found]
    assert severities == sorted(severities, key=["error", "warning", "ok"].index)
    assert "cyclades" in about(found, "engine", "error")
    assert "nobody can ask" in about(found, "api", "error")
    assert "gone:1 has said nothing since" in about(found, "engine", "warning")
    assert "chmod 700" in about(found, "keys", "warning")
    assert "operation-show" in about(found, "operation ", "warning")
    assert "it burns" in about(found, "operation ", "warning")
    assert "1 failed in the last day" in about(found, "operations", "ok")
    assert "backend-modify local --undrained" in about(found, "backend", "warning")
    assert "4.0 GiB of 100.0 GiB" in about(found, "pool", "error")
    assert "volumes: 1" in about(found, "quotas", "ok")
    said = about(found, "reconciliation", "warning")
    assert "1 of kind quota. → cyclades reconcile-quotas" in said
    assert "1 of kind pool-owner. → cyclades reconcile-volumes" in said
    assert "1 of kind disk-size. → cyclades reconcile-servers" in said
    assert "could not look at paris: down" in said
    assert "message rows" in about(found, "housekeeping", "warning")


def disorder(tx: Tx) -> None:
    services.seen(tx, "gone:1", host="h", kind="engine", version="1")
    tx.execute(service.update().values(seen_at=now() - HOUR // 2))
    for values in (
        {"state": "waiting", "attempts": 3, "reason": "it burns", "created_at": now() - 2 * HOUR},
        {"state": "failed", "ended_at": now()},
    ):
        op_id = new_id()
        operations.add(
            tx, op_id, kind="volume_create", args={}, resource_kind="volume", resource_id=op_id, project_id="p",
            user_id="u", request_id="req-1",
        )  # fmt: skip
        tx.execute(operation.update().where(operation.c.id == op_id).values(values))
    host = {"kind": "local", "vcpus": 4, "memory": 1024, "program": "qemu", "version": 7}
    backends.report(tx, "local", **host, problem=None)
    backends.change(tx, "local", enabled=False, disabled_reason="new disks")
    gib = 1 << 30
    tx.execute(
        pool.insert().values(name="local", engine="qcow2", total=100 * gib, free=4 * gib, promised=0, seen_at=now())
    )
    quotas.count(tx, "p" * 32, {VOLUMES: 80})  # of 100
    assert differences.take_turn(tx, "me", lease=1, every=0)
    found: list[dict[str, Any]] = [
        {"kind": kind, "resource": resource, "place": "here", "recorded": "", "found": "", "advice": None, "fixes": []}
        for kind, resource in (("quota", "volumes"), ("pool-owner", "volume 1"), ("disk-size", "volume 1"))
    ]
    assert differences.report(tx, "me", found, {"paris": "down"}, {"here"})
    tx.execute(
        message.insert().values(
            id=new_id(), project_id="p", request_id="r", operation="volume_create", resource_kind="volume",
            resource_id=new_id(), text="", created_at=0, expires_at=now() - 48 * HOUR,
        )
    )  # fmt: skip


def test_what_engines_should_have_done(stopped: Cloud) -> None:
    """One is there by its own word, and does not do it."""

    def fill(tx: Tx) -> None:
        disorder(tx)
        services.seen(tx, "here:1", host="h", kind="engine", version="0.0")
        tx.execute(pool.update().values(seen_at=1))
        tx.execute(look.update().values(ended_at=now() - 24 * HOUR))
        late = operation.update().where(operation.c.ended_at.is_(None)).values(not_before=now() - HOUR)
        tx.execute(late)

    stopped.database.write_now(fill)
    code, found = look_at(stopped, "--problems")
    assert code == ERROR
    assert "do not reach it" in about(found, "pool", "error")
    assert "no engine has taken it for 60 minutes" in about(found, "operation ", "warning")
    assert "The last look ended 24 hours ago" in about(found, "reconciliation", "warning")
    assert "processes run 0.0" in about(found, "version", "warning")

    def half_made(tx: Tx) -> None:
        tx.execute(operation.update().values(ended_at=now()))
        tx.execute(layer.insert().values(id=new_id(), pool="local", size=1, state="making", created_at=1))

    stopped.database.write_now(half_made)
    assert "1 files are half made" in about(look_at(stopped)[1], "pool", "warning")


def test_keys_and_tables_that_are_not_right(stopped: Cloud) -> None:
    (stopped.data / "keys").mkdir(mode=0o700, exist_ok=True)
    (stopped.data / "keys" / f"tokens-{'0' * 16}.json").write_text("{")
    (stopped.data / "keys" / f"tokens-{'0' * 16}.json").chmod(0o600)
    stopped.database.write_now(lambda tx: tx.execute(sa.text("UPDATE alembic_version SET version_num = '0001'")))
    code, found = look_at(stopped)
    assert code == ERROR
    assert "cannot be read" in about(found, "keys", "error")
    assert "→ cyclades db upgrade" in about(found, "database", "error")
    assert not any(one["about"] in ("clock", "engine") for one in found)


def test_no_cloud_and_wrong_settings(tmp_path: Path) -> None:
    done = command("doctor", "--data", tmp_path / "none", "-o", "json")
    assert done.returncode == ERROR
    assert "There is no cloud" in about(json.loads(done.stdout), "database", "error")
    assert not (tmp_path / "none").exists()
    open_to_all = {"CYCLADES_API_HOST": "0.0.0.0", "CYCLADES_ENGINE_RECONCILE_SECONDS": "0"}
    found = json.loads(command("doctor", "--data", tmp_path / "none", "-o", "json", **open_to_all).stdout)
    assert "no TLS" in about(found, "settings", "error")
    assert "reconcile_seconds" in about(found, "settings", "warning")
    (tmp_path / "wrong.toml").write_text("port = 1\n")
    assert command("doctor", "--config", tmp_path / "wrong.toml").returncode == 2


@pytest.mark.parametrize("words", [("-o", "table"), ("-o", "csv", "--fields", "severity,about")])
def test_it_is_shown_as_others_are(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = command("doctor", "--data", tmp_path / "none", *words)
    assert done.returncode == ERROR
    assert "severity" in done.stdout
    assert "data directory" in done.stdout
