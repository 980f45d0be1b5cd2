"""What a look at pools, backends and quotas finds, as engines saw them last."""

from __future__ import annotations

import sqlalchemy as sa

from cyclades.cli.backends import BACKEND
from cyclades.cli.checkup.finding import Findings, error, ok, size, warning
from cyclades.cli.pools import POOL
from cyclades.config import Settings
from cyclades.model.quota import NEARLY, RESOURCES
from cyclades.security.keys import Keys, Unsealable
from cyclades.store import clusters, quotas
from cyclades.store.database import Tx
from cyclades.store.schema import layer, now, operation

_LITTLE, _VERY_LITTLE = 0.15, 0.05  # of a pool that is free
_OLD = 3600 * 1_000_000  # µs that a file of a pool may be half made


def pools(tx: Tx, settings: Settings, *, engine: bool) -> Findings:
    """`engine`: one runs, and should have looked."""
    quiet = tx.execute(sa.select(operation.c.id).where(operation.c.ended_at.is_(None)).limit(1)).first() is None
    for one in POOL.read(tx, settings, []):
        about, name = f"pool {one['name']}", one["name"]
        if not engine:
            yield ok(about, f"No engine runs to look at it; seen last: {one['seen_at'] or 'never'}.")
        elif one["state"] != "up":
            yield error(about, f"Engines do not reach it; seen last: {one['seen_at'] or 'never'}.",
                        f"look at {one['directory']} and at the engines' logs")  # fmt: skip
        if not one["enabled"]:
            yield warning(about, f"It takes no new volumes: {one['disabled_reason'] or 'no reason was given'}.",
                          f"openstack volume service set --enable (the host is …@{name})")  # fmt: skip
        if one["total"]:
            part = one["free"] / one["total"]
            text = f"{size(one['free'])} of {size(one['total'])} are free, {size(one['promised'])} promised."
            made = error if part < _VERY_LITTLE else warning if part < _LITTLE else ok
            yield made(about, text, None if made is ok else "make room, or let another pool take the new volumes")
        left = sa.and_(layer.c.pool == name, layer.c.state != "live", layer.c.created_at < now() - _OLD)
        number = tx.execute(sa.select(sa.func.count()).select_from(layer).where(left)).scalar_one()
        if number and quiet and engine:
            yield warning(about, f"{number} files are half made or half removed, and nothing is at work there.",
                          "look for pool.tidy in the engines' logs")  # fmt: skip


def backends(tx: Tx, settings: Settings, *, engine: bool) -> Findings:
    for one in BACKEND.read(tx, settings, []):
        about, name = f"backend {one['name']}", one["name"]
        what = " ".join(filter(None, (one["program"], one["version"]))) or one["kind"]
        if one["state"] == "offline":
            yield warning(about, f"It is set offline: what is asked of its {one['servers']} servers waits.",
                          f"cyclades backend-modify {name} --online")  # fmt: skip
        elif not engine:
            yield ok(about, f"No engine runs to look at it; seen last: {one['seen_at'] or 'never'}.")
        elif one["state"] != "up":
            yield error(about, f"Engines do not reach it: {one['problem'] or 'none has looked at it lately'}",
                        f"cyclades backend-show {name}")  # fmt: skip
        else:
            yield ok(about, f"{what}, {one['servers']} servers.")
        if not one["enabled"]:
            yield warning(about, f"It is drained: {one['disabled_reason'] or 'no reason was given'}.",
                          f"cyclades backend-modify {name} --undrained")  # fmt: skip


def sealed(tx: Tx, settings: Settings) -> Findings:
    """Whether the keys here open what the database has sealed."""
    rows = clusters.every(tx)
    if not rows:
        return
    keys = Keys(settings.key_dir)
    for row in rows:
        try:
            keys.open(row.password, clusters.sealed_as(row.name))
        except Unsealable as problem:
            yield error(f"backend {row.name}", f"Its password cannot be read: {problem}.",
                        f"restore the keys, or cyclades backend-modify {row.name} --password-file FILE")  # fmt: skip


def fullness(tx: Tx, settings: Settings) -> Findings:
    found = quotas.fullness(tx, settings.quotas, tuple(RESOURCES), nearly=NEARLY)
    number = {row.resource: int(row.nearly) for row in found if row.nearly}
    text = ", ".join(f"{name}: {count}" for name, count in sorted(number.items()))
    yield ok("quotas", f"Projects at 80 % or more of {text}." if number else "No project is near a limit.",
             "cyclades quota-list --full 80" if number else None)  # fmt: skip
