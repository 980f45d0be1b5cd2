"""What the end of a job means."""

from __future__ import annotations

import re
from typing import Any

from cyclades.backends.ganeti.jobs import Job
from cyclades.model.errors import Away, Failed, Fault, Passing

_MOST_SAID = 1000  # characters
_NODE_AWAY = re.compile(
    r"\bError \d+: |Node is marked offline|marked offline"
)  # what the master says of a node's daemon
_UNKNOWN = "unknown_entity"
_NO_DISK = "No disk was found with this UUID"  # which Ganeti calls wrong input


class Unknown(Failed):
    """What the job was to work on is not there."""


def require_success(job: Job, what: str) -> None:
    """Raise the fault of a job that did not do its work; `what` was to be done: "Ganeti could not …"."""
    if job.status != "success":
        raise _fault(job, what)


def _fault(job: Job, what: str) -> Fault:
    if job.status == "lost":
        return Passing(f"Ganeti does not know any more whether it could {what}.")
    if job.status == "canceled":
        return Failed(f"Ganeti did not {what}: somebody cancelled its job {job.id}.")
    said, code = _error(job.result)
    text = f"Ganeti could not {what}: {said}"
    if _NODE_AWAY.search(said):
        return Away(text)
    if code == "temp_insufficient_resources":
        return Passing(text)
    return Unknown(text) if code == _UNKNOWN or _NO_DISK in said else Failed(text)


def _error(result: Any) -> tuple[str, str | None]:
    """Ganeti's words, and its code for them: `["OpPrereqError", ["…", "wrong_state"]]`, `["OpExecError", ["…"]]`."""
    try:
        _, (said, *code) = result
    except (TypeError, ValueError):
        return str(result)[:_MOST_SAID], None
    return str(said)[:_MOST_SAID].strip(), code[0] if code and isinstance(code[0], str) else None


def hotplugged(job: Job) -> bool:
    """Whether a job that changed the disks of a running instance reached its guest: a job can be a success and say that
    it did not (`hotplug:failed`, `assemble:failed`), or not try (then it says nothing)."""
    said = [str(change) for _, change in job.result or ()]
    return "hotplug:done" in said and not any(change.endswith(":failed") for change in said)


def warnings(job: Job) -> str:
    """What Ganeti was not content with, for the reader of a fault."""
    found = [line.partition("WARNING: ")[2].strip() for line in job.log if "WARNING: " in line]
    return " ".join(found)[:_MOST_SAID]
