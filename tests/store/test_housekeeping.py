"""What is over goes after its time, in batches, by an index; what others still need stays."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cyclades.config import load
from cyclades.store import housekeeping, schema
from cyclades.store.database import Database, Tx
from cyclades.store.housekeeping import BATCH, KINDS, Kind
from cyclades.store.schema import now

SETTINGS = load(None, {}, housekeeping__deleted_seconds=1000, housekeeping__operation_seconds=1000)
DAY = 24 * 3600 * 1_000_000
OLD, YOUNG = 2 * DAY, 0  # µs: every kind is kept for less than the one, and longer than the other
BY_TABLE = {kind.table.name: kind for kind in KINDS}
TYPE = "type"


def add(tx: Tx, table: sa.Table, **values: Any) -> Any:
    """A row of which only `values` matter; returns its key."""
    whole = {column.name: _something(column) for column in table.columns if _must_be_given(column)} | values
    return tx.execute(table.insert().values(whole)).inserted_primary_key


def _must_be_given(column: sa.Column[Any]) -> bool:
    automatic = column.primary_key and column.autoincrement is True
    return not column.nullable and column.default is None and not automatic


def _something(column: sa.Column[Any]) -> Any:
    if isinstance(column.type, sa.Integer | sa.BigInteger):
        return 1
    if isinstance(column.type, sa.JSON):
        return {}
    return uuid4().hex if column.name == "id" else "x"


def add_type(tx: Tx) -> None:
    add(tx, schema.volume_type, id=TYPE)


def add_volume(tx: Tx, ident: str, age: int | None) -> None:
    _add(tx, schema.volume, ident, age, volume_type_id=TYPE)


def _add(tx: Tx, table: sa.Table, ident: str, age: int | None, **values: Any) -> None:
    add(tx, table, id=ident, deleted_at=None if age is None else now() - age, **values)


def forget_all(database: Database, kind: Kind) -> list[int]:
    """How many went in each batch."""
    gone: list[int] = []
    place: housekeeping.Place | None = None
    while True:
        batch = database.write_now(partial(housekeeping.forget, settings=SETTINGS, kind=kind, after=place))
        gone.append(batch.gone)
        if (place := batch.last) is None:
            return gone


def ids(database: Database, table: sa.Table) -> set[str]:
    return set(database.read_now(lambda tx: list(tx.execute(sa.select(table.c.id)).scalars())))


def number(database: Database, table: sa.Table) -> int:
    return int(database.read_now(lambda tx: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()))


@pytest.mark.parametrize("name", BY_TABLE)
def test_what_is_old_goes_and_what_is_not_stays(database: Database, name: str) -> None:
    kind = BY_TABLE[name]
    ages = [DAY, 1, -DAY] if kind.age.name == "expires_at" else [OLD, OLD + 1, YOUNG]

    def make(tx: Tx) -> None:
        add_type(tx)
        add_volume(tx, "v", None)
        for one, age in enumerate(ages):
            values: dict[str, Any] = {kind.age.name: now() - age}
            if "volume_type_id" in kind.table.c:
                values["volume_type_id"] = TYPE
            if "volume_id" in kind.table.c and name != "image":
                values["volume_id"] = "v"
            if name == "idempotency":
                values["key"] = str(one)
            add(tx, kind.table, **values)

    database.write_now(make)
    before = number(database, kind.table)
    assert forget_all(database, kind) == [2]
    assert number(database, kind.table) == before - 2
    assert forget_all(database, kind) == [0]


def test_what_is_alive_is_never_old(database: Database) -> None:
    def make(tx: Tx) -> None:
        add_type(tx)
        add_volume(tx, "alive", None)
        tx.execute(schema.volume.update().values(created_at=1, updated_at=1))
        add(tx, schema.operation, id="open", ended_at=None, created_at=1)

    database.write_now(make)
    for kind in KINDS:
        forget_all(database, kind)
    assert ids(database, schema.volume) == {"alive"}
    assert ids(database, schema.operation) == {"open"}


def test_what_others_name_stays_and_what_is_its_own_goes_with_it(database: Database) -> None:
    """A snapshot that outlives its volume needs to know the volume's pool and type."""

    def make(tx: Tx) -> None:
        add_type(tx)
        for name in ("with-snapshot", "with-attachment", "alone"):
            add_volume(tx, name, OLD)
        _add(tx, schema.snapshot, "s", None, volume_id="with-snapshot")
        _add(tx, schema.server, "server", OLD)
        _add(tx, schema.attachment, "a", YOUNG, volume_id="with-attachment", server_id="server", generation=1)
        _add(tx, schema.image, "i", OLD)
        add(tx, schema.image_member, image_id="i", project_id="p")

    database.write_now(make)
    for kind in KINDS:
        forget_all(database, kind)
    assert ids(database, schema.volume) == {"with-snapshot", "with-attachment"}
    assert ids(database, schema.server) == {"server"}
    assert ids(database, schema.image) == set()
    assert number(database, schema.image_member) == 0

    def end(tx: Tx) -> None:
        for table in (schema.snapshot, schema.attachment):
            tx.execute(table.update().values(deleted_at=now() - OLD))

    database.write_now(end)
    for kind in KINDS:
        forget_all(database, kind)
    assert [number(database, kind.table) for kind in KINDS] == [0] * len(KINDS)


