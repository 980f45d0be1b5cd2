"""Keyset pages: whatever the sort, every row comes once and in order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyclades.model.errors import Invalid
from cyclades.store import pages
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
    with pytest.raises(Invalid):
        await database.read(lambda tx: _page(tx, Page(1, [Key("id", False)], "nobody")))


async def test_the_default_page_is_read_from_an_index(database: Database) -> None:
    """Not a scan and a sort, which would cost more with every volume there is."""
    if not database.is_sqlite:
        pytest.skip("PostgreSQL scans small tables whatever their indexes")
    query = sa.select(volume).where(volume.c.project_id == "p", volume.c.deleted_at.is_(None))
    query = query.where(sa.tuple_(volume.c.created_at, volume.c.id) < sa.tuple_(sa.literal(5), sa.literal("x")))
    query = query.order_by(volume.c.created_at.desc(), volume.c.id.desc()).limit(11)
    text = query.compile(database.engine, compile_kwargs={"literal_binds": True}).string
    plan = await database.read(lambda tx: [row.detail for row in tx.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))])
    assert any("ix_volume_project_alive" in line for line in plan), plan
    assert not any("TEMP B-TREE" in line for line in plan), plan
