"""Backends as commands show them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.backends.ganeti.survey import fingerprint
from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.operations import placement
from cyclades.operations.placement import Host
from cyclades.store import clusters, servers
from cyclades.store.database import Tx
from cyclades.store.schema import backend, now


def _read(tx: Tx, settings: Settings, _: Where) -> list[Fields]:
    """All of them: they are few."""
    added = {row.name: row for row in clusters.every(tx)}
    number = servers.numbers(tx)
    return [_fields(host, added.get(host.name), number.get(host.name, 0)) for host in placement.hosts(tx, settings)]


def _fields(host: Host, cluster: Row[Any] | None, number: int) -> Fields:
    found = host.found
    version = None if found is None or not found.version else found.version
    return {
        "name": host.name,
        "kind": "ganeti" if host.is_cluster else "local",
        "state": host.state(now()),
        "enabled": found is None or found.enabled,
        "servers": number,
        "memory_free": None if found is None else found.memory_free,
        "pools": sorted(host.reaches) if cluster is None else cluster.pools,
        "takes_no_servers_because": host.closed_because,
        "disabled_reason": None if found is None else found.disabled_reason,
        "problem": None if found is None else found.problem,
        "vcpus": None if found is None else found.vcpus,
        "memory": None if found is None else found.memory,
        "disk_free": None if found is None else found.disk_free,
        "program": None if found is None else found.program or None,
        "version": version and f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}",
        "disk_templates": [] if found is None else found.disk_templates or [],
        "url": None if cluster is None else cluster.url,
        "user": None if cluster is None else cluster.user,
        "certificate": None if cluster is None else fingerprint(cluster.certificate),
        "options": {} if cluster is None else cluster.options,
        "seen_at": moment(found.seen_at) if found is not None and found.seen_at else None,
        "created_at": None if cluster is None else moment(cluster.created_at),
        "updated_at": None if cluster is None else moment(cluster.updated_at),
    }


BACKEND = Resource(
    columns=("name", "kind", "state", "enabled", "servers", "memory_free", "pools"),
    more=(
        "takes_no_servers_because",
        "disabled_reason",
        "problem",
        "vcpus",
        "memory",
        "disk_free",
        "program",
        "version",
        "disk_templates",
        "url",
        "user",
        "certificate",
        "options",
        "seen_at",
        "created_at",
        "updated_at",
    ),
    key=backend.c.name,
    read=_read,
    field="name",
)
