"""The tables of statuses agree with each other, and with what is written into rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cyclades import operations, store
from cyclades.model import status
from cyclades.model.status import wrong_status

VOLUME = status.VOLUME_STEADY | status.VOLUME_TRANSITIONAL
SNAPSHOT = status.SNAPSHOT_STEADY | status.SNAPSHOT_TRANSITIONAL
SERVER = status.SERVER_TRANSITIONAL | {"ACTIVE", "SHUTOFF", "ERROR", "DELETED"}


@pytest.mark.parametrize(
    ("actions", "known"),
    [(status.VOLUME_ACTIONS, VOLUME), (status.SNAPSHOT_ACTIONS, SNAPSHOT), (status.SERVER_ACTIONS, SERVER)],
)
def test_every_action_starts_from_statuses_that_there_are(
    actions: dict[str, frozenset[str]], known: frozenset[str]
) -> None:
    for action, allowed in actions.items():
        assert allowed, action
        assert allowed <= known, action


def test_a_status_is_steady_or_passes() -> None:
    assert not status.VOLUME_STEADY & status.VOLUME_TRANSITIONAL
    assert not status.SNAPSHOT_STEADY & status.SNAPSHOT_TRANSITIONAL
    for passing in status.VOLUME_TRANSITIONAL | status.SNAPSHOT_TRANSITIONAL:
        assert re.search("ing(-|$)", passing), passing
    for steady in status.VOLUME_STEADY | status.SNAPSHOT_STEADY:
        assert not steady.endswith("ing") or steady.startswith("error_"), steady


def test_errors_are_steady_and_have_a_way_out() -> None:
    assert status.VOLUME_ERROR <= status.VOLUME_STEADY
    assert status.SNAPSHOT_ERROR <= status.SNAPSHOT_STEADY
    assert {s for s in VOLUME if s.startswith("error")} == status.VOLUME_ERROR
    assert {s for s in SNAPSHOT if s.startswith("error")} == status.SNAPSHOT_ERROR
    assert status.VOLUME_ACTIONS["delete"] >= status.VOLUME_ERROR
    assert status.SNAPSHOT_ACTIONS["delete"] >= status.SNAPSHOT_ERROR


def test_what_an_admin_resets_to_is_a_status() -> None:
    assert status.VOLUME_PROMISES <= status.VOLUME_STEADY
    assert status.VOLUME_PROMISES | status.VOLUME_ERROR <= status.VOLUME_RESETS <= VOLUME
    assert status.SNAPSHOT_PROMISES | status.SNAPSHOT_ERROR <= status.SNAPSHOT_RESETS <= SNAPSHOT


def test_what_is_written_into_rows_is_a_status() -> None:
    """Every `status="…"` of the code that writes rows."""
    written: set[str] = set()
    for package in (operations, store):
        for path in Path(package.__path__[0]).glob("*.py"):
            written |= set(re.findall(r'(?<!\w)status="([A-Za-z_-]+)"', path.read_text()))
    others = {"deleted", "attached", "reserved", "active", "queued", "saving", "deactivated", "pending_delete"}
    assert "available" in written
    assert written <= VOLUME | SNAPSHOT | SERVER | others


def test_a_refusal_says_what_would_be_right() -> None:
    refused = wrong_status("volume", "force_detach", {"in-use", "error"}, "available")
    assert (
        refused.message == "Invalid volume: its status must be error or in-use to force-detach it, but it is available."
    )
    assert (refused.rule, refused.resource) == ("volume-force_detach", "volume")
    busy = wrong_status("volume", "extend", {"available"}, "available")
    assert "an operation is at work" in busy.message
