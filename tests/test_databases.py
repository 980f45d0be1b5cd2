"""The fixtures that the other tests stand on."""

from __future__ import annotations

import sqlalchemy as sa
from tests.databases import empty

from cyclades.store.database import Database, Tx
from cyclades.store.schema import domain, metadata, now


def _add_domain(tx: Tx) -> None:
    tx.execute(domain.insert(), {"id": "default", "name": "Default", "created_at": now()})


def _count_domains(tx: Tx) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(domain)).scalar_one())


async def test_a_row_is_there_until_the_database_is_emptied(database: Database) -> None:
    await database.write(_add_domain)
    assert await database.read(_count_domains) == 1
    empty(database)
    assert await database.read(_count_domains) == 0


def test_the_next_test_sees_no_row_of_the_last(database: Database) -> None:
    assert database.read_now(_count_domains) == 0
    database.write_now(_add_domain)


def test_all_tables_are_there(database: Database, database_kind: str) -> None:
    assert database.is_sqlite == (database_kind == "sqlite")
    assert set(metadata.tables) <= set(sa.inspect(database.engine).get_table_names())


def test_a_blank_database_has_no_tables(blank_database_url: str) -> None:
    engine = sa.create_engine(blank_database_url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