def test_a_batch_is_small_and_what_stays_is_not_looked_at_twice(database: Database) -> None:
    def make(tx: Tx) -> None:
        add_type(tx)
        for one in range(2 * BATCH + 1):
            add_volume(tx, f"{one:04}", OLD + DAY - one)
            if one < BATCH:
                _add(tx, schema.snapshot, f"{one:04}", None, volume_id=f"{one:04}")

    database.write_now(make)
    assert forget_all(database, BY_TABLE["volume"]) == [0, BATCH, 1]
    assert number(database, schema.volume) == BATCH


def test_all_that_a_row_is_named_by_is_known() -> None:
    """A new table that refers to one of these has to be thought of."""
    for kind in KINDS:
        named = {
            column
            for table in schema.metadata.sorted_tables
            for column in table.columns
            if column.references(kind.key[0])
        }
        assert named == {*kind.named_by, *kind.parts}, kind.table.name


def test_every_deleted_row_is_forgotten() -> None:
    has = {table.name for table in schema.metadata.sorted_tables if "deleted_at" in table.c}
    assert has - {kind.table.name for kind in KINDS} == {"volume_type", "flavor"}


@pytest.mark.parametrize("name", BY_TABLE)
def test_no_batch_reads_a_whole_table(database: Database, name: str) -> None:
    kind = BY_TABLE[name]
    place = (1, *(_something(column) for column in kind.key))
    between = housekeeping._between(kind, now(), place, place)
    for statement in (housekeeping.last_of(kind, now(), place), *housekeeping.deletions(kind, between)):
        plan = explained(database, statement)
        assert [line for line in plan if _is_scan(line)] == [], plan


def explained(database: Database, statement: sa.Executable) -> list[str]:
    """How the database goes about it. PostgreSQL is kept from reading a whole table that is small."""
    assert isinstance(statement, sa.ClauseElement)
    text = str(statement.compile(database.engine, compile_kwargs={"literal_binds": True})).replace("%%", "%")
    with database.engine.connect() as connection:
        if database.is_sqlite:
            return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
        connection.exec_driver_sql("SET enable_seqscan = off")
        return list(connection.exec_driver_sql(f"EXPLAIN {text}").scalars())


def _is_scan(line: str) -> bool:
    """On SQLite of anything but the values in the statement itself."""
    return "Seq Scan" in line or (line.startswith("SCAN") and "VALUES" not in line and "CONSTANT" not in line)


def test_foreign_keys_are_checked_by_an_index() -> None:
    """Else each row that goes has the other table read from end to end."""
    for column in {column for kind in KINDS for column in (*kind.named_by, *kind.parts)}:
        table = column.table
        assert isinstance(table, sa.Table)
        whole = [index for index in table.indexes if index.dialect_options["sqlite"]["where"] is None]
        firsts = {next(iter(index.columns)).name for index in whole} | {next(iter(table.primary_key.columns)).name}
        assert column.name in firsts, column
