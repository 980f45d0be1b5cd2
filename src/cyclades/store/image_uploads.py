"""Uploads under way. A row is a lease: a process that no longer renews it has given its upload up."""

from __future__ import annotations

import sqlalchemy as sa

from cyclades.store.database import Tx
from cyclades.store.schema import image, image_upload, now

LEASE = 60_000_000  # µs


def add(tx: Tx, image_id: str, file: str, *, counted: int) -> None:
    """The image must be held by this transaction."""
    tx.execute(
        image_upload.insert(),
        {"image_id": image_id, "file": file, "counted": counted, "alive_until": now() + LEASE},
    )


def renew(tx: Tx, image_id: str, file: str) -> bool:
    """False if the upload is no longer there."""
    return _change(tx, image_id, file, alive_until=now() + LEASE)


def count_more(tx: Tx, image_id: str, file: str, more: int) -> bool:
    """False if the upload is no longer there."""
    return _change(tx, image_id, file, counted=image_upload.c.counted + more)


def _change(tx: Tx, image_id: str, file: str, **values: object) -> bool:
    wanted = sa.and_(image_upload.c.image_id == image_id, image_upload.c.file == file)
    return tx.execute(image_upload.update().where(wanted).values(**values)).rowcount == 1


def remove(tx: Tx, image_id: str, file: str | None = None, *, dead: bool = False) -> tuple[str, int] | None:
    """End an upload: its file and the bytes that it had counted; None if it is not there. `dead`: only one whose
    lease ran out."""
    gone = image_upload.delete().where(image_upload.c.image_id == image_id)
    if file is not None:
        gone = gone.where(image_upload.c.file == file)
    if dead:
        gone = gone.where(image_upload.c.alive_until < now())
    row = tx.execute(gone.returning(image_upload.c.file, image_upload.c.counted)).one_or_none()
    return None if row is None else (row.file, row.counted)


def of_images(tx: Tx, *, dead: bool) -> list[str]:
    """Ids of the images that have an upload; `dead`: only those whose lease ran out."""
    found = sa.select(image_upload.c.image_id)
    if dead:
        found = found.where(image_upload.c.alive_until < now())
    return list(tx.execute(found).scalars())


def files(tx: Tx) -> set[str]:
    """The names of all files that something still needs."""
    written = sa.select(image_upload.c.file)
    whole = sa.select(image.c.file).where(image.c.file.is_not(None))
    return set(tx.execute(written.union(whole)).scalars())
