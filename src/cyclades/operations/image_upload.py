"""Upload the bytes of an image.

Not an operation of the engine: the client's connection is what carries it. In its place stands a row with a
lease (`store.image_uploads`): the file under it is named by that row alone until one transaction makes the image
`active`, so whoever ends an upload, and however often, can remove its file without touching another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import structlog

from cyclades.config import Settings
from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Fault, Invalid, OverQuota, TooLarge, Unavailable, WrongState
from cyclades.model.units import MIB
from cyclades.operations import image_file
from cyclades.operations.image_file import Writer, Written
from cyclades.pools import image_format, qemu_img
from cyclades.store import image_uploads, images, quotas
from cyclades.store.database import Database, Tx

_BATCH = 2 * MIB  # bytes that are hashed and written in one go; two such are in memory
_COUNT_AHEAD = 64 * MIB  # bytes of quota taken at a time when nobody said how many will come
_RENEW_SECONDS = 10.0
_STALL_SECONDS = 120.0  # that a client may send nothing
_LOOK_SECONDS = 60.0  # between looks for uploads that were given up

log = structlog.get_logger("cyclades.images")


async def upload(
    db: Database,
    settings: Settings,
    caller: Caller,
    image_id: str,
    chunks: AsyncIterator[bytes],
    *,
    announced: int | None,
) -> None:
    """Take in the bytes and make the image `active`. `announced` is how many the client said there are. Whatever
    goes wrong, the image is `queued` again, and no file and no quota is left."""
    if announced is not None and announced > settings.limits.image_bytes:
        raise _too_large(settings)
    file = f"{image_id}.{secrets.token_hex(4)}"
    path = image_file.path_of(settings, file)
    disk_format = await db.write(lambda tx: _begin(tx, caller, settings, image_id, file, announced))
    try:
        async with _kept_alive(db, image_id, file) as keeper:
            receiver = _Receiver(db, settings, image_id, file, announced)
            written = await receiver.receive(path, _in_time(chunks), keeper)
            virtual_size = await _verify(image_id, path, disk_format)
        await db.write(lambda tx: _finish(tx, image_id, file, written, virtual_size))
    except BaseException:
        await asyncio.shield(_abandon(db, settings, image_id, file))
        raise


def _begin(tx: Tx, caller: Caller, settings: Settings, image_id: str, file: str, announced: int | None) -> str:
    """Take the image from `queued` to `saving`; returns its disk format."""
    row = images.hold(tx, caller, image_id)
    if row.status == "saving" and _drop(tx, image_id, dead=True):
        row = images.hold(tx, caller, image_id)
    if row.status != "queued":
        raise WrongState(
            "image-upload",
            f"Image status transition from {row.status} to saving is not allowed: "
            + ("another upload is under way." if row.status == "saving" else "an image's data never changes."),
            resource="image",
        )
    missing = [name for name in ("disk_format", "container_format") if getattr(row, name) is None]
    if missing:
        raise Invalid("image-formats", f"Properties {', '.join(missing)} must be set prior to saving data.")
    counted = announced or 0
    quotas.take(tx, settings.quotas, row.project_id, quota.of_image(counted))
    image_uploads.add(tx, image_id, file, counted=counted)
    images.change(tx, image_id, status="saving")
    disk_format: str = row.disk_format
    return disk_format


def _finish(tx: Tx, image_id: str, file: str, written: Written, virtual_size: int) -> None:
    row = images.hold_even_deleted(tx, image_id)
    ended = image_uploads.remove(tx, image_id, file)
    if ended is None:
        raise _lost(image_id)
    quotas.give_back(tx, row.project_id, quota.of_image(ended[1] - written.size))
    images.change(
        tx,
        image_id,
        status="active",
        file=file,
        size=written.size,
        virtual_size=virtual_size,
        checksum=written.checksum,
        os_hash_value=written.hash_value,
    )


def _drop(tx: Tx, image_id: str, file: str | None = None, *, dead: bool = False) -> bool:
    """End an upload without an image; False if it is not there."""
    row = images.hold_even_deleted(tx, image_id)
    ended = image_uploads.remove(tx, image_id, file, dead=dead)
    if ended is None:
        return False
    quotas.give_back(tx, row.project_id, quota.of_image(ended[1]))
    if row.status == "saving":
        images.change(tx, image_id, status="queued")
    return True


async def _abandon(db: Database, settings: Settings, image_id: str, file: str) -> None:
    """Leave nothing of an upload, unless it succeeded after all."""
    await db.write(lambda tx: _drop(tx, image_id, file))
    if file not in await db.read(image_uploads.files):
        await asyncio.to_thread(image_file.remove, image_file.path_of(settings, file))


class _Receiver:
    """Brings the bytes from the connection to the file, counting them against the quota before they are written."""

    def __init__(self, db: Database, settings: Settings, image_id: str, file: str, announced: int | None) -> None:
        self._db, self._settings = db, settings
        self._image_id, self._file = image_id, file
        self._announced = announced
        self._counted = announced or 0
        self._size = 0

    async def receive(self, path: Path, chunks: AsyncIterator[bytes], keeper: asyncio.Task[None]) -> Written:
        with _no_space():
            writer = await asyncio.to_thread(Writer, path)
            writing: asyncio.Future[None] | None = None
            try:
                async for batch in self._batches(chunks):
                    if keeper.done():
                        raise _lost(self._image_id)
                    await self._count(len(batch))
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(asyncio.to_thread(writer.write, batch))
                if writing is not None:
                    await writing
                if self._announced is not None and self._size < self._announced:
                    raise Invalid(
                        "image-size", f"The image was announced with {self._announced} bytes, and {self._size} came."
                    )
                return await asyncio.to_thread(writer.finish)
            finally:
                if writing is not None:
                    await asyncio.wait([writing])
                writer.close()

    async def _batches(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytearray]:
        batch = bytearray()
        async for chunk in chunks:
            batch += chunk
            if len(batch) >= _BATCH:
                yield batch
                batch = bytearray()
        if batch:
            yield batch

    async def _count(self, more: int) -> None:
        self._size += more
        if self._announced is not None and self._size > self._announced:
            raise Invalid("image-size", f"The image was announced with {self._announced} bytes, and more came.")
        if self._size > self._settings.limits.image_bytes:
            raise _too_large(self._settings)
        if self._size <= self._counted:
            return
        least = self._size - self._counted
        try:
            await self._take(max(least, _COUNT_AHEAD))
        except OverQuota:
            await self._take(least)

    async def _take(self, more: int) -> None:
        def take(tx: Tx) -> None:
            row = images.hold_even_deleted(tx, self._image_id)
            if not image_uploads.count_more(tx, self._image_id, self._file, more):
                raise _lost(self._image_id)
            quotas.take(tx, self._settings.quotas, row.project_id, quota.of_image(more))

        await self._db.write(take)
        self._counted += more


async def _verify(image_id: str, path: Path, disk_format: str) -> int:
    """Whether the file is what it should be; returns its virtual size in bytes."""
    try:
        header = await asyncio.to_thread(image_format.inspect, path, disk_format)
    except FileNotFoundError:
        raise _lost(image_id) from None
    try:
        await qemu_img.check(path, disk_format)
    except Fault as fault:
        raise Unavailable("image-check", f"The image could not be checked: {fault}") from fault
    return header.virtual_size


async def _in_time(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError as late:
            raise Invalid("body-stalled", f"Nothing came for {_STALL_SECONDS:.0f} seconds.") from late
        if chunk is None:
            return
        yield chunk


@contextlib.asynccontextmanager
async def _kept_alive(db: Database, image_id: str, file: str) -> AsyncIterator[asyncio.Task[None]]:
    """Renew the lease; the task given ends when the upload is no longer there."""

    async def renew() -> None:
        alive = True
        while alive:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                alive = await db.write(partial(image_uploads.renew, image_id=image_id, file=file))
            except Exception:
                log.exception("image.renew", image=image_id)

    keeper = asyncio.create_task(renew())
    try:
        yield keeper
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


@contextlib.contextmanager
def _no_space() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise TooLarge("image-space", "There is no space left where images are kept.") from error
        raise


def _too_large(settings: Settings) -> TooLarge:
    return TooLarge("image-size", f"An image's file has at most {settings.limits.image_bytes} bytes.")


def _lost(image_id: str) -> WrongState:
    text = f"Image {image_id} was deleted, or its upload given up, before the upload ended."
    return WrongState("image-upload-lost", text, resource="image")


async def recover(db: Database, settings: Settings, *, alone: bool) -> None:
    """End the uploads that nobody carries any more and remove the files that nothing needs. `alone`: no other
    process can carry one (SQLite with its directory locked), so that all of them are such."""

    def drop(tx: Tx) -> None:
        for image_id in image_uploads.of_images(tx, dead=not alone):
            if _drop(tx, image_id, dead=not alone):
                log.info("image.upload-given-up", image=image_id)

    await db.write(drop)
    # A file's row is written before the file: one that is seen here and has no row then had lost it before.
    seen = await asyncio.to_thread(_list, settings.image_dir)
    needed = await db.read(image_uploads.files)
    for path in seen:
        if path.name not in needed:
            log.info("image.file-removed", file=path.name)
            await asyncio.to_thread(image_file.remove, path)


def _list(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.exists() else []


async def keep_recovering(db: Database, settings: Settings) -> None:
    """`recover` now and then, until cancelled: for processes that may not be alone."""
    while True:
        try:
            await recover(db, settings, alone=False)
        except Exception:
            log.exception("image.recover")
        await asyncio.sleep(_LOOK_SECONDS)
