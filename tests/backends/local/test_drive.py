"""The config drive, read back with other tools than those that wrote it, and by a machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cyclades.backends.local import drive
from cyclades.model import config_drive
from cyclades.model.config_drive import Guest
from cyclades.model.errors import Failed


def read(path: Path, name: str) -> bytes:
    return subprocess.run(["mtype", "-i", path, f"::{name}"], capture_output=True, check=True).stdout


def test_it_has_both_forms_of_cloud_init(tmp_path: Path) -> None:
    guest = Guest("id", "project", "My Server", "my-server", "nova", "key", "ssh-ed25519 AAAA me", "IyEvYmluL3NoCg==")
    config = config_drive.files(guest)
    paths = {label: tmp_path / f"{label}.img" for label in config}
    for label, files in [*config.items(), *config.items()]:  # a repeat makes it anew
        drive.make(paths[label], label, files)
    nocloud, openstack = paths["cidata"], paths["config-2"]
    assert read(nocloud, "meta-data") == config["cidata"]["meta-data"]
    assert read(nocloud, "user-data") == b"#!/bin/sh\n"
    assert json.loads(read(openstack, "openstack/latest/meta_data.json"))["hostname"] == "my-server"
    assert read(openstack, "openstack/latest/user_data") == b"#!/bin/sh\n"
    for label, path in paths.items():
        said = subprocess.run(["mlabel", "-s", "-i", path], capture_output=True, check=True, text=True)
        assert label.upper() in said.stdout.upper()
    assert set(tmp_path.iterdir()) == set(paths.values())


def test_the_largest_user_data_fits(tmp_path: Path) -> None:
    path, data = tmp_path / "config.img", bytes(range(256)) * 192  # 64 KiB as base64
    drive.make(path, "cidata", {"user-data": data, "openstack/latest/user_data": data})
    assert read(path, "user-data") == data


def test_what_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "config.img"
    drive.make(path, "cidata", {"meta-data": b"old"})
    with pytest.raises(Failed, match="config drive"):
        drive.make(path, "cidata", {"meta-data": bytes(4 << 20)})
    assert read(path, "meta-data") == b"old"
