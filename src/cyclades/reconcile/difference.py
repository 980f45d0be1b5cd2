"""One thing that is not as the database has it, and the ways to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cyclades.config import Settings
from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.store.database import Tx

CallerFor = Callable[[str], Caller]  # who asks, for something of this project
# Mends in this transaction, or sets going the operation that does; a `Refusal` if a rule forbids it, or if what was
# seen is no longer so.
Accept = Callable[[Tx, Settings, CallerFor], None]

# Each way of mending by its word (`--fix-<word>`), and what it does.
FIXES = {
    "server-missing": "Servers that their backend has lost: they count as stopped, and starting one makes it again.",
    "server-unknown": "Servers on a backend that nobody owns: delete them there, with disks that no pool keeps.",
    "server-power": "Servers that run, or do not, against what they are said to: their status follows.",
    "disk-missing": "Volumes that are attached, and not plugged in: plug them in again.",
    "disk-detached": "The same, the other way: end the attachments.",
    "disk-elsewhere": "Volumes that are plugged into a server, and not attached to it: unplug them.",
    "disk-renamed": "Disks with another name than ours: give them their names again.",
    "disk-size": "Disks that have grown: their volumes' sizes follow, and the quota.",
    "operation-stuck": "What an operation has left behind: look at it, and set its status.",
    "pool-disk-missing": "Volumes whose disk the pool has lost: set them in error.",
    "pool-disk-unowned": "Disks in pools that nobody owns: delete them.",
    "pool-owner": "Disks that belong to a server, although their volume is not attached: set them free.",
    "quota": "Usage that is not the sum of what is there: set it to that.",
}
DELETING = frozenset({"server-unknown", "pool-disk-unowned"})  # asked for by name alone


@dataclass(frozen=True)
class Mending:
    """`fix` is one of `FIXES`."""

    fix: str
    accept: Accept


@dataclass(frozen=True)
class Difference:
    """`kind` is one word that stays the same over versions. `resource` is a kind and an id (or name), `place` a
    backend, a pool, or "database". `recorded` is what the database says, `found` what is there. `advice` is for the
    operator, where it is mended by hand. The first of `mendings` is the usual one."""

    kind: str
    resource: str
    place: str
    recorded: str
    found: str
    advice: str | None = None
    mendings: tuple[Mending, ...] = field(default=(), compare=False)

    def mending(self, fixes: Iterable[str]) -> Mending | None:
        """The first way among these words."""
        wanted = frozenset(fixes)
        return next((one for one in self.mendings if one.fix in wanted), None)


def touched(resource: str) -> WrongState:
    """It has changed since it was looked at."""
    return WrongState("reconcile-touched", f"{resource.capitalize()} has changed meanwhile.", resource="server")
