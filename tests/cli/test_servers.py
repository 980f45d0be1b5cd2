"""The commands for servers, on this machine."""

from __future__ import annotations

import json

from tests.cli.stage import Cloud
from tests.clouds import User
from tests.processes import end_guests, guests

SERVER_WORDS = ("--flavor", "m1.nano", "--project", "demo")


def test_their_life(cloud: Cloud) -> None:
    """With real QEMUs, whose guests find nothing to boot."""
    demo = User(cloud.data / "openrc-demo")
    image = demo.new_image(b"nothing to boot".ljust(1 << 20, b"\0"), "raw")
    demo.close()
    try:
        _life(cloud, image)
    finally:
        end_guests(cloud.data)


def _life(cloud: Cloud, image: str) -> None:
    there = cloud.make("--project", "demo", "--name", "there")
    disks = ("--volume", f"id={there['id']}", "--volume", "size=1,type=standard,name=new,keep=yes")
    words = ("server-create", "one", *SERVER_WORDS, "--image", image, *disks)
    tried = cloud.done(*words, "--dry-run")
    assert [disk["index"] for disk in tried["volumes"]] == [0, 1, 2]
    assert cloud.done("server-list") == []
    one = cloud.done(*words, "--wait")
    assert (one["status"], one["power"], one["backend"], one["project"]) == ("ACTIVE", "running", "local", "demo")
    ends = [disk["delete_on_termination"] for disk in one["volumes"]]
    assert (ends, one["volumes"][1]["id"], one["image"]) == ([True, False, False], there["id"], image)
    assert list(guests(cloud.data)) == [one["id"]]
    seen = cloud.done("server-inspect", one["id"])
    assert not any(line["differs"] for line in seen), seen
    assert seen[0] | {"differs": False} == {
        "what": f"server {one['id']}",
        "database": "ACTIVE",
        "backend": "running",
        "pool": None,
        "differs": False,
    }
    listed = {volume["id"] for volume in cloud.done("volume-list", "--server", one["id"])}
    assert listed == {disk["id"] for disk in one["volumes"]}
    inspected = {line["what"].strip(): line for line in cloud.done("volume-inspect", there["id"])}
    assert inspected["belongs to"] == {
        "what": "  belongs to",
        "database": f"local/{one['id']}",
        "backend": f"local/{one['id']}",
        "pool": f"local/{one['id']}",
        "differs": False,
    }
    changed = cloud.done("volume-modify", there["id"], "--delete-on-termination")
    assert changed["servers"] == [one["id"]]
    stopped = cloud.done("server-modify", one["id"], "--action", "stop", "--name", "uno", "--wait", "--yes")
    assert (stopped["name"], stopped["status"], stopped["power"]) == ("uno", "SHUTOFF", "stopped")
    assert cloud.done("server-modify", one["id"], "--suspended", "--reason", "unpaid")["suspended"] is True
    assert [row["id"] for row in cloud.done("server-list", "--suspended", "--status", "shutoff")] == [one["id"]]
    assert cloud.done("server-list", "--not-suspended") == cloud.done("server-list", "--backend", "none") == []
    assert cloud.done("server-modify", one["id"], "--not-suspended")["suspended"] is False
    new = one["volumes"][2]["id"]
    (detached,) = cloud.done("volume-detach", new, "--yes", "--wait")
    assert (detached["status"], detached["servers"]) == ("available", [])
    attached = cloud.done("volume-attach", new, "--server", one["id"], "--wait")
    assert (attached["status"], attached["servers"]) == ("in-use", [one["id"]])
    made = cloud.done("volume-create", "--size", "1", "--server", one["id"], "--wait")
    assert (made["status"], made["project"], made["servers"]) == ("in-use", "demo", [one["id"]])
    assert [row["size"] for row in cloud.done("server-show", one["id"])["volumes"]] == [1, 1, 1, 1]
    for refused, code, says in (
        (("server-create", "x", *SERVER_WORDS), 2, "Say what it boots from"),
        (("server-create", "x", *SERVER_WORDS, "--volume", "sise=1"), 2, "'sise' is none of"),
        (("server-create", "x", *SERVER_WORDS, "--volume", "image=a,snapshot=b"), 2, "one source"),
        (("server-create", "x", *SERVER_WORDS, "--volume", "size=1"), 1, "bootable"),
        (("server-modify", one["id"]), 2, "Say what is to change"),
        (("server-show", "none"), 1, "could not be found"),
        (("server-modify", one["id"], "--action", "stop", "--yes"), 1, "Cannot 'stop'"),
    ):
        assert says in cloud.refused(*refused, code=code)
    asked = cloud.command("server-remove", one["id"], typed="n\n")
    assert (asked.returncode, "delete_on_termination=yes" in asked.stderr) == (1, True)
    (gone,) = cloud.done("server-remove", one["id"], "--yes", "--wait")
    assert gone["deleted_at"] is not None
    left = json.loads(cloud.command("volume-list", "-o", "json").stdout)
    assert [(row["id"], row["status"]) for row in left] == [(new, "available"), (made["id"], "available")]
