"""What a volume keeps of its image."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.volume.conftest import PROJECT, As, Client, New
from tests.api.volume.test_admin_actions import act
from tests.api.volume.test_volumes import BASE


async def test_it_is_merged_shown_and_removed_key_by_key(member: Client, speaking_as: As, new_volume: New) -> None:
    volume_id = await new_volume(image_metadata={"image_id": "1", "os": "none"})
    answer = await act(member, volume_id, "os-set_image_metadata", {"metadata": {"os": "debian", "a": "b"}})
    everything = {"image_id": "1", "os": "debian", "a": "b"}
    assert (answer.status_code, answer.json()) == (200, {"metadata": everything})
    answer = await act(member, volume_id, "os-unset_image_metadata", {"key": "a"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await act(member, volume_id, "os-unset_image_metadata", {"key": "a"})).status_code == 404
    del everything["a"]
    for client in (member, speaking_as(PROJECT, "reader")):
        answer = await act(client, volume_id, "os-show_image_metadata", None)
        assert (answer.status_code, answer.json()) == (200, {"metadata": everything})
    shown = (await member.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]
    assert shown["volume_image_metadata"] == everything


async def test_a_volume_without_an_image_may_have_it_too(member: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    assert (await act(member, volume_id, "os-show_image_metadata", {})).json() == {"metadata": {}}
    assert (await act(member, volume_id, "os-unset_image_metadata", {"key": "a"})).status_code == 404
    await act(member, volume_id, "os-set_image_metadata", {"metadata": {"a": "b"}})
    assert (await act(member, volume_id, "os-show_image_metadata", {})).json() == {"metadata": {"a": "b"}}


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("os-set_image_metadata", {}),
        ("os-set_image_metadata", {"metadata": None}),
        ("os-set_image_metadata", {"metadata": {"a": 1}}),
        ("os-set_image_metadata", {"metadata": {"": "b"}}),
        ("os-set_image_metadata", {"metadata": {"a": "b" * 256}}),
        ("os-set_image_metadata", {"metadata": {str(i): "v" for i in range(200)}}),
        ("os-unset_image_metadata", {}),
        ("os-unset_image_metadata", {"key": ""}),
        ("os-unset_image_metadata", {"key": None}),
    ],
)
async def test_bad_input_changes_nothing(member: Client, new_volume: New, action: str, asked: Any) -> None:
    volume_id = await new_volume(image_metadata={"a": "b"})
    assert (await act(member, volume_id, action, asked)).status_code == 400
    assert (await act(member, volume_id, "os-show_image_metadata")).json() == {"metadata": {"a": "b"}}
