"""What a guest learns when it boots. No name that a person gives can say more than a name."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from cyclades.model.config_drive import Guest, check_user_data, disk, files, nic
from cyclades.model.errors import Invalid

ID = "0f5d1e4c-8f0e-4d8a-9c7a-3d2b1c0a9f8e"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # all that a database keeps, and more
EVIL = [
    'x"\nlocal-hostname: evil', "x: y", "- x", "{a: b}", "!!python/object:os.system x", "&a *a", "%YAML 1.1", "#no",
    "no", "null", "1e3", "'", '"', "\\", "\\x41", "\x7f\x85\u2028\ufeff", "😀", "\t", "---", "... ",
    "|", ">", "`id`", "$(id)",
]  # fmt: skip


def guest(**more: Any) -> Guest:
    values = {"server_id": ID, "project_id": "p", "name": "n", "hostname": "h", "availability_zone": "nova"}
    return Guest(**(values | more))


def nocloud(told: Guest) -> dict[str, Any]:
    read = yaml.safe_load(files(told)["cidata"]["meta-data"])
    assert isinstance(read, dict)
    return read


def openstack(told: Guest) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(files(told)["config-2"]["openstack/latest/meta_data.json"])
    return read


def test_both_forms_say_the_same() -> None:
    told = guest(hostname="one", key_name="mine", public_key="ssh-ed25519 AAAA me\n", metadata={"a": "b"})
    assert nocloud(told) == {"instance-id": ID, "local-hostname": "one", "public-keys": ["ssh-ed25519 AAAA me"]}
    found = openstack(told)
    assert (found["uuid"], found["hostname"], found["meta"]) == (ID, "one", {"a": "b"})
    assert found["public_keys"] == {"mine": "ssh-ed25519 AAAA me"}
    assert found["keys"] == [{"name": "mine", "type": "ssh", "data": "ssh-ed25519 AAAA me"}]


def test_without_a_key_there_is_none() -> None:
    assert set(nocloud(guest())) == {"instance-id", "local-hostname"}
    assert "public_keys" not in openstack(guest())


def check(text: str) -> None:
    told = guest(name=text, hostname=text, key_name=text, public_key=text, metadata={text: text}, project_id=text)
    found = nocloud(told)
    assert set(found) <= {"instance-id", "local-hostname", "public-keys"}
    assert found["local-hostname"] == text
    assert found.get("public-keys", [text.strip()]) == [text.strip()]
    read = openstack(told)
    assert (read["name"], read["hostname"], read["meta"]) == (text, text, {text: text})
    assert {label: set(found) for label, found in files(told).items()} == {
        "cidata": {"meta-data", "user-data"},
        "config-2": {"openstack/latest/meta_data.json"},
    }


@pytest.mark.parametrize("text", EVIL)
def test_a_name_is_only_a_name(text: str) -> None:
    check(text)


@given(TEXT)
def test_any_name_is_only_a_name(text: str) -> None:
    check(text)


@given(st.binary(min_size=1))
def test_user_data_is_given_as_it_came(data: bytes) -> None:
    found = files(guest(user_data=base64.b64encode(data).decode()))
    assert found["cidata"]["user-data"] == found["config-2"]["openstack/latest/user_data"] == data


@pytest.mark.parametrize("text", ["A", "AA", "AAA", "AAAAA", "\u0661"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="base64"):
        check_user_data(text)


@given(st.text(st.sampled_from("AZaz09+/= \n")))
def test_what_is_taken_can_be_given(text: str) -> None:
    with suppress(Invalid):
        check_user_data(text)
        files(guest(user_data=text))


def test_without_user_data_nocloud_has_an_empty_file() -> None:
    """Without the file, cloud-init does not take the drive for one of this form."""
    assert files(guest())["cidata"]["user-data"] == b""
    assert "openstack/latest/user_data" not in files(guest())["config-2"]


def test_devices_are_found_by_their_tags() -> None:
    assert openstack(guest())["devices"] == []
    told = guest(devices=[disk(ID, 3, "data"), nic("52:54:00:00:00:01", "outside")])
    assert openstack(told)["devices"] == [
        {"type": "disk", "bus": "scsi", "address": "0:0:3:0", "serial": ID, "tags": ["data"]},
        {"type": "nic", "bus": "pci", "mac": "52:54:00:00:00:01", "tags": ["outside"]},
    ]
