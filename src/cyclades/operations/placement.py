"""Which backend a server runs on, and whether that one can have a volume: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities
from cyclades.model.errors import Invalid, WrongState
from cyclades.model.presence import is_up
from cyclades.store import backend_disks, backends, clusters
from cyclades.store.database import Tx
from cyclades.store.schema import now

_ATTACHES_EXT = 3_001_000  # Ganeti 3.0 neither attaches nor deletes an `ext` disk that it has detached (#1583)


@dataclass(frozen=True)
class Host:
    """A backend as a server needs it. `reaches`: pools, and names that stand for Ganeti's templates. `found` is what
    an engine saw of it last, None if none has yet."""

    name: str
    is_cluster: bool
    reaches: frozenset[str]
    has_network: bool
    offline: bool
    found: Row[Any] | None

    @property
    def closed_because(self) -> str | None:
        """Why it takes no new servers just now; None if it does."""
        if self.offline:
            return "it is offline"
        if self.found is None:
            # This machine is there before anybody has looked.
            return "no engine has reached it yet" if self.is_cluster else None
        if not self.found.enabled:
            return f"it is disabled{f' ({self.found.disabled_reason})' if self.found.disabled_reason else ''}"
        problem: str | None = self.found.problem
        return problem

    def state(self, moment: int) -> str:
        """offline, unseen, up or down."""
        if self.offline:
            return "offline"
        if self.found is None or not self.found.seen_at:
            return "unseen"
        return "up" if is_up(self.found.seen_at, moment) and self.found.problem is None else "down"

    def unreached(self, tx: Tx, row: Row[Any]) -> str | None:
        """Why a server here cannot have the volume; None if it can."""
        return _unreached(tx, self.name, self.reaches, row)


def hosts(tx: Tx, settings: Settings) -> list[Host]:
    """Every backend of this cloud: those of the configuration first, then the clusters by name."""
    added = clusters.every(tx)
    names = [*(one.name for one in settings.backends), *(one.name for one in added)]
    found = {row.name: row for row in backends.every(tx, names)}
    pools = frozenset(settings.storage.pools)
    here = [Host(one.name, False, pools, True, False, found.get(one.name)) for one in settings.backends]
    return here + [_cluster(one, found.get(one.name)) for one in added]


def _cluster(row: Row[Any], found: Row[Any] | None) -> Host:
    return Host(row.name, True, _reaches(row, found), bool(row.options.get("nic_link")), row.offline, found)


def _reaches(row: Row[Any], found: Row[Any] | None) -> frozenset[str]:
    if found is None:
        return frozenset(row.pools)
    templates, providers = found.disk_templates or (), row.options.get("providers", ())
    attaches_ext = (found.version or 0) >= _ATTACHES_EXT
    made_there = capabilities.standing_for(templates, providers, attaches_ext=attaches_ext)
    return frozenset({*row.pools, *made_there})


def get(tx: Tx, settings: Settings, name: str) -> Host:
    """The backend of that name; `Invalid` if there is none (any more)."""
    found = next((host for host in hosts(tx, settings) if host.name == name), None)
    if found is None:
        raise Invalid("server-host", f"Compute host {name} could not be found.", field="host")
    return found


def choose(
    tx: Tx, settings: Settings, volumes: Iterable[Row[Any]], *, memory: int, learns: bool, asked: str | None
) -> Host:
    """Where a server of `memory` MiB with these volumes is to run: of the backends that reach all of them, the one with
    the most free memory. `learns`: its guest is to be told something. `asked` is one that an admin named."""
    every = hosts(tx, settings) if asked is None else [get(tx, settings, asked)]
    if learns:
        every = [host for host in every if not host.is_cluster]
        if not every:
            raise Invalid(
                "config-drive-on-ganeti",
                "A server on Ganeti gets no config drive: it learns no key and no user data. Leave key_name, user_data "
                "and config_drive out, and let the image bring what the guest needs.",
                field="config_drive",
            )
    wanted = list(volumes)
    reaching = [host for host in every if not any(host.unreached(tx, row) for row in wanted)]
    if not reaching:
        reasons = [reason for host in every for row in wanted if (reason := host.unreached(tx, row))]
        raise Invalid("backend-reach", f"No valid host was found: {reasons[0] if reasons else 'there is no backend.'}")
    open_ones = [host for host in reaching if host.closed_because is None]
    if not open_ones:
        first = reaching[0]
        text = f"No valid host was found: backend {first.name} takes no new servers, {first.closed_because}."
        raise WrongState("backend-disabled", text, resource="backend")
    room = {host.name: _free_memory(tx, host) for host in open_ones}
    roomy = [host for host in open_ones if (free := room[host.name]) is None or free >= memory]
    if not roomy:
        raise WrongState(
            "backend-full", f"No valid host was found: no backend has {memory} MiB of memory free.", resource="backend"
        )
    # One that does not say is taken as it comes: it is the only one, as a rule.
    chosen = max(roomy, key=lambda host: (_is_up(host), room[host.name] or 0))
    if chosen.is_cluster:
        clusters.hold(tx, chosen.name, shared=True)  # it is not removed before it is seen to have the server
    return chosen


def _is_up(host: Host) -> bool:
    return host.found is not None and is_up(host.found.seen_at, now())


def _free_memory(tx: Tx, host: Host) -> int | None:
    """MiB: what it had when it was looked at, less the servers that were accepted since."""
    if host.found is None or host.found.memory_free is None:
        return None
    free: int = host.found.memory_free
    return free - backends.accepted_since(tx, host.name, host.found.seen_at)


def require_reach(tx: Tx, backend: str, row: Row[Any], *, read_only: bool, pool: str | None = None) -> None:
    """`Invalid` if a server of that backend cannot have the volume (or could not, were it in `pool`)."""
    cluster = clusters.find(tx, backend)
    reaches = None if cluster is None else _reaches(cluster, next(iter(backends.every(tx, [backend])), None))
    if (reason := _unreached(tx, backend, reaches, row, pool)) is not None:
        raise Invalid("backend-reach", f"Invalid volume: {reason}")
    if read_only and cluster is not None:
        raise read_only_on_ganeti(row.id)


def read_only_on_ganeti(volume_id: str) -> Invalid:
    """An instance with a disk that cannot be written does not start."""
    text = f"Invalid volume: volume {volume_id} is read-only, and a server on Ganeti cannot have such a disk."
    return Invalid("read-only-on-ganeti", text)


def _unreached(
    tx: Tx, backend: str, reaches: frozenset[str] | None, row: Row[Any], pool: str | None = None
) -> str | None:
    """`reaches` None: every pool of this machine."""
    pool = pool or row.pool
    template = capabilities.template_of(pool)
    there = pool in reaches if reaches is not None else template is None
    if not there:
        what = f"pool {pool}" if template is None else f"disk template {template}"
        return f"backend {backend} does not have the {what} of volume {row.id}."
    if template is not None:
        disk = backend_disks.of_volume(tx, row.id)
        if disk is not None and disk.backend != backend:
            return (
                f"volume {row.id} was made by backend {disk.backend}, and with disk template {template} it stays "
                f"there; backend {backend} does not have it."
            )
    return None
