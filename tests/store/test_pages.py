"""Keyset pages: whatever the sort, every row comes once and in order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from cyclades.model.errors import UnknownMarker
from cyclades.store import pages, snapshots, volumes
from cyclades.store.database import Database, Tx
from cyclades.store.pages import Key, Page
from cyclades.store.schema import snapshot, volume, volume_type

_ROWS = st.lists(
    st.tuples(st.sampled_from([None, "", "a", "b"]), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=12
)
_KEYS = st.lists(
    st.tuples(st.sampled_from(["name", "size", "created_at"]), st.booleans()), max_size=3, unique_by=lambda k: k[0]
)


@given(rows=_ROWS, keys=_KEYS, id_descending=st.booleans(), limit=st.integers(1, 5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_are_the_sorted_list_cut(
    database: Database, rows: list[tuple[str | None, int, int]], keys: list[tuple[str, bool]], id_descending: bool,
    limit: int,
) -> None:  # fmt: skip
    await database.write(lambda tx: _fill(tx, rows))
    wanted = [*(Key(*key) for key in keys), Key("id", id_descending)]
    everything = (await database.read(lambda tx: _page(tx, Page(1000, wanted)))).rows
    seen, marker = [], None
    for _ in itertools.count():
        found = await database.read(lambda tx, marker=marker: _page(tx, Page(limit, wanted, marker)))  # type: ignore[misc]
        seen += found.rows
        if not found.more:
            break
        marker = found.rows[-1].id
    assert seen == everything
    assert len(seen) == len(rows)
    for a, b in itertools.pairwise(seen):
        for key in wanted:
            left, right = (_value(row, key.name) for row in (a, b))
            if left != right:
                assert (left > right) if key.descending else (left < right)
                break


def _value(row: Any, name: str) -> Any:
    """NULL sorts as the least value."""
    return getattr(row, name) or ("" if name == "name" else 0)


def _page(tx: Tx, page: Page) -> pages.Rows:
    return pages.fetch(tx, sa.select(snapshot), snapshot, page)


def _fill(tx: Tx, rows: list[tuple[str | None, int, int]]) -> None:
    common = {"project_id": "p", "user_id": "u", "status": "available", "metadata": {}}
    tx.execute(snapshot.delete())
    tx.execute(volume.delete())
    tx.execute(volume_type.delete())
    tx.execute(volume_type.insert().values(id="t", name="t", created_at=0))
    tx.execute(
        volume.insert().values(
            id="v", size=1, volume_type_id="t", pool="p", availability_zone="z", created_at=0, **common
        )
    )
    for i, (name, size, moment) in enumerate(rows):
        values = {"id": f"{(i * 7) % 13:02}", "volume_id": "v", "name": name, "size": size, "created_at": moment}
        tx.execute(snapshot.insert().values(**values, **common))


async def test_an_unknown_marker_is_refused(database: Database) -> None:
    with pytest.raises(UnknownMarker):
        await database.read(lambda tx: _page(tx, Page(1, [Key("id", False)], "nobody")))


_NEWEST = [Key("created_at", True), Key("id", True)]
_BY_NAME = [Key("name", False), Key("id", False)]


@pytest.mark.parametrize(
    ("kind", "scope", "keys", "index"),
    [
        ("volume", "p", _NEWEST, "ix_volume_project_alive"),
        ("volume", None, _NEWEST, "ix_volume_alive"),
        ("volume", "p", _BY_NAME, "ix_volume_project_name_alive"),
        ("volume", "p", [Key("name", True), Key("id", True)], "ix_volume_project_name_alive"),
        ("snapshot", "p", _NEWEST, "ix_snapshot_project_alive"),
        ("snapshot", None, _NEWEST, "ix_snapshot_alive"),
        ("snapshot", "p", _BY_NAME, "ix_snapshot_project_name_alive"),
    ],
)
async def test_a_page_begins_at_its_place_in_an_index(
    database: Database, kind: str, scope: str | None, keys: list[Key], index: str
) -> None:
    """Not with a scan and a sort, which would cost more with every row there is, nor with skipping what came before."""
    await database.write(_fill_much)
    store = volumes if kind == "volume" else snapshots
    marker = "p-1000"
    seen: list[tuple[str, Any]] = []

    def page(tx: Tx) -> list[str]:
        """How the database would read the page that follows the marker."""
        connection = tx.connection

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            seen.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        store.page(tx, store.query(scope), Page(10, keys, marker), scope)
        event.remove(connection, "before_cursor_execute", note)
        statement, parameters = seen[-1]
        if tx.dialect == "postgresql":  # which scans small tables whatever their indexes
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql("SET enable_bitmapscan = off")
            connection.exec_driver_sql("SET enable_sort = off")
        explain = "EXPLAIN" if tx.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = [str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters)]
        if tx.dialect == "postgresql":
            connection.exec_driver_sql("RESET ALL")
        return plan

    plan = await database.read(page)
    text = "\n".join(plan)
    assert index in text, text
    assert "TEMP B-TREE" not in text, text
    assert "Sort" not in text, text
    # The index is entered at the marker's place: the first key is among the conditions that it answers.
    (entered,) = [line for line in plan if ("Index Cond" in line or index in line) and "Index Scan" not in line]
    assert ("created_at" in entered) == (keys[0].name == "created_at"), text
    assert ("<" in entered) if keys[0].descending else (">" in entered), text


def _fill_much(tx: Tx) -> None:
    """As many rows as it takes until a planner cares, of many projects."""
    common = {"user_id": "u", "status": "available", "size": 1, "metadata": {}}
    projects = [("p" if i % 50 == 0 else f"q{i % 19}", i) for i in range(2000)]
    rows = [{"id": f"p-{i}", "project_id": p, "name": f"n-{i % 77}", "created_at": i, **common} for p, i in projects]
    tx.execute(volume_type.insert().values(id="t", name="t", created_at=0))
    where = {"volume_type_id": "t", "pool": "p", "availability_zone": "z"}
    tx.execute(volume.insert(), [row | where for row in rows])
    tx.execute(snapshot.insert(), [row | {"volume_id": row["id"]} for row in rows])
    tx.execute(sa.text("ANALYZE"))


async def test_a_row_that_is_gone_still_marks_its_place(database: Database) -> None:
    await database.write(lambda tx: _fill(tx, [("a", 1, i) for i in range(3)]))
    ids = [row.id for row in (await database.read(lambda tx: _page(tx, Page(10, _NEWEST)))).rows]
    gone = snapshot.update().where(snapshot.c.id == ids[0]).values(deleted_at=1)
    await database.write(lambda tx: tx.execute(gone))

    def after(tx: Tx, scope: str | None) -> list[str]:
        return [row.id for row in snapshots.page(tx, snapshots.query(scope), Page(10, _NEWEST, ids[0]), scope).rows]

    for scope in ("p", None):
        assert await database.read(lambda tx, scope=scope: after(tx, scope)) == ids[1:]  # type: ignore[misc]
    with pytest.raises(UnknownMarker):
        await database.read(lambda tx: after(tx, "q"))
