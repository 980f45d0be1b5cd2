"""The interface of a backend: a place where servers run.

Every method may be repeated, also after a crash in its middle and also at the same time from another
process, with the same outcome. Errors: `Passing` when it may work in a moment, `Away` when the backend
cannot be reached, `Failed` for the rest; the message is what the user reads.

A backend that lets others work (Ganeti's jobs) is given a `Trail` by who asks for a change: without one, what an
earlier try has set going is found only by what it made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cyclades.pools.base import Blockdev, LiveDisk, Pool, Progress

# `unknown`: where it would run does not answer; `look` raises `Away` then.
Power = Literal["running", "stopped", "paused", "crashed", "missing", "unknown"]


class Trail(Protocol):
    """What a step of an operation leaves on the jobs that it sets going elsewhere, so that they are found again."""

    @property
    def mark(self) -> str:
        """The same each time the step is tried, and no other step's: `cyclades:<operation id>:<step>:<direction>`."""
        ...

    def job(self, what: str) -> str | None:
        """The id of the job that this or an earlier try has kept under the word `what`."""
        ...

    async def keep(self, what: str, job: str | None) -> None:
        """Keep a job's id (None: forget it); durable when this returns."""
        ...

    async def progress(self, fraction: float) -> None:
        """Tell how far the step is, from 0.0 to 1.0."""
        ...


