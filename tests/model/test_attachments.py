"""The rules of attachments."""

from __future__ import annotations

import pytest

from cyclades.model import attachments
from cyclades.model.errors import Invalid
from cyclades.model.status import VOLUME_ACTIONS, VOLUME_STEADY, VOLUME_TRANSITIONAL, volume_allows


@pytest.mark.parametrize(
    ("attached", "status"),
    [
        ([], "available"),
        (["reserved"], "reserved"),
        (["attaching"], "attaching"),
        (["attached"], "in-use"),
        (["detaching"], "detaching"),
        (["reserved", "attached"], "in-use"),
        (["attaching", "attached", "reserved"], "in-use"),
        (["reserved", "attaching"], "attaching"),
        (["reserved", "detaching"], "detaching"),
    ],
)
@pytest.mark.parametrize("before", ["in-use", "reserved", "attaching", "detaching"])
def test_the_furthest_attachment_says_what_its_volume_is(before: str, attached: list[str], status: str) -> None:
    assert attachments.volume_status(before, attached) == status


@pytest.mark.parametrize("status", sorted(VOLUME_STEADY - {"in-use", "reserved"}))
def test_what_is_no_matter_of_attachments_stays(status: str) -> None:
    assert attachments.volume_status(status, ["attached"]) == status


def test_only_a_multi_attach_volume_is_taken_while_others_have_it() -> None:
    for action in ("attach", "reserve"):
        assert volume_allows(action, multiattach=False) == {"available"}
        assert volume_allows(action, multiattach=True) == {"available", "in-use"}
    for action in set(VOLUME_ACTIONS) - {"attach", "reserve"}:
        assert volume_allows(action, multiattach=True) == volume_allows(action, multiattach=False)


def test_every_status_is_steady_or_transitional() -> None:
    assert not VOLUME_STEADY & VOLUME_TRANSITIONAL
    assert set().union(*VOLUME_ACTIONS.values()) == VOLUME_STEADY | VOLUME_TRANSITIONAL


def test_a_volume_that_is_read_only_is_attached_so() -> None:
    attachments.check_mode("ro", readonly=True, volume_id="v")
    attachments.check_mode("rw", readonly=False, volume_id="v")
    with pytest.raises(Invalid, match="Invalid attaching mode 'rw' for volume v"):
        attachments.check_mode("rw", readonly=True, volume_id="v")


@pytest.mark.parametrize(
    ("chosen", "connector", "mode"),
    [(None, None, "rw"), (None, "ro", "ro"), ("ro", "rw", "ro"), ("rw", "ro", "rw"), ("ro", None, "ro")],
)
def test_what_was_chosen_first_wins(chosen: str | None, connector: str | None, mode: str) -> None:
    assert attachments.mode_of(chosen, connector) == mode


def test_a_connection_names_the_disk_and_no_file() -> None:
    found = attachments.connection(engine="qcow2", pool="fast", volume_id="v", mode="ro")
    assert found["driver_volume_type"] == "qcow2"
    assert found["data"]["pool"] == "fast"
    assert found["data"]["name"] == "snf-vol-v"
    assert found["data"]["access_mode"] == "ro"
    assert "/" not in str(found)
