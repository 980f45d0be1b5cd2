"""The commands for operations, and for pools."""

from __future__ import annotations

from tests.cli.stage import Cloud
from tests.processes import wait_until

from cyclades.store.schema import now, operation


def _put_off(cloud: Cloud) -> None:
    """As one that waits for what is away; in a cloud that nobody wakes, for long."""
    late = operation.update().values(not_before=now() + 3_600_000_000, reason="Waits for the tide.")
    cloud.database.write_now(lambda tx: tx.execute(late))


def test_one_that_waits_is_seen_and_tried_again(stopped: Cloud) -> None:
    volume = stopped.done("volume-create", "--size", "1", "--project", "demo")
    _put_off(stopped)
    stopped.start()
    (waiting,) = stopped.done("operation-list", "--project", "demo", "--kind", "volume_create", "--older", "0")
    assert (waiting["state"], waiting["step"], waiting["reason"]) == (
        "waiting",
        "make_disk (1/1)",
        "Waits for the tide.",
    )
    assert waiting["resource"] == f"volume {volume['id']}"
    assert waiting["next_try_at"] > waiting["created_at"]
    assert stopped.done("operation-show", waiting["id"])["steps"] == ["make_disk"]
    ended = stopped.done("operation-retry", waiting["id"], "--wait")
    assert (ended["state"], ended["step"], ended["reason"]) == ("done", None, None)
    assert stopped.done("operation-list") == stopped.done("operation-list", "--failed") == []
    assert [one["id"] for one in stopped.done("operation-list", "--all", "--resource", volume["id"])] == [ended["id"]]
    assert "asked for anew" in stopped.refused("operation-retry", waiting["id"])
    assert "has ended" in stopped.refused("operation-abort", waiting["id"], "--yes")
    assert "could not be found" in stopped.refused("operation-show", "none")


def test_one_is_aborted(stopped: Cloud) -> None:
    volume = stopped.done("volume-create", "--size", "1")
    _put_off(stopped)
    stopped.start()
    (waiting,) = stopped.done("operation-list")
    asked = stopped.command("operation-abort", waiting["id"], typed="n\n")
    assert (asked.returncode, "Undo this operation?" in asked.stderr) == (1, True)
    ended = stopped.done("operation-abort", waiting["id"], "--yes", "--wait")
    assert (ended["state"], ended["aborted"]) == ("failed", True)
    assert stopped.statuses() == {volume["id"]: "error"}
    assert [one["id"] for one in stopped.done("operation-list", "--failed")] == [ended["id"]]


def test_one_past_its_point_of_no_return_goes_on(stopped: Cloud) -> None:
    stopped.done("volume-create", "--size", "1")
    late = operation.update().values(kind="server_delete", step=1)
    stopped.database.write_now(lambda tx: tx.execute(late))
    (waiting,) = stopped.done("operation-list")
    assert "past its point of no return" in stopped.refused("operation-abort", waiting["id"], "--yes")


def test_pools(cloud: Cloud) -> None:
    cloud.make()

    def seen() -> bool:
        return bool(cloud.done("pool-show", "local")["state"] == "up")

    wait_until("the engine has looked at it", seen)
    (local,) = cloud.done("pool-list")
    assert (local["name"], local["engine"], local["enabled"], local["volumes"]) == ("local", "qcow2", True, 1)
    assert (local["backends"], local["volume_gib"], local["snapshots"]) == (["local"], 1, 0)
    assert local["directory"] == str(cloud.data / "pools" / "local")
    assert "could not be found" in cloud.refused("pool-show", "far")
