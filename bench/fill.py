"""Brings a project to a number of volumes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bench.endpoint import Endpoint
from cyclades.operations.base import new_id
from cyclades.store.database import Database, Tx
from cyclades.store.schema import volume

_PAGE = 1000


async def ids(endpoint: Endpoint, most: int) -> list[str]:
    """The ids of the project's newest volumes, by pages: `most`, or as many as there are."""
    found: list[str] = []
    while len(found) < most:
        marker = f"&marker={found[-1]}" if found else ""
        limit = min(most - len(found), _PAGE)
        page = (await endpoint.volume.ask("GET", f"/volumes?limit={limit}{marker}"))["volumes"]
        if not page:
            break
        found += [row["id"] for row in page]
    return found


async def through_the_api(endpoint: Endpoint, number: int) -> list[str]:
    """Make volumes of 1 GiB as anybody can; their ids."""
    metadata = {"made-by": "bench"}
    bodies = [{"size": 1, "name": f"bench-{i}", "metadata": metadata} for i in range(number)]
    made = [await endpoint.make("volume", body) for body in bodies]
    for volume_id in made:
        await endpoint.volume.until(f"/volumes/{volume_id}", "volume", "available")
    return made


async def into_the_tables(endpoint: Endpoint, database: Path, number: int) -> None:
    """One volume is made; the others are copies of its row, written straight into the tables of a cloud of our own:
    without disks, and counted in no quota."""
    if number == 0:
        return
    original = (await through_the_api(endpoint, 1))[0]

    def write(tx: Tx) -> None:
        row = tx.execute(volume.select().where(volume.c.id == original)).one()._asdict()
        changes = [
            {"id": new_id(), "name": f"bench-{i}", "created_at": row["created_at"] + i} for i in range(1, number)
        ]
        if changes:
            tx.execute(volume.insert(), [{**row, **change} for change in changes])

    db = Database(f"sqlite:///{database}")
    try:
        await db.write(write)
    finally:
        db.close()
    with closing(sqlite3.connect(database)) as connection:  # so long a log is not what reading is to be measured with
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
