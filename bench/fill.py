"""Brings a project to a number of volumes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bench.endpoint import Endpoint
from cyclades.config import UNLIMITED, Quotas
from cyclades.model import quota
from cyclades.operations.base import new_id
from cyclades.store import quotas, volume_types
from cyclades.store.database import Database, Tx
from cyclades.store.schema import now, volume

_NO_LIMIT = Quotas(volumes=UNLIMITED, gigabytes=UNLIMITED)
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


def rows(database: Path, endpoint: Endpoint, number: int) -> None:
    """Write available volumes of 1 GiB straight into the tables of a cloud of our own: rows, without disks."""

    def write(tx: Tx) -> None:
        kind = volume_types.default(tx, endpoint.project_id)
        begun = now()
        common = {
            "project_id": endpoint.project_id,
            "user_id": endpoint.user_id,
            "status": "available",
            "size": 1,
            "volume_type_id": kind.id,
            "pool": "local",
            "metadata": {"made-by": "bench"},
            "availability_zone": "nova",
        }
        made = [{**common, "id": new_id(), "name": f"bench-{i}", "created_at": begun + i} for i in range(number)]
        tx.execute(volume.insert(), made)
        amounts = {name: number * amount for name, amount in quota.of_volume(1, type_id=kind.id).items()}
        quotas.take(tx, _NO_LIMIT, endpoint.project_id, amounts)

    db = Database(f"sqlite:///{database}")
    try:
        db.write_now(write)
    finally:
        db.close()
    with closing(sqlite3.connect(database)) as connection:  # so long a log is not what reading is to be measured with
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def through_the_api(endpoint: Endpoint, number: int) -> None:
    """Make volumes of 1 GiB as anybody can."""
    made = [await endpoint.make("volume", {"size": 1, "name": f"bench-{i}"}) for i in range(number)]
    for volume_id in made:
        await endpoint.volume.until(f"/volumes/{volume_id}", "volume", "available")
