"""The commands for volume types."""

from __future__ import annotations

from tests.cli.stage import Cloud


def test_their_life(stopped: Cloud) -> None:
    fast = stopped.done("volume-type-create", "fast", "--pool", "local", "--spec", "multiattach=no")
    assert (fast["public"], fast["disk_template"], fast["pool"], fast["detachable"]) == (True, "ext", "local", True)
    bound = stopped.done("volume-type-create", "bound", "--disk-template", "plain", "--private", "--project", "demo")
    assert (bound["pool"], bound["detachable"], bound["projects"]) == ("ganeti:plain", False, ["demo"])
    shown = [(one["name"], one["default"]) for one in stopped.done("volume-type-list")]
    assert shown == [("standard", True), ("fast", False), ("bound", False)]
    words = ("--name", "faster", "--add-spec", "a=b", "--remove-spec", "multiattach", "--private")
    tried = stopped.done("volume-type-modify", "fast", *words, "--dry-run")
    assert (tried["name"], tried["specs"]["a"]) == ("faster", "b")
    assert stopped.done("volume-type-show", "fast") == fast
    changed = stopped.done("volume-type-modify", "fast", *words, "--add-project", "admin")
    assert changed["specs"] == {"a": "b", "cyclades:pool": "local"}
    assert (changed["name"], changed["public"], changed["projects"]) == ("faster", False, ["admin"])
    assert stopped.done("volume-type-modify", fast["id"], "--remove-project", "admin")["projects"] == []
    refusals: list[tuple[tuple[str, ...], str]] = [
        (("volume-type-create", "fast", "--pool", "far"), "There is no pool 'far'"),
        (("volume-type-create", "x", "--disk-template", "tape"), "no disk template 'tape'"),
        (("volume-type-create", "bound"), "already exists"),
        (("volume-type-modify", "standard", "--add-project", "demo"), "not applicable to public"),
        (("volume-type-show", "none"), "could not be found"),
    ]
    for wrong, says in refusals:
        assert says in stopped.refused(*wrong), wrong
    assert "There is no 'z'" in stopped.refused("volume-type-modify", "bound", "--remove-spec", "z", code=2)
    assert "not NAME=VALUE" in stopped.refused("volume-type-create", "x", "--spec", "z", code=2)
    stopped.done("volume-create", "--size", "1", "--type", "faster", "--dry-run")
