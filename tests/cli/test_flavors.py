"""The commands for flavors."""

from __future__ import annotations

import csv
import io

from tests.cli.stage import Cloud


def test_their_life(stopped: Cloud) -> None:
    stopped.done("volume-type-create", "fast")
    lists = ("flavor-create", "1,2", "512,1024", "5,10", "standard,fast")
    tried = stopped.command(*lists, "--dry-run", "-o", "csv", "--fields", "name,vcpus,ram,disk,specs")
    rows = list(csv.DictReader(io.StringIO(tried.stdout)))
    assert (len(rows), rows[0]["name"], rows[-1]["name"]) == (16, "C1R512D5standard", "C2R1024D10fast")
    assert len(stopped.done("flavor-list")) == 5
    made = stopped.done(*lists, "--private", "--spec", "a=b")
    assert [one["name"] for one in made] == [row["name"] for row in rows]
    assert made[0]["specs"] == {"a": "b", "cyclades:volume_type": "standard"}
    found = {one["name"]: one for one in stopped.done("flavor-list", "--private", "--name", "C2R1024")}
    assert found == {one["name"]: one for one in made[-4:]}
    assert "already exists" in stopped.refused("flavor-create", "4,2", "1024", "10", "fast,standard")
    assert len(stopped.done("flavor-list")) == 5 + 16
    given = stopped.done("flavor-access-add", made[0]["name"], "demo")
    assert given["projects"] == ["demo"]
    (access,) = stopped.done("flavor-access-list", "--project", "demo")
    assert (access["flavor"], access["project"]) == (made[0]["name"], "demo")
    assert "already exists" in stopped.refused("flavor-access-add", made[0]["id"], "demo")
    assert stopped.done("flavor-access-remove", made[0]["id"], "demo")["projects"] == []
    assert stopped.done("flavor-access-list") == []
    words = ("--public", "--description", "for all", "--add-spec", "c=d", "--remove-spec", "a")
    changed = stopped.done("flavor-modify", made[0]["name"], *words)
    assert (changed["public"], changed["description"]) == (True, "for all")
    assert changed["specs"] == {"cyclades:volume_type": "standard", "c": "d"}
    assert stopped.done("flavor-modify", made[0]["id"], "--deleted")["deleted_at"] is not None
    assert "could not be found" in stopped.refused("flavor-show", made[0]["id"])
    assert stopped.done("flavor-show", "m1.nano")["ram"] == 128
    assert "is no number from 1 on" in stopped.refused("flavor-create", "0", "1", "1", code=2)
    assert "cannot have one name" in stopped.refused("flavor-create", "1,2", "1", "1", "--name", "x", code=2)
