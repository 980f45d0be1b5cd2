"""The commands for quotas."""

from __future__ import annotations

from typing import Any

from tests.cli.stage import Cloud

from cyclades.store.schema import quota_usage


def of(items: list[dict[str, Any]], *names: str) -> dict[str, tuple[Any, Any, Any]]:
    return {one["resource"]: (one["used"], one["limit"], one["own"]) for one in items if one["resource"] in names}


def test_their_life(stopped: Cloud) -> None:
    names = ("volumes", "gigabytes_standard", "cyclades.disk", "ram")
    assert of(stopped.done("quota-show"), *names) == {
        "volumes": (None, 100, False),
        "gigabytes_standard": (None, None, False),
        "cyclades.disk": (None, None, False),
        "ram": (None, 512 * 1024, False),
    }
    stopped.done("quota-set", "--defaults", "volumes=20", "gigabytes_standard=50")
    limits = ("quota-set", "--project", "demo", "volumes=2", "ram=-1")
    assert of(stopped.done(*limits, "--dry-run"), "volumes") == {"volumes": (0, 2, True)}
    assert of(stopped.done("quota-show", "demo"), "volumes") == {"volumes": (0, 20, False)}
    shown = stopped.done(*limits)
    assert of(shown, *names) == {
        "volumes": (0, 2, True),
        "gigabytes_standard": (0, 50, False),
        "cyclades.disk": (0, None, False),
        "ram": (0, None, True),
    }
    for _ in range(2):
        stopped.done("volume-create", "--size", "3", "--project", "demo")
    assert "Maximum number of volumes allowed (2)" in stopped.refused("volume-create", "--size", "3", "-p", "demo")
    assert "needs --force" in stopped.refused("quota-set", "-p", "demo", "volumes=1")
    assert of(stopped.done("quota-set", "-p", "demo", "volumes=1", "--force"), "volumes") == {"volumes": (2, 1, True)}
    assert of(stopped.done("quota-set", "-p", "demo", "volumes=default"), "volumes") == {"volumes": (2, 20, False)}
    (used,) = stopped.done("quota-list", "--resource", "gigabytes_standard", "--full", "10")
    assert (used["project"], used["used"], used["percent"]) == ("demo", 6, 12)
    assert {one["project"] for one in stopped.done("quota-list", "--used")} == {"demo"}
    assert "There is no quota 'tapes'" in stopped.refused("quota-set", "--defaults", "tapes=1")
    assert "is not NAME=LIMIT" in stopped.refused("quota-set", "--defaults", "volumes=many", code=2)
    assert "Say whose" in stopped.refused("quota-set", "volumes=1", code=2)


def test_a_wrong_count_is_found_and_mended_when_told(cloud: Cloud) -> None:
    cloud.make("--project", "demo")
    assert cloud.done("quota-check") == []
    wrong = quota_usage.update().where(quota_usage.c.resource == "gigabytes").values(used=7)
    cloud.database.write_now(lambda tx: tx.execute(wrong))
    found = cloud.command("quota-check", "-o", "csv", "--fields", "project,resource,there,counted")
    assert (found.returncode, found.stdout) == (4, "project,resource,there,counted\ndemo,gigabytes,1,7\n")
    assert cloud.command("quota-check", "--fix", typed="n\n").returncode == 1
    assert cloud.command("quota-check", "--fix", "--dry-run").returncode == 4
    (mended,) = cloud.done("quota-check", "--fix", "--yes")
    assert (mended["there"], mended["counted"]) == (1, 7)
    assert cloud.done("quota-check") == []


def test_what_is_on_its_way_is_not_judged(stopped: Cloud) -> None:
    stopped.done("volume-create", "--size", "1", "--project", "demo")
    wrong = quota_usage.update().values(used=7)
    stopped.database.write_now(lambda tx: tx.execute(wrong))
    done = stopped.command("quota-check", "-o", "json")
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert done.stderr == "Left out: 1 projects in which operations are at work.\n"