@dataclass(frozen=True)
class Plug:
    """One volume as a server is to have it. `size` is bytes. `parameters` are for a provider of ExtStorage that is not
    ours.

    `serial` is what the guest sees (the volume's id); `generation` is the attachment's: a plug or unplug
    of an older generation than the one in place is dropped.
    """

    volume_id: str
    disk: str
    pool: Pool
    index: int
    generation: int
    size: int
    read_only: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def serial(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class Nic:
    """`mac` and `address` are chosen before the first outside effect; `forward` is the address on the host
    whose port 22 leads to the guest's. In a cluster, the network itself gives an address: both are None."""

    mac: str
    address: str | None
    forward: str | None


@dataclass(frozen=True)
class ImageFill:
    """An image that a backend has to write to the root disk that it makes. The machine that does it fetches `url`,
    piece by piece, with `token` as its X-Auth-Token. `sha512` (hex) and `format` (`raw`, `qcow2`) are the file's; `ca`
    is what its address is checked by (PEM; empty: what the machine trusts)."""

    url: str
    token: str
    sha512: str
    format: str
    ca: str = ""


@dataclass(frozen=True)
class ServerSpec:
    """Everything a backend needs to run a server. `memory` is MiB. `config` has what the guest learns: for each label
    of a file system, that system's files by path. `fill` is for the root disk of a new server that no pool has
    filled."""

    server_id: str
    project_id: str
    hostname: str
    vcpus: int
    memory: int
    plugs: tuple[Plug, ...]
    nics: tuple[Nic, ...] = ()
    config: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    fill: ImageFill | None = None


@dataclass(frozen=True)
class SeenDisk:
    """A disk as a backend reports it. `size` is bytes, None where the backend does not keep it, as is `name`: what it
    calls the disk."""

    volume_id: str
    index: int | None
    generation: int
    read_only: bool = False
    size: int | None = None
    name: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class SeenServer:
    """A server as a backend reports it: looked at, not remembered. `memory` is MiB, None (as `vcpus`) where the backend
    keeps neither. `strange` are disks that are no volume's, as people would call them."""

    server_id: str
    power: Power
    disks: tuple[SeenDisk, ...]
    vcpus: int | None = field(default=None, compare=False)
    memory: int | None = field(default=None, compare=False)
    strange: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Capacity:
    """What a backend has for all its servers. `memory` is MiB, `version` that of `program`, which runs guests:
    (7, 2, 1). `booted_at` is µs since 1970, None where there is no one machine. `memory_free` (MiB) and `disk_free`
    (bytes, for disks that it makes itself) are None where a backend does not say. `refuses_pools` is why it must not be
    given disks of pools."""

    vcpus: int
    memory: int
    program: str
    version: tuple[int, int, int]
    booted_at: int | None = None
    memory_free: int | None = None
    disk_free: int | None = None
    disk_templates: tuple[str, ...] = ()
    refuses_pools: str | None = None


@dataclass(frozen=True)
class News:
    """Something happened by itself: a guest powered off (`stopped`), its QEMU died (`crashed`), it stands still since
    its pool is full (`paused`), it goes on or rebooted (`running`), or a volume was unplugged after we had given up
    waiting (`unplugged`)."""

    server_id: str
    what: Literal["running", "paused", "stopped", "crashed", "unplugged"]
    volume_id: str | None = None
    generation: int = 0


class Mirror(Protocol):
    """A volume that a running server has open, on its way to another disk: `target`, an empty one of the same size.
    Whatever the machine dies of, what the guest has flushed is on the old disk; after `hold`, all that it wrote is on
    the new one as well."""

    async def begin(self, target: Blockdev) -> None:
        """Copy the disk to `target`, and let each of the guest's writes go to both from now on."""
        ...

    async def follow(self, progress: Progress) -> None:
        """Return when both hold the same. `Full` or `Failed` if the target does not take it: the guest notices
        nothing of that."""
        ...

    async def hold(self) -> None:
        """Both hold the same, the new one also if the machine dies now, and what the guest wants to read and write
        waits until `turn` or `part`: for the moment in which it is written down where the volume lies."""
        ...

    async def turn(self, target: Blockdev) -> bool:
        """After `hold`: let the guest go on with `target` alone, and close the old disk. False if it goes on with the
        old one."""
        ...

    async def part(self) -> None:
        """Let the guest go on with the disk that it had, and close the other one."""
        ...


class Backend(Protocol):
    name: str
    kind: str  # "local" or "ganeti"
    max_disks: int  # the root included
    cards: bool  # its machines learn from a pool's storage which disks they may have (`Pool.claim`)
    read_only_disks: bool  # whether a server can have a disk that it cannot write; `Failed` if not
    keeps_console: bool  # whether `console` has anything to tell; `Failed` if not

    async def start(self, spec: ServerSpec, *, trail: Trail | None = None) -> None:
        """Make the server if it is not there, with all its disks, and power it on. Running: nothing happens."""
        ...

    async def stop(self, server_id: str, *, patience: float, trail: Trail | None = None) -> None:
        """Ask the guest to power off, and switch it off after `patience` seconds (0: at once)."""
        ...

    async def reboot(self, spec: ServerSpec, *, hard: bool, trail: Trail | None = None) -> None:
        """Soft: the guest is asked to reboot. Hard: reset, or started again where it had died."""
        ...

    async def delete(self, server_id: str, *, trail: Trail | None = None) -> None:
        """Switch off and forget the server, whatever state it is in. Its disks are unplugged, never deleted."""
        ...

    async def plug(self, server_id: str, plug: Plug, *, trail: Trail | None = None) -> None:
        """Add a volume to a server. Stopped server: it is there at the next start. `Failed` if the guest's
        machine refuses; then it is not plugged."""
        ...

    async def unplug(
        self, server_id: str, volume_id: str, generation: int, *, patience: float, trail: Trail | None = None
    ) -> None:
        """Take a volume away; returns when nothing of the server can reach it any more. `Failed` if the guest
        did not let go within `patience` seconds: it is still plugged, and a late release comes as news."""
        ...

    async def live_disk(self, server_id: str, volume_id: str, *, trail: Trail | None = None) -> LiveDisk | None:
        """The running server's hold on the volume, or None."""
        ...

    async def grown(self, server_id: str, volume_id: str, size: int, *, trail: Trail | None = None) -> None:
        """The disk of a volume that is plugged into the server has `size` bytes now. For a backend that keeps books of
        its own; a running machine has been told (`LiveDisk.resize`)."""
        ...

    async def mirror(self, server_id: str, volume_id: str) -> Mirror | None:
        """For a volume that goes to another pool: the running server's hold on it; None if the server is off.
        `Failed` if it runs, and its machine cannot do that."""
        ...

    async def moved(
        self, server_id: str, volume_id: str, generation: int, pool: Pool, *, trail: Trail | None = None
    ) -> None:
        """The disk of a volume that a server has by this attachment, and that is claimed there, is in `pool` from now
        on; the server is off. For a backend that keeps books of its own."""
        ...

    async def name_disk(self, server_id: str, volume_id: str, *, trail: Trail | None = None) -> None:
        """Give the disk of a volume that the server has its own name again (`SeenDisk.name`)."""
        ...

    async def delete_disk(self, volume_id: str, uuid: str) -> None:
        """Delete a disk that the backend itself made and no server has, by its number in the backend's books."""
        ...

    async def look(self, server_id: str) -> SeenServer: ...

    async def servers(self) -> list[SeenServer]: ...

    async def capacity(self) -> Capacity: ...

    async def console(self, server_id: str, lines: int | None) -> str:
        """The last `lines` lines (None: all that is kept) that the guest wrote to its serial console. What comes after
        the last end of a line counts as one, even if it is empty: so clients of Nova count."""
        ...

    def news(self) -> AsyncIterator[News]:
        """What happens by itself, as it happens, until the backend is closed."""
        ...

    async def open(self) -> None:
        """Find again what runs, and begin to listen to it."""
        ...

    async def close(self) -> None:
        """Let go of the servers; they go on running."""
        ...
