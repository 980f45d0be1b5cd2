"""The pools and backends that the settings name."""

from __future__ import annotations

import os
from pathlib import Path

from cyclades.backends.base import Backend
from cyclades.backends.local import LocalBackend
from cyclades.config import BackendSettings, PoolSettings, Settings
from cyclades.engine.backends import Backends
from cyclades.model import capabilities
from cyclades.operations.base import World
from cyclades.pools.base import Pool
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.pools.rbd import RbdPool, RbdSettings
from cyclades.pools.template import TemplatePool
from cyclades.store.database import Database

# Others on the machine may pass through these directories (a guest's QEMU runs as a user of its own), not list them.
_PASS = 0o711
_OWN = 0o700


def build(settings: Settings, db: Database) -> tuple[World, Backends]:
    """Everything outside the database, ready to be opened, and its backends; makes the directories that are missing."""
    make_directories(settings)
    backends = Backends({backend.name: _backend(settings, backend) for backend in settings.backends})
    pools: dict[str, Pool] = {pool.name: _pool(settings, pool, db) for pool in settings.pools}
    for name in capabilities.standing_for(capabilities.TEMPLATES, settings.storage.providers):
        pools[name] = TemplatePool(name, capabilities.engine_of(name, settings.storage), db, backends)
    return World(db, settings, pools, backends), backends


def _group(settings: Settings) -> int | None:
    """Who a pool's files are for, besides us: the user that guests' QEMUs run under."""
    return settings.backends[0].user if os.geteuid() == 0 and settings.backends else None


def make_directories(settings: Settings) -> None:
    make_directory(settings.data)
    make_directory(settings.image_dir, _OWN)
    make_directory(settings.key_dir, _OWN)


def _pool(settings: Settings, pool: PoolSettings, db: Database) -> Pool:
    directory = settings.pool_directory(pool)
    make_directory(directory)
    if pool.engine == "qcow2":
        return Qcow2Pool(pool.name, directory, db, group=_group(settings))
    reached = RbdSettings(
        pool.ceph_conf, pool.ceph_pool, pool.user, pool.node_user or pool.user, pool.keyring, pool.python
    )
    return RbdPool(pool.name, reached, directory, deepest=pool.clone_depth)


def _backend(settings: Settings, backend: BackendSettings) -> Backend:
    directory = backend.directory or settings.data / "servers"
    make_directory(directory)
    return LocalBackend(
        backend.name,
        directory,
        accelerator=backend.accelerator,
        user=backend.user,
        reboot_patience=settings.compute.stop_seconds,
    )


def make_directory(path: Path, mode: int = _PASS) -> None:
    """With those above it that are missing, whatever the umask says."""
    for missing in [p for p in (*reversed(path.parents), path) if not p.exists()]:
        missing.mkdir(exist_ok=True)
        missing.chmod(mode)
