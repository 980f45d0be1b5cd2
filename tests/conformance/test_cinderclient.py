"""python-cinderclient's `cinder` command through its volumes, snapshots, types, attachments, transfers and quotas."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable

import pytest
from tests.clouds import Cloud, User
from tests.conformance.cinder import Cinder, until, until_gone

MIB = 1 << 20
Volume = Callable[..., str]
Snapshot = Callable[[str, str], str]


@pytest.fixture(scope="session")
def owner(cloud: Cloud) -> User:
    return cloud.user("openrc")


@pytest.fixture(scope="session")
def image(demo: User) -> str:
    """An image that no guest boots from."""
    return demo.new_image(os.urandom(MIB), "raw")


@pytest.fixture(scope="session")
def server(demo: User, image: str) -> str:
    return demo.new_server(image)


def ids(rows: list[dict[str, str]]) -> list[str]:
    return [row["ID"] for row in rows]


# --- volumes --------------------------------------------------------------------------------------


def test_a_volume_is_made_shown_listed_and_deleted(cinder: Cinder, demo: User, name: str) -> None:
    made = cinder.shown("create", "--name", name, "--description", "mine", "--metadata", "a=b", "--", "1")
    until(demo, "volume", made["id"], "available")
    shown = cinder.shown("show", name)
    assert (shown["id"], shown["size"], shown["description"]) == (made["id"], "1", "mine")
    assert (shown["bootable"], shown["volume_type"], shown["metadata"]) == ("false", "standard", "a : b")
    assert cinder.listed("list", "--name", name)[0]["Status"] == "available"
    assert ids(cinder.listed("list", "--metadata", "a=b", "--status", "available", "--name", name)) == [made["id"]]
    assert ids(cinder.listed("list", "--filters", f"name~={name[4:]}")) == [made["id"]]
    assert ids(cinder.listed("list", "--sort", "size:asc,created_at:desc", "--limit", "1"))
    cinder("delete", name)
    until_gone(demo, "volume", made["id"])
    assert name in cinder.refused("show", name)


def test_a_volume_is_changed(cinder: Cinder, volume: Volume, name: str) -> None:
    volume_id = volume()
    cinder("rename", volume_id, f"{name}-new", "--description", "other")
    cinder("metadata", volume_id, "set", "a=1", "b=2")
    cinder("metadata", volume_id, "unset", "a")
    assert cinder.shown("metadata-show", volume_id) == {"b": "2"}
    assert cinder.shown("metadata-update-all", volume_id, "c=3") == {"c": "3"}
    cinder("image-metadata", volume_id, "set", "os_distro=debian")
    assert cinder.shown("image-metadata-show", volume_id) == {"os_distro": "debian"}
    cinder("set-bootable", volume_id, "True")
    shown = cinder.shown("show", f"{name}-new")
    assert (shown["description"], shown["metadata"], shown["bootable"]) == ("other", "c : 3", "true")
    cinder("readonly-mode-update", volume_id, "True")
    assert cinder.shown("metadata-show", volume_id)["readonly"] == "True"


def test_a_volume_grows(cinder: Cinder, demo: User, volume: Volume) -> None:
    volume_id = volume()
    cinder("extend", volume_id, "2")
    assert until(demo, "volume", volume_id, "available")["size"] == 2
    assert "size" in cinder.refused("extend", volume_id, "1").lower()


def test_a_volume_of_an_image_and_an_image_of_a_volume(
    cinder: Cinder, demo: User, volume: Volume, image: str, name: str
) -> None:
    volume_id = volume("--image-id", image)
    assert cinder.shown("show", volume_id)["bootable"] == "true"
    cinder("upload-to-image", "--disk-format", "qcow2", volume_id, f"{name}-image")
    until(demo, "volume", volume_id, "available")
    [made] = demo.ask("GET", f"/image/v2/images?name={name}-image")["images"]
    assert (made["status"], made["disk_format"]) == ("active", "qcow2")
    cinder("reimage", volume_id, made["id"])
    shown = until(demo, "volume", volume_id, "available")
    assert shown["volume_image_metadata"]["image_id"] == made["id"]


def test_a_clone(cinder: Cinder, volume: Volume) -> None:
    source = volume()
    assert cinder.shown("show", volume("--source-volid", source))["source_volid"] == source


def test_a_volume_changes_its_type(cinder: Cinder, admin: Cinder, demo: User, volume: Volume, name: str) -> None:
    [made] = admin.listed("type-create", name)
    volume_id = volume()
    cinder("retype", volume_id, name)
    assert until(demo, "volume", volume_id, "available")["volume_type"] == name
    cinder("delete", volume_id)
    until_gone(demo, "volume", volume_id)
    admin("type-delete", made["ID"])


def test_admins_set_states(cinder: Cinder, admin: Cinder, demo: User, volume: Volume) -> None:
    volume_id = volume()
    admin("reset-state", "--state", "error", volume_id)
    assert cinder.shown("show", volume_id)["status"] == "error"
    assert "ERROR" in cinder.refused("reset-state", "--state", "available", volume_id)
    admin("force-delete", volume_id)
    until_gone(demo, "volume", volume_id)


def test_a_volume_is_let_go_and_taken_back(cinder: Cinder, admin: Cinder, owner: User, name: str) -> None:
    volume_id = admin.shown("create", "--name", name, "1")["id"]
    until(owner, "volume", volume_id, "available")
    host = admin.shown("show", volume_id)["os-vol-host-attr:host"]
    admin("unmanage", volume_id)
    until_gone(owner, "volume", volume_id)
    found = [row["reference"] for row in admin.listed("manageable-list", host) if volume_id in row["reference"]]
    assert len(found) == 1
    [(key, value)] = re.findall(r"'([\w-]+)': '([^']+)'", found[0])
    again = admin.shown("manage", "--id-type", key, "--name", f"{name}-again", host, value)["id"]
    until(owner, "volume", again, "available")
    admin("delete", again)
    until_gone(owner, "volume", again)


def test_a_summary_and_what_there_is(cinder: Cinder, admin: Cinder, volume: Volume) -> None:
    volume()
    assert int(cinder.shown("summary")["total_count"]) >= 1
    assert cinder.listed("availability-zone-list")[0]["Status"] == "available"
    assert {"cinder-scheduler", "cinder-volume"} <= {row["Binary"] for row in admin.listed("service-list")}
    pools = re.findall(r"\w+@\w+#\w+", admin("get-pools"))
    assert pools
    assert admin.shown("get-capabilities", pools[0].partition("#")[0])
    assert cinder.shown("absolute-limits") or cinder.listed("absolute-limits")
    assert "3.71" in cinder("version-list")
    assert "volume" in {row["Resource"] for row in cinder.listed("list-filters")}
    assert cinder.listed("list-extensions")


# --- snapshots ------------------------------------------------------------------------------------


def test_a_snapshot_is_made_shown_listed_changed_and_deleted(
    cinder: Cinder, demo: User, volume: Volume, snapshot: Snapshot, name: str
) -> None:
    volume_id = volume()
    snapshot_id = snapshot(volume_id, name)
    shown = cinder.shown("snapshot-show", name)
    assert (shown["id"], shown["volume_id"], shown["size"], shown["status"]) == (
        snapshot_id,
        volume_id,
        "1",
        "available",
    )
    assert ids(cinder.listed("snapshot-list", "--volume-id", volume_id)) == [snapshot_id]
    assert ids(cinder.listed("snapshot-list", "--name", name, "--status", "available")) == [snapshot_id]
    cinder("snapshot-rename", snapshot_id, f"{name}-new", "--description", "other")
    cinder("snapshot-metadata", snapshot_id, "set", "a=1", "b=2")
    cinder("snapshot-metadata", snapshot_id, "unset", "a")
    assert cinder.shown("snapshot-metadata-show", snapshot_id) == {"b": "2"}
    cinder("snapshot-metadata-update-all", snapshot_id, "c=3")
    shown = cinder.shown("snapshot-show", f"{name}-new")
    assert (shown["description"], shown["metadata"]) == ("other", "{'c': '3'}")
    cinder("snapshot-delete", snapshot_id)
    until_gone(demo, "snapshot", snapshot_id)


def test_a_volume_of_a_snapshot_outlives_it(
    cinder: Cinder, demo: User, volume: Volume, snapshot: Snapshot, name: str
) -> None:
    source = volume()
    snapshot_id = snapshot(source, name)
    copy = volume("--snapshot-id", snapshot_id)
    cinder("delete", "--cascade", source)
    until_gone(demo, "volume", source)
    until_gone(demo, "snapshot", snapshot_id)
    assert cinder.shown("show", copy)["status"] == "available"


def test_a_volume_goes_back_to_its_snapshot(
    cinder: Cinder, demo: User, volume: Volume, snapshot: Snapshot, name: str
) -> None:
    volume_id = volume()
    first, second = snapshot(volume_id, name), snapshot(volume_id, f"{name}-2")
    cinder("revert-to-snapshot", second)
    until(demo, "volume", volume_id, "available")
    assert "snapshot" in cinder.refused("revert-to-snapshot", first).lower()


def test_admins_set_states_of_snapshots(
    cinder: Cinder, admin: Cinder, demo: User, volume: Volume, snapshot: Snapshot, name: str
) -> None:
    snapshot_id = snapshot(volume(), name)
    admin("snapshot-reset-state", "--state", "error", snapshot_id)
    assert cinder.shown("snapshot-show", snapshot_id)["status"] == "error"
    admin("snapshot-delete", "--force", snapshot_id)
    until_gone(demo, "snapshot", snapshot_id)


def test_a_snapshot_is_let_go_and_taken_back(cinder: Cinder, admin: Cinder, owner: User, name: str) -> None:
    volume_id = admin.shown("create", "--name", name, "1")["id"]
    until(owner, "volume", volume_id, "available")
    snapshot_id = admin.shown("snapshot-create", volume_id)["id"]
    until(owner, "snapshot", snapshot_id, "available")
    host = admin.shown("show", volume_id)["os-vol-host-attr:host"]
    admin("snapshot-unmanage", snapshot_id)
    until_gone(owner, "snapshot", snapshot_id)
    rows = admin.listed("snapshot-manageable-list", host)
    found = [row["reference"] for row in rows if snapshot_id in row["reference"]]
    [(key, value)] = re.findall(r"'([\w-]+)': '([^']+)'", found[0])
    again = admin.shown("snapshot-manage", "--id-type", key, volume_id, value)["id"]
    until(owner, "snapshot", again, "available")
    admin("delete", "--cascade", volume_id)
    until_gone(owner, "volume", volume_id)


# --- types ----------------------------------------------------------------------------------------


def test_a_type_is_made_shown_listed_changed_and_deleted(cinder: Cinder, admin: Cinder, name: str) -> None:
    [made] = admin.listed("type-create", name, "--description", "mine")
    assert (made["Name"], made["Description"], made["Is_Public"]) == (name, "mine", "True")
    assert made["ID"] in ids(cinder.listed("type-list"))
    admin("type-update", "--name", f"{name}-new", "--description", "other", made["ID"])
    admin("type-key", made["ID"], "set", "a=1", "b=2")
    admin("type-key", made["ID"], "unset", "a")
    shown = admin.shown("type-show", f"{name}-new")
    assert (shown["description"], shown["extra_specs"]) == ("other", "b : 2")
    assert {"ID": made["ID"], "Name": f"{name}-new", "extra_specs": "{'b': '2'}"} in admin.listed("extra-specs-list")
    assert "ERROR" in cinder.refused("type-delete", made["ID"])
    admin("type-delete", made["ID"])
    assert made["ID"] not in ids(cinder.listed("type-list"))


def test_a_private_type_is_for_those_who_have_access(cinder: Cinder, admin: Cinder, demo: User, name: str) -> None:
    [made] = admin.listed("type-create", name, "--is-public", "False")
    assert "ERROR" in cinder.refused("type-show", made["ID"])
    project_id = project_of(demo)
    admin("type-access-add", "--volume-type", name, "--project-id", project_id)
    assert [row["Project_ID"] for row in admin.listed("type-access-list", "--volume-type", name)] == [project_id]
    assert cinder.shown("type-show", made["ID"])["name"] == name
    admin("type-access-remove", "--volume-type", name, "--project-id", project_id)
    assert "ERROR" in cinder.refused("type-show", made["ID"])
    admin("type-delete", name)


def test_default_types(cinder: Cinder, admin: Cinder, owner: User, name: str) -> None:
    assert cinder.listed("type-default")[0]["Name"] == "standard"
    [made] = admin.listed("type-create", name)
    project_id = project_of(owner)
    admin("default-type-set", name, project_id)
    assert made["ID"] in admin("default-type-list", "--project-id", project_id)
    admin("default-type-unset", project_id)
    assert made["ID"] not in admin("default-type-list")
    admin("type-delete", name)


# --- attachments ----------------------------------------------------------------------------------


def test_an_attachment_step_by_step(cinder: Cinder, demo: User, volume: Volume, server: str) -> None:
    """As whoever runs servers elsewhere does it."""
    volume_id, elsewhere = volume(), str(uuid.uuid4())
    made = cinder.shown("attachment-create", volume_id, elsewhere)
    assert cinder.shown("show", volume_id)["status"] == "reserved"
    assert ids(cinder.listed("attachment-list", "--volume-id", volume_id)) == [made["id"]]
    cinder("attachment-update", made["id"], "--host", "there", "--mountpoint", "/dev/vdb")
    cinder("attachment-complete", made["id"])
    assert cinder.shown("attachment-show", made["id"])["status"] == "attached"
    assert cinder.shown("show", volume_id)["status"] == "in-use"
    cinder("attachment-delete", made["id"])
    until(demo, "volume", volume_id, "available")
    assert cinder.listed("attachment-list", "--volume-id", volume_id) == []


def test_a_servers_attachment_shows(cinder: Cinder, demo: User, volume: Volume, server: str) -> None:
    volume_id = volume()
    demo.attach(server, volume_id)
    [attachment] = cinder.listed("attachment-list", "--volume-id", volume_id)
    assert (attachment["Status"], attachment["Server ID"]) == ("attached", server)
    assert server in cinder.shown("show", volume_id)["attached_servers"]
    assert "ERROR" in cinder.refused("delete", volume_id)
    demo.detach(server, volume_id)


# --- transfers ------------------------------------------------------------------------------------


def test_a_transfer_is_accepted(cinder: Cinder, admin: Cinder, owner: User, volume: Volume, name: str) -> None:
    volume_id = volume()
    made = cinder.shown("transfer-create", "--name", name, volume_id)
    assert cinder.shown("show", volume_id)["status"] == "awaiting-transfer"
    assert made["id"] in ids(cinder.listed("transfer-list"))
    assert cinder.shown("transfer-show", name)["volume_id"] == volume_id
    assert admin.refused("transfer-accept", made["id"], "wrong")
    assert admin.shown("transfer-accept", made["id"], made["auth_key"])["volume_id"] == volume_id
    assert cinder.refused("show", volume_id)
    until(owner, "volume", volume_id, "available")
    admin("delete", volume_id)
    until_gone(owner, "volume", volume_id)


def test_a_transfer_is_taken_back(cinder: Cinder, volume: Volume) -> None:
    volume_id = volume()
    made = cinder.shown("transfer-create", volume_id)
    cinder("transfer-delete", made["id"])
    assert cinder.shown("show", volume_id)["status"] == "available"
    assert made["id"] not in ids(cinder.listed("transfer-list"))


# --- quotas and messages --------------------------------------------------------------------------


def test_quotas(cinder: Cinder, admin: Cinder, demo: User, volume: Volume) -> None:
    project_id = project_of(demo)
    volume()
    usage = {row["Type"]: row for row in admin.listed("quota-usage", project_id)}
    assert int(usage["volumes"]["In_use"]) >= 1
    before = cinder.shown("quota-show", project_id)
    assert admin.shown("quota-update", project_id, "--volumes", "77")["volumes"] == "77"
    assert cinder.shown("quota-show", project_id) == {**before, "volumes": "77"}
    assert admin.shown("quota-defaults", project_id)["volumes"] == before["volumes"]
    assert "ERROR" in cinder.refused("quota-update", project_id, "--volumes", "78")
    admin("quota-delete", project_id)
    assert cinder.shown("quota-show", project_id) == before


def test_quota_classes(admin: Cinder) -> None:
    before = admin.shown("quota-class-show", "default")
    admin("quota-class-update", "default", "--snapshots", "55")
    assert admin.shown("quota-class-show", "default") == {**before, "snapshots": "55"}
    admin("quota-class-update", "default", "--snapshots", before["snapshots"])


def test_the_quota_is_kept(cinder: Cinder, admin: Cinder, demo: User, name: str) -> None:
    project_id = project_of(demo)
    admin("quota-update", project_id, "--per-volume-gigabytes", "2")
    assert "413" in cinder.refused("create", "--name", name, "3")
    admin("quota-delete", project_id)


def test_messages(cinder: Cinder) -> None:
    assert isinstance(cinder.listed("message-list"), list)


def project_of(user: User) -> str:
    [url] = {one["url"] for entry in user.catalog if entry["type"] == "volumev3" for one in entry["endpoints"]}
    return str(url.rpartition("/")[2])
