"""What the end of a job means: results as Ganeti 3.0 and 3.1 were seen to give them."""

from __future__ import annotations

from typing import Any

import pytest

from cyclades.backends.ganeti.jobs import Job
from cyclades.backends.ganeti.outcome import Unknown, hotplugged, require_success, warnings
from cyclades.model.errors import Away, Failed, Passing

_NO_NODE = (
    "Can't create block device <Disk(type=ext)> on node node1.c1.test for instance x: Error 7: Failed to connect to "
    "10.0.0.11 port 1811 after 0 ms: Couldn't connect to server"
)
ENDS: list[tuple[str, Any, type[Exception], str]] = [
    ("error", ["OpPrereqError", ["Instance 'x' not known", "unknown_entity"]], Unknown, "Instance 'x' not known"),
    ("error", ["OpPrereqError", ["No disk was found with this UUID: 7", "wrong_input"]], Unknown, "this UUID: 7"),
    ("error", ["OpPrereqError", ["Not enough memory", "insufficient_resources"]], Failed, "Not enough memory"),
    ("error", ["OpPrereqError", ["Not just now", "temp_insufficient_resources"]], Passing, "Not just now"),
    ("error", ["OpExecError", [_NO_NODE]], Away, "Failed to connect"),
    ("error", ["OpPrereqError", ["Node 'node2' is marked offline", "wrong_state"]], Away, "offline"),
    ("error", ["OpExecError", ["Disk size is wrong"]], Failed, "Disk size is wrong"),
    ("error", "nonsense", Failed, "nonsense"),
    ("canceled", ["OpExecError", ["Job canceled by request"]], Failed, "cancelled"),
    ("lost", None, Passing, "does not know any more"),
]


@pytest.mark.parametrize(("status", "result", "fault", "words"), ENDS)
def test_a_job_that_did_not_do_its_work(status: str, result: Any, fault: type[Exception], words: str) -> None:
    with pytest.raises(fault, match="plug it in") as raised:
        require_success(Job(5, status, result, ()), "plug it in")
    assert type(raised.value) is fault
    assert words in str(raised.value)


def test_a_success_is_one() -> None:
    require_success(Job(5, "success", None, ()), "plug it in")


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ([["disk/1", "add:size=8,mode=rw"], ["disk/1", "hotplug:done"]], True),
        ([["disk/1", "remove"], ["disk/1", "hotplug:done"]], True),
        ([["disk/1", "add:size=8,mode=rw"], ["disk/1", "hotplug:failed"]], False),
        ([["disk/1", "attach:size=8,mode=rw"], ["disk/1", "assemble:failed"]], False),
        ([["disk/1", "add:size=8,mode=rw"]], False),  # the guest's machine was not asked at all
        (None, False),
    ],
)
def test_a_success_may_not_have_reached_the_guest(changes: Any, there: bool) -> None:
    assert hotplugged(Job(5, "success", changes, ())) is there


def test_warnings_are_what_a_reader_needs() -> None:
    lines = (" - INFO: Trying to hotplug device...", " - WARNING: Could not hotplug device: no event", "* disk 1")
    assert warnings(Job(5, "success", None, lines)) == "Could not hotplug device: no event"
