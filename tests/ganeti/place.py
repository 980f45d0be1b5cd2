"""A Ganeti backend and a pool that the nodes share, for this process and for a second one."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.ganeti.cell import Cell
from tests.ganeti.node import Node

from cyclades.backends.base import Backend
from cyclades.backends.ganeti import Access, GanetiBackend, GanetiOptions
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store.database import Database

DOMAIN = "cloud.test"
OS = "blank"  # which every cell has

_ON_NODES = "/srv/ganeti/extstorage/cyclades"
_PROVIDER = Path(__file__).parents[2] / "ganeti" / "extstorage" / "cyclades"


@dataclass(frozen=True)
class GanetiPlace:
    """`backend` is its name. `hvparams` are those of new instances."""

    backend: str
    access: Access
    hvparams: dict[str, Any]
    pool_directory: Path
    database_url: str

    @property
    def options(self) -> GanetiOptions:
        return GanetiOptions(domain=DOMAIN, os=OS, hvparams=self.hvparams, look_seconds=0.5)

    def pool(self, database: Database) -> Qcow2Pool:
        return Qcow2Pool("local", self.pool_directory, database)

    def twin(self, database: Database, **options: Any) -> Backend:
        """One that waits for no guest that is to reboot by itself."""
        return GanetiBackend(
            self.backend, self.access, msgspec.structs.replace(self.options, **options), database, reboot_patience=0
        )


def name_of(server_id: str) -> str:
    """Of its instance."""
    return f"snf-{server_id}.{DOMAIN}"


def node_of(cell: Cell, server_id: str) -> Node:
    """Where its instance is."""
    name = cell.run("gnt-instance", "list", "--no-headers", "-o", "pnode", name_of(server_id)).strip()
    return next(node for node in cell.nodes if node.name == name)


def access_of(cell: Cell) -> Access:
    certificate = cell.certificate.read_text()
    return Access(url=cell.url, user=cell.user, password=cell.password, certificate=certificate)


def install(cell: Cell, pools: dict[str, Path], scratch: Path) -> None:
    """Our provider on all nodes of a cell, whose backend has the cell's name. `scratch` is a directory for a file."""
    for node in cell.nodes:
        node.run("rm", "-rf", _ON_NODES)  # links are not written over
    cell.install(_PROVIDER, _ON_NODES)
    settings = scratch / "node.json"
    settings.write_text(json.dumps({"backend": cell.name, "pools": {name: str(path) for name, path in pools.items()}}))
    cell.install(settings, "/etc/cyclades/node.json")


def clear(directory: Path) -> Path:
    """An empty directory for a pool."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o711)
    return directory
