"""/v2/images/{image_id}/file: the bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import Row

from cyclades.api.http.ended import until_ended
from cyclades.api.http.errors import HttpRefusal
from cyclades.api.http.request import Request
from cyclades.api.http.service import Answer
from cyclades.api.image.service import SERVICE
from cyclades.model.errors import Forbidden, Invalid, NotFound, Unavailable
from cyclades.operations import image_file, image_upload, image_write
from cyclades.store import images

BYTES = "application/octet-stream"
RANGE = {"Range": {"type": "string"}}  # the header
_WRITE_SECONDS = 600.0  # that an engine may take to bring an image's bytes from a pool
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@SERVICE.route("PUT", "/v2/images/{image_id}/file", who="member", status=204, streams=True, media=BYTES)
async def upload(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != BYTES:
        raise HttpRefusal(415, f"Unsupported Content-Type {media!r}: send {BYTES}.")
    assert request.chunks is not None
    announced = _announced(request)
    image_id = request.ids["image_id"]
    await image_upload.upload(
        request.db, request.settings, request.caller, image_id, request.chunks, announced=announced
    )


def _announced(request: Request) -> int | None:
    """How many bytes the client says will come."""
    said: set[int] = set()
    for name in ("content-length", "x-openstack-image-size"):
        text = request.headers.get(name)
        if text is not None:
            if not (text.isascii() and text.isdigit() and len(text) <= 18):
                raise Invalid("image-size", f"{name} is not a whole number.")
            said.add(int(text))
    if len(said) > 1:
        raise Invalid("image-size", "Content-Length and X-OpenStack-Image-Size do not agree.")
    return said.pop() if said else None


@SERVICE.route("GET", "/v2/images/{image_id}/file", who="reader", headers=RANGE, also=(204, 206, 416))
async def download(request: Request) -> Answer:
    row = await request.db.read(lambda tx: images.get(tx, request.caller, request.ids["image_id"]))
    if row.status == "deactivated" and not request.caller.is_admin:
        raise Forbidden(
            "image-deactivated", "The requested image has been deactivated. Image data download is forbidden."
        )
    if row.file is None or row.status == "saving":
        return Answer(204)
    if image_write.is_due(row) and request.method != "HEAD":
        row = await _written(request)
    return (await answer_with_bytes(request, row))[0]


async def answer_with_bytes(request: Request, row: Row[Any]) -> tuple[Answer, int]:
    """The file of an image, or the range of it that is asked for; and which byte it begins with."""
    begin, end = _range(request.headers.get("range"), row.size)
    headers = {"Content-Length": str(end - begin), "Accept-Ranges": "bytes"}
    if (begin, end) == (0, row.size):
        status = 200
        headers |= {"Content-MD5": row.checksum} if row.checksum else {}
    else:
        status = 206
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{row.size}"
    if request.method == "HEAD":
        return Answer(status, headers=headers, stream=_nothing(), media=BYTES), begin
    try:
        file = await asyncio.to_thread(image_file.open_to_read, image_file.path_of(request.settings, row.file))
    except FileNotFoundError:
        raise NotFound("image", row.id) from None  # it was deleted since
    return Answer(status, headers=headers, stream=image_file.pieces(file, begin, end), media=BYTES), begin


async def _written(request: Request) -> Row[Any]:
    """The image once its file is written: its bytes lay in a pool alone, and nobody has asked for them before."""
    image_id = request.ids["image_id"]
    op_id = await request.db.write(lambda tx: image_write.start(tx, request.caller, image_id))
    ended = None if op_id is None else await until_ended(request.db, op_id, _WRITE_SECONDS)
    row = await request.db.read(lambda tx: images.get(tx, request.caller, image_id))
    if image_write.is_due(row):
        reason = ended.reason if ended is not None else "it takes longer; ask again in a while."
        raise Unavailable("image-write", f"The image's bytes are being brought from their pool: {reason}")
    return row


def _range(header: str | None, size: int) -> tuple[int, int]:
    """The one range asked for, from its first byte to behind its last. What is not such a range is passed over,
    as HTTP allows."""
    form = _RANGE.fullmatch((header or "").strip())
    if form is None or form[1] == form[2] == "":
        return 0, size
    if form[1] == "":
        begin, end = max(size - int(form[2]), 0), size
    else:
        begin, end = int(form[1]), min(int(form[2]) + 1, size) if form[2] else size
        if form[2] and int(form[2]) < begin:
            return 0, size
    if begin >= end:
        raise HttpRefusal(416, f"The range {header} lies outside the image's {size} bytes.")
    return begin, end


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
