"""What a look at the database finds: its tables and clock, processes, operations, reconciliation, housekeeping."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades import __version__
from cyclades.cli.checkup.finding import Findings, error, lasted, ok, size, warning
from cyclades.cli.output import moment
from cyclades.config import Settings
from cyclades.model.presence import is_up
from cyclades.store import differences, operations, revisions, services
from cyclades.store.database import Database, Tx
from cyclades.store.housekeeping import KINDS
from cyclades.store.schema import now, operation, service

_SECOND = 1_000_000  # µs
_LATELY = 3600.0  # seconds in which a process that has gone without a word is told of
_OLD = 3600.0  # seconds after which an operation is old
_LATE = 60.0  # seconds that an operation may wait for an engine
_MANY = 10  # operations that are told of one by one
_WRONG, _VERY_WRONG = 2.0, 30.0  # seconds between two clocks
_BEHIND = 86400.0  # seconds that housekeeping may be behind


def tables(db: Database) -> Findings:
    """Only if these are right is it of use to look at the rest."""
    found, newest = revisions.revision_of(db.engine), revisions.newest()
    if found != newest:
        yield error("database", f"Its tables are at {found or 'nothing'}, this version needs {newest}.",
                    "cyclades db upgrade")  # fmt: skip
        return
    kind = "SQLite" if db.is_sqlite else "PostgreSQL"
    yield ok("database", f"{kind}, tables at {newest}, {size(db.read_now(_bytes))}.")


def _bytes(tx: Tx) -> int:
    if tx.dialect == "postgresql":
        return int(tx.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one())
    pages, each = (tx.execute(sa.text(f"PRAGMA {name}")).scalar_one() for name in ("page_count", "page_size"))
    return int(pages) * int(each)


def clock(tx: Tx) -> Findings:
    if tx.dialect == "postgresql":
        theirs = tx.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        seconds, text = abs(float(theirs) - now() / _SECOND), "between this machine's clock and the database's"
    else:
        newest = max(filter(None, (tx.execute(sa.select(sa.func.max(column))).scalar() for column in (
            service.c.seen_at, operation.c.created_at))), default=0)  # fmt: skip
        seconds, text = max((newest - now()) / _SECOND, 0.0), "that the database is ahead of this machine's clock"
    whole = f"{seconds:.1f} seconds {text}."
    if seconds > _VERY_WRONG:
        yield error("clock", whole, "set the clocks by NTP: chronyc tracking, timedatectl")
    elif seconds > _WRONG:
        yield warning("clock", whole, "set the clocks by NTP: chronyc tracking, timedatectl")
    else:
        yield ok("clock", whole)


def runs(tx: Tx) -> bool:
    """Whether there is an engine."""
    return services.is_there(tx, "engine")


def processes(tx: Tx) -> Findings:
    at = now()
    every = services.every(tx)
    alive = [row for row in every if is_up(row.seen_at, at)]
    how = "cyclades up" if tx.dialect == "sqlite" else "cyclades {kind}"
    for kind, loss in (("engine", "nothing that is asked for is done"), ("api", "nobody can ask for anything")):
        there = [row for row in alive if row.kind == kind]
        if there:
            hosts = ", ".join(sorted({row.host for row in there}))
            yield ok(kind, f"{len(there)} on {hosts}.")
        else:
            yield error(kind, f"None runs: {loss}.", how.format(kind=kind))
    for row in every:
        if row not in alive and at - row.seen_at < _LATELY * _SECOND:
            yield warning(row.kind, f"{row.id} has said nothing since {moment(row.seen_at)}: it was killed, or hangs.",
                          f"look at its log on {row.host}")  # fmt: skip
    others = {row.version for row in alive} - {__version__}
    if others:
        yield warning("version", f"This is {__version__}; processes run {', '.join(sorted(others))}.",
                      "start them again with the same version")  # fmt: skip
    else:
        yield ok("version", f"{__version__}, as all that runs.")


def queue(tx: Tx, settings: Settings) -> Findings:
    """Operations that have not ended."""
    at, rows, engine = now(), operations.open_ones(tx), runs(tx)
    if not rows:
        yield ok("operations", "None is open.")
    else:
        yield ok("operations", f"{len(rows)} open, the oldest for {lasted((at - rows[0].created_at) / _SECOND)}.",
                 "cyclades operation-list")  # fmt: skip
    troubled = [(row, why) for row in rows if (why := _trouble(row, at, settings, engine=engine)) is not None]
    for row, why in troubled[:_MANY]:
        yield warning(f"operation {row.id}", f"{row.kind} of {row.resource_kind} {row.resource_id} {why}",
                      f"cyclades operation-show {row.id}; then operation-retry or operation-abort")  # fmt: skip
    if len(troubled) > _MANY:
        yield warning("operations", f"{len(troubled) - _MANY} more like these.",
                      f"cyclades operation-list --older {_LATE:.0f}")  # fmt: skip
    failed = sa.and_(operation.c.state == "failed", operation.c.ended_at > at - 86400 * _SECOND)
    number = tx.execute(sa.select(sa.func.count()).select_from(operation).where(failed)).scalar_one()
    if number:
        yield ok("operations", f"{number} failed in the last day.", "cyclades operation-list --failed")


def _trouble(row: Row[Any], at: int, settings: Settings, *, engine: bool) -> str | None:
    """What is not as it should be with an open operation."""
    reason = f": {row.reason}" if row.reason else "."
    age, late = (at - row.created_at) / _SECOND, (at - row.not_before) / _SECOND
    if row.state == "running" and row.lease_until is not None:
        over = (at - row.lease_until) / _SECOND
        if over > 2 * settings.engine.lease_seconds and engine:
            return f"was left by {row.lease_owner} {lasted(over)} ago, and no engine has taken it over{reason}"
    elif late > _LATE and engine:
        return f"could be worked on, and no engine has taken it for {lasted(late)}{reason}"
    if age > _OLD:
        return f"was asked for {lasted(age)} ago, and tries its present step for the {row.attempts + 1}. time{reason}"
    return None


def reconciliation(tx: Tx, settings: Settings) -> Findings:
    about, at, last, every = "reconciliation", now(), differences.last_look(tx), settings.engine.reconcile_seconds
    if last is None:
        yield ok(about, "Nobody has looked yet.", "cyclades reconcile-servers; cyclades reconcile-volumes")
        return
    age = (at - last.ended_at) / _SECOND
    text = f"The last look ended {lasted(age)} ago."
    if every and age > 3 * every + _LATE and runs(tx):
        yield warning(about, text, "look at the engines' logs; kill -USR1 an engine to have it look now")
    else:
        yield ok(about, text)
    for place, reason in last.unseen.items():
        yield warning(about, f"It could not look at {place}: {reason}", f"cyclades backend-show {place}")
    kinds = Counter((row.kind, _command(row)) for row in differences.every(tx))
    for (kind, command), number in sorted(kinds.items()):
        yield warning(about, f"{number} of kind {kind}.", command)


def _command(row: Row[Any]) -> str:
    """The one that shows a difference, and mends it."""
    if row.kind == "quota":
        return "cyclades reconcile-quotas"
    of_servers = not row.kind.startswith("pool-") and row.resource.partition(" ")[0] in ("server", "attachment")
    elsewhere = row.kind.startswith(("server-", "disk-"))
    return "cyclades reconcile-servers" if of_servers or elsewhere else "cyclades reconcile-volumes"


def housekeeping(tx: Tx, settings: Settings) -> Findings:
    """How far it is behind with what nothing else needs any more."""
    at, behind = now(), {}
    for kind in KINDS:
        if kind.named_by:
            continue
        query = sa.select(sa.func.min(kind.age)).where(kind.age <= at)
        oldest = tx.execute(query if kind.stays is None else query.where(~kind.stays)).scalar()
        if oldest is not None:
            behind[kind.table.name] = (at - oldest) / _SECOND - kind.kept(settings)
    late = {name: seconds for name, seconds in behind.items() if seconds > _BEHIND}
    for name, seconds in sorted(late.items()):
        yield warning("housekeeping", f"{name} rows should have been forgotten {lasted(seconds)} ago.",
                      "look for housekeeping in the engines' logs")  # fmt: skip
    if not late:
        yield ok("housekeeping", "It is up to date.")
