"""`cyclades volume-create` and `cyclades volume-remove`, beside a cloud that runs and one that does not."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cli.stage import Cloud
from tests.clouds import User
from tests.processes import LIMIT, PROGRAM, command, environment, wait_until

from cyclades.cli.beside import OPERATOR
from cyclades.model import quota
from cyclades.store.schema import operation, quota_usage, volume


def test_what_they_do_the_api_shows(cloud: Cloud) -> None:
    """Nobody but the commands wakes the engine."""
    made = cloud.make("--name", "of the operator", "--project", "demo", "--type", "standard")
    assert made == made | {"name": "of the operator", "project": "demo", "size": 1, "status": "available"}
    other = cloud.make()
    assert (other["name"], other["project"], other["type"]) == (None, "admin", "standard")
    demo = User(cloud.data / "openrc-demo")
    listed = demo.ask("GET", "/volume/v3/volumes/detail")["volumes"]
    assert [(one["id"], one["name"], one["status"]) for one in listed] == [(made["id"], made["name"], "available")]
    done = cloud.command("volume-remove", made["id"], other["id"], made["id"], "--yes", "--wait", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert [(one["id"], one["status"]) for one in json.loads(done.stdout)] == [
        (made["id"], "deleted"),
        (other["id"], "deleted"),
    ]
    assert demo.ask("GET", "/volume/v3/volumes/detail")["volumes"] == []
    demo.close()
    used = sa.select(sa.func.sum(quota_usage.c.used)).where(quota_usage.c.resource.in_([quota.VOLUMES, quota.DISK]))
    assert cloud.database.read_now(lambda tx: tx.execute(used).scalar_one()) == 0
    owners = sa.select(volume.c.project_id).order_by(volume.c.created_at)
    asked = (
        sa.select(operation.c.project_id).where(operation.c.kind == "volume_delete").order_by(operation.c.created_at)
    )
    assert set(cloud.database.read_now(lambda tx: tx.execute(asked).scalars())) == set(
        cloud.database.read_now(lambda tx: tx.execute(owners).scalars())
    )


def test_a_table_for_people(cloud: Cloud) -> None:
    done = cloud.command("volume-create", "--size", "2", "--name", "[red]one", "--wait")
    assert done.returncode == 0, done.stderr
    fields = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.strip())
    shown = {name: fields[name].strip() for name in ("name", "size", "status", "reason")}
    assert shown == {"name": "[red]one", "size": "2", "status": "available", "reason": "-"}


def test_what_is_not_made(stopped: Cloud) -> None:
    for words, says in (
        (("--size", "0"), "0 is less than 1 GiB"),
        (("--size", "-1"), "-1 is less than 1 GiB"),
        (("--size", "1000000000"), "at most 65536 GiB"),
        (("--size", "1", "--name", "n" * 256), "at most 255 characters"),
        (("--size", "1", "--name", "a\x1bb"), "none of them a control character"),
        (("--size", "1", "--name", "a\udcffb"), "not text in UTF-8"),
        (("--size", "1", "--project", "nobody's"), "Project nobody's could not be found"),
        (("--size", "1", "--type", "no such"), "Volume type no such could not be found"),
        (("--size", "10001"), "gigabytes"),
    ):
        done = stopped.command("volume-create", *words)
        assert (done.returncode, done.stdout) == (1, ""), words
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert stopped.statuses() == {}


_WRONG = [
    (),
    ("--size", "ten"),
    ("--size", "1", "-o", "xml"),
    ("--size", "1", "--no-such"),
    ("--size", "1", "--fields", "id,nam"),
    ("--source", "image:"),
]


@pytest.mark.parametrize("words", _WRONG)
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert command("volume-create", *words, "--data", tmp_path).returncode == 2


def test_there_is_no_cloud(tmp_path: Path) -> None:
    done = command("volume-create", "--size", "1", "--data", tmp_path / "cloud")
    assert done.returncode == 1
    assert done.stderr.strip() == f"cyclades: There is no cloud in {tmp_path}/cloud: `cyclades up` makes one."
    assert not (tmp_path / "cloud").exists()


def test_without_an_engine(stopped: Cloud, database_kind: str) -> None:
    """The work is accepted, and it is told that nobody does it. On PostgreSQL an engine may be just starting: that is
    waited for a little."""
    done = stopped.command("volume-create", "--size", "1", "-o", "json")
    assert done.returncode == 0
    volume_id = json.loads(done.stdout)["id"]
    if database_kind == "sqlite":
        says = f"No engine runs on {stopped.data}: it is done when `cyclades up` runs there again.\n"
        assert done.stderr == says
        waits = stopped.command("volume-create", "--size", "1", "--wait")
        assert (waits.returncode, waits.stderr) == (3, says)
    else:
        assert done.stderr == "No engine runs: it is done when `cyclades engine` runs again.\n"
        waits = stopped.command("volume-create", "--size", "1", "--wait")
        assert waits.returncode == 3
        assert re.match(r"No engine runs; waited for \d+ seconds\. .* `cyclades engine`", waits.stderr), waits.stderr
    assert set(stopped.statuses().values()) == {"creating"}
    stopped.start()
    wait_until("the volumes are made", lambda: set(stopped.statuses().values()) == {"available"})
    assert stopped.command("volume-remove", volume_id, "--yes", "--wait").returncode == 0


def test_removal_asks_first(cloud: Cloud) -> None:
    made = cloud.make("--name", "precious")
    for typed in ("n\n", ""):
        done = cloud.command("volume-remove", made["id"], typed=typed)
        assert (done.returncode, done.stdout) == (1, "")
        assert "precious" in done.stderr
        assert done.stderr.endswith("Delete what is listed here? [y/N] Nothing was changed.\n")
    assert cloud.statuses() == {made["id"]: "available"}
    done = cloud.command("volume-remove", made["id"], "--wait", "-o", "json", typed="y\n")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["status"] == "deleted"


def test_all_are_removed_or_none(cloud: Cloud) -> None:
    made = cloud.make()
    unknown = "00000000-0000-4000-8000-000000000000"
    done = cloud.command("volume-remove", made["id"], unknown, "--yes")
    assert (done.returncode, done.stderr) == (1, f"cyclades: Volume {unknown} could not be found.\n")
    assert cloud.statuses() == {made["id"]: "available"}


def test_what_fails_says_why(cloud: Cloud, data: Path) -> None:
    pool = data / "pools" / "local" / "layers"
    shutil.rmtree(pool)
    pool.write_text("in the way")
    done = cloud.command("volume-create", "--size", "1", "--wait", "-o", "json")
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    assert shown["status"] == "error"
    assert done.stderr == f"Volume {shown['id']} failed: {shown['reason']}\n"


def read_until(terminal: int, wanted: str = "") -> str:
    """What comes from a terminal: until it has `wanted`, or to its end."""
    said = b""
    while not (wanted and wanted in said.decode(errors="replace")):
        readable, _, _ = select.select([terminal], [], [], LIMIT)
        assert readable, f"{wanted!r} does not come, only {said!r}"
        try:
            said += os.read(terminal, 4096)
        except OSError:  # how Linux tells that nobody has the other side any more
            break
    return said.decode(errors="replace")


def test_waiting_is_seen_and_can_be_given_up(stopped: Cloud) -> None:
    """On a terminal, for an engine that has been told and does nothing."""
    words = ("volume-create", "--size", "1", "--wait", "--config", str(stopped.config))
    terminal, other_side = pty.openpty()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(stopped.data / "engine.sock"))
        waiting = subprocess.Popen(
            [PROGRAM, *words], env=environment() | {"TERM": "xterm"}, stdout=subprocess.PIPE, stderr=other_side
        )
        os.close(other_side)
        if stopped.database.is_sqlite:
            told.settimeout(LIMIT)
            assert told.recv(100) == b"operations"
        (volume_id,) = wait_until("it is accepted", stopped.statuses)
        read_until(terminal, f"Volume {volume_id}")
        waiting.send_signal(signal.SIGINT)
        said = read_until(terminal)
        out, _ = waiting.communicate(timeout=LIMIT)
        os.close(terminal)
    assert waiting.returncode == 3, said
    assert said.endswith("Not waited for any longer; it goes on all the same.\r\n")
    assert b"creating" in out
    stopped.start()
    wait_until("it has gone on", lambda: set(stopped.statuses().values()) == {"available"})


def test_their_life(cloud: Cloud, data: Path) -> None:
    """From the first to the last command, beside one engine."""
    empty = cloud.make("--name", "first", "--project", "demo", "--meta", "a=1")
    assert (empty["source"], empty["metadata"], empty["servers"]) == ("blank", {"a": "1"}, [])
    words = ("--size", "2", "--name", "second", "--dry-run")
    tried = cloud.done("volume-create", *words)
    assert (tried["name"], tried["status"], set(cloud.statuses())) == ("second", "creating", {empty["id"]})
    changed = cloud.done("volume-modify", empty["id"], "--name", "one", "--meta", "b=2", "--no-meta", "a", "--bootable")
    assert (changed["name"], changed["metadata"], changed["bootable"]) == ("one", {"b": "2"}, True)
    assert cloud.done("volume-modify", empty["id"], "--size", "2", "--wait")["size"] == 2
    snapshot = cloud.done("snapshot-create", empty["id"], "--name", "kept", "--wait")
    assert (snapshot["status"], snapshot["volume"], snapshot["project"]) == ("available", empty["id"], "demo")
    assert cloud.done("snapshot-modify", snapshot["id"], "--description", "to keep")["description"] == "to keep"
    source = f"snapshot:{snapshot['id']}"
    copy = cloud.done("volume-create", "--source", source, "--project", "demo", "--wait")
    assert (copy["size"], copy["source"], copy["status"]) == (2, source, "available")
    other = cloud.done("volume-create", "--source", f"volume:{copy['id']}", "--project", "demo", "--wait")

    def listed(*words: str) -> list[str]:
        return [one["id"] for one in cloud.done(f"{words[0]}-list", *words[1:])]

    assert listed("volume", "--project", "demo") == [empty["id"], copy["id"], other["id"]]
    assert listed("volume", "--name", "on", "--status", "AVAILABLE", "--type", "standard") == [empty["id"]]
    assert len(listed("volume", "--user", OPERATOR)) == 3
    assert listed("volume", "--user", "demo") == []
    assert listed("volume", "--project", "admin") == listed("volume", "--status", "error") == []
    assert listed("snapshot", "--volume", empty["id"]) == listed("snapshot", "--name", "kep") == [snapshot["id"]]
    seen = {line["what"].strip(): line for line in cloud.done("volume-inspect", empty["id"])}
    assert seen["size in bytes"]["database"] == seen["size in bytes"]["pool"] == 2 << 30
    assert not any(line["differs"] for line in seen.values())
    _shrink(cloud, empty["id"])
    differs = cloud.command("volume-inspect", empty["id"], "-o", "csv", "--fields", "what,differs")
    assert (differs.returncode, differs.stdout.splitlines()[2]) == (4, "  size in bytes,true")
    taken = cloud.done("snapshot-remove", snapshot["id"], "--yes", "--wait")
    assert [one["status"] for one in taken] == ["deleted"]
    cloud.done("volume-remove", copy["id"], "--yes", "--wait")
    assert listed("volume", "--deleted") == [empty["id"], copy["id"], other["id"]]
    assert cloud.done("volume-show", copy["id"])["status"] == "deleted"
    refusals: list[tuple[tuple[str, ...], str]] = [
        (("volume-attach", other["id"], "--server", copy["id"]), "Server"),
        (("volume-detach", other["id"], "--yes"), "has no server"),
        (("volume-modify", other["id"], "--delete-on-termination"), "has no server"),
        (("volume-modify", other["id"], "--size", "1"), "must be greater"),
        (("volume-list", "--user", "nobody"), "User nobody could not be found"),
        (("volume-info", "nothing"), "could not be found"),
        (("volume-create", "--source", source), "could not be found"),
        (("snapshot-show", "nothing"), "could not be found"),
        (("volume-import", "far", "disk"), "Pool far could not be found"),
    ]
    for wrong, says in refusals:
        assert says in cloud.refused(*wrong), wrong
    assert "Say what is to change" in cloud.refused("volume-modify", other["id"], code=2)
    disk = data / "pools" / "local" / "incoming" / "found.raw"
    disk.write_bytes(b"x" * (1 << 20))
    found = cloud.done("volume-import", "local", "incoming/found.raw", "--name", "found", "--wait")
    assert (found["name"], found["status"], found["size"]) == ("found", "available", 1)


def _shrink(cloud: Cloud, volume_id: str) -> None:
    """In the database alone."""
    cloud.database.write_now(lambda tx: tx.execute(volume.update().where(volume.c.id == volume_id).values(size=1)))
