"""What QEMU's own words for an error mean, wherever one of its programs said them."""

from __future__ import annotations

import re

from cyclades.model.errors import Failed, Fault, Full, Passing

FULL = "The pool has no space left."
_NO_SPACE = ("No space left on device", "File too large", "Disk quota exceeded")
# Not simply "lock": that is in every "block", and may be in a path.
_IN_USE = re.compile(r"Failed to get .*lock|is busy: ")
_PROGRAM = re.compile(r"^qemu-[\w-]+: (?:-\w+ \{.*\}: )?")
_DIRECTORIES = re.compile(r"(?:/[^/\s'\"]+)+/")


def fault(what: str, said: str) -> Fault:
    """The fault that `said` tells of; `what` is what did not work. The user reads it: only the last line,
    and no paths."""
    if any(why in said for why in _NO_SPACE):
        return Full(FULL)
    if _IN_USE.search(said):
        return Passing("The disk is in use by another program.")
    last = said.rstrip().rpartition("\n")[2]
    return Failed(f"{what}: {_DIRECTORIES.sub('', _PROGRAM.sub('', last))}")
