"""/v2/images/{image_id}/file: whatever happens to an upload, either the image is whole or nothing is left of it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.client import PlainTokens, token
from tests.api.image.conftest import BYTES, IMAGES, PATCH, PROJECT, Client, make, put, refused, show

from cyclades.api.app import application
from cyclades.api.http.service import Shared
from cyclades.api.image.service import SERVICE
from cyclades.config import Settings
from cyclades.model.units import KIB, MIB
from cyclades.operations import image_upload
from cyclades.security.keys import Keys
from cyclades.store import quotas
from cyclades.store.database import Database
from cyclades.store.schema import image_upload as uploads

Usage = Callable[[], Awaitable[dict[str, int]]]
Files = Callable[[], list[Path]]
Settle = Callable[[], Awaitable[None]]
LIMIT = 60  # seconds


def qemu_img(*args: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, args)], check=True, stdout=subprocess.DEVNULL)


def qcow2(directory: Path, *, size: str = "4M", written: str | None = "-P 7 1M 1M") -> Path:
    path = directory / "made.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, size)
    if written:
        subprocess.run(
            ["qemu-io", "-f", "qcow2", "-c", f"write {written}", path], check=True, stdout=subprocess.DEVNULL
        )
    return path


async def in_chunks(content: bytes, size: int = 64 * KIB + 7) -> AsyncIterator[bytes]:
    """Nobody says how many bytes come."""
    for at in range(0, len(content), size):
        yield content[at : at + size]


class Slow:
    """A body whose second part comes when `go` is set."""

    def __init__(self, first: bytes, second: bytes) -> None:
        self._parts = first, second
        self.waits, self.go = asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._parts[0]
        self.waits.set()
        await asyncio.wait_for(self.go.wait(), LIMIT)
        yield self._parts[1]


@contextmanager
def slow_upload(client: Client, image_id: str, body: Slow) -> Iterator[asyncio.Task[httpx.Response]]:
    task = asyncio.create_task(put(client, image_id, body))
    try:
        yield task
    finally:
        task.cancel()


async def is_queued_and_nothing_left(client: Client, image_id: str, usage: Usage, files: Files) -> None:
    image = await show(client, image_id)
    assert image["status"] == "queued"
    assert image["size"] is None
    assert image["checksum"] is None
    assert files() == []
    assert await usage() == {"images": 1}


@pytest.mark.parametrize("announced", [True, False])
async def test_a_raw_image(member: Client, usage: Usage, files: Files, announced: bool) -> None:
    content = os.urandom(3 * MIB + 512) + bytes(8 * MIB) + os.urandom(MIB + 512)
    made = await make(member)
    answer = await put(member, made["id"], content if announced else in_chunks(content))
    assert answer.status_code == 204
    assert answer.content == b""
    image = await show(member, made["id"])
    expected = made | {
        "status": "active", "size": len(content), "virtual_size": len(content),
        "checksum": hashlib.md5(content).hexdigest(), "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(content).hexdigest(), "updated_at": image["updated_at"],
    }  # fmt: skip
    assert image == expected
    assert await usage() == {"images": 1, "image_bytes": len(content)}
    [file] = files()
    assert file.read_bytes() == content
    assert file.stat().st_blocks * 512 < 6 * MIB  # the zeros are a hole
    assert file.stat().st_mode & 0o777 == 0o600

    answer = await member.get(f"{IMAGES}/{made['id']}/file")
    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-md5"] == image["checksum"]


async def test_a_qcow2_image(member: Client, tmp_path: Path) -> None:
    content = qcow2(tmp_path).read_bytes()
    made = await make(member, disk_format="qcow2")
    assert (await put(member, made["id"], content)).status_code == 204
    image = await show(member, made["id"])
    assert (image["status"], image["size"], image["virtual_size"]) == ("active", len(content), 4 * MIB)
    assert (await member.get(f"{IMAGES}/{made['id']}/file")).content == content


async def test_parts_of_an_image(member: Client) -> None:
    content = os.urandom(3 * MIB)
    made = await make(member)
    path = f"{IMAGES}/{made['id']}/file"
    assert (await member.get(path)).status_code == 204  # there is nothing yet
    await put(member, made["id"], content)
    for asked, part in {
        "bytes=0-0": content[:1],
        "bytes=5-99": content[5:100],
        "bytes=2000000-": content[2000000:],
        "bytes=-7": content[-7:],
        "bytes=3000000-99999999": content[3000000:],
        "bytes=-99999999": content,
        "bytes=9-5": content,
        "bytes=0-1,5-6": content,
        "lines=1-2": content,
    }.items():
        answer = await member.get(path, headers={"Range": asked})
        assert answer.content == part, asked
        if part == content:
            assert answer.status_code == 200
        else:
            assert answer.status_code == 206
            begin = content.index(part)
            assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(part) - 1}/{len(content)}"
            assert "content-md5" not in answer.headers
    for asked in (f"bytes={len(content)}-", "bytes=-0"):
        refused(await member.get(path, headers={"Range": asked}), 416)
    head = await member.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(content)))


async def test_what_is_not_the_format_is_refused_and_leaves_nothing(
    member: Client, usage: Usage, files: Files, tmp_path: Path
) -> None:
    good = qcow2(tmp_path).read_bytes()
    base, data = tmp_path / "base.raw", tmp_path / "data.raw"
    base.write_bytes(bytes(MIB))
    backed, outside, vmdk = tmp_path / "backed.qcow2", tmp_path / "outside.qcow2", tmp_path / "other.vmdk"
    qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", backed)
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", outside, "1M")
    qemu_img("create", "-q", "-f", "vmdk", vmdk, "1M")
    no_length = good[:64] + b"\xff" * 8 + good[72:]
    cases = [
        ("qcow2", backed.read_bytes(), "backing file"),
        ("qcow2", outside.read_bytes(), "data file"),
        ("qcow2", bytes(MIB), "raw, not qcow2"),
        ("qcow2", good[: len(good) // 2], "whole"),
        ("qcow2", good[:60], "whole"),
        ("qcow2", good[: len(good) - 512 * KIB], "whole"),
        ("qcow2", no_length, ""),
        ("raw", good, "qcow2, not raw"),
        ("raw", vmdk.read_bytes(), "vmdk"),
        ("raw", gzip.compress(bytes(MIB)), "packed"),
        ("raw", b"", "empty"),
    ]
    for disk_format, content, word in cases:
        made = await make(member, disk_format=disk_format)
        refused(await put(member, made["id"], content), 400, word)
        await is_queued_and_nothing_left(member, made["id"], usage, files)
        await member.delete(f"{IMAGES}/{made['id']}")


async def test_a_refused_image_may_be_uploaded_again(member: Client, tmp_path: Path, files: Files) -> None:
    made = await make(member, disk_format="qcow2")
    refused(await put(member, made["id"], bytes(MIB)), 400)
    assert (await put(member, made["id"], qcow2(tmp_path).read_bytes())).status_code == 204
    assert (await show(member, made["id"]))["status"] == "active"
    assert len(files()) == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-OpenStack-Image-Size": "1025"}, 400),
        ({"X-OpenStack-Image-Size": "1023"}, 400),
        ({"X-OpenStack-Image-Size": "-1"}, 400),
        ({"X-OpenStack-Image-Size": "lots"}, 400),
        ({"Content-Length": "2048"}, 400),
        ({"Content-Length": "1024", "X-OpenStack-Image-Size": "1025"}, 400),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": ""}, 415),
    ],
)
async def test_what_was_announced_otherwise_is_refused(
    member: Client, usage: Usage, files: Files, headers: dict[str, str], code: int
) -> None:
    made = await make(member)
    refused(await put(member, made["id"], in_chunks(bytes(1024)), **headers), code)
    await is_queued_and_nothing_left(member, made["id"], usage, files)
    assert (await put(member, made["id"], bytes(1024), **{"X-OpenStack-Image-Size": "1024"})).status_code == 204


async def test_the_formats_must_be_known_first(member: Client, usage: Usage, files: Files) -> None:
    made = (await member.post(IMAGES, json={})).json()
    refused(await put(member, made["id"], bytes(512)), 400, "disk_format", "container_format")
    await is_queued_and_nothing_left(member, made["id"], usage, files)
    steps = [
        {"op": "add", "path": f"/{name}_format", "value": v} for name, v in (("disk", "raw"), ("container", "bare"))
    ]
    assert (await member.patch(f"{IMAGES}/{made['id']}", json=steps, headers=PATCH)).status_code == 200
    assert (await put(member, made["id"], bytes(512))).status_code == 204
    steps[0]["value"] = "qcow2"
    refused(await member.patch(f"{IMAGES}/{made['id']}", json=steps, headers=PATCH), 403, "disk_format")


async def test_bytes_never_change(member: Client, files: Files) -> None:
    made = await make(member)
    await put(member, made["id"], b"a" * 512)
    refused(await put(member, made["id"], b"b" * 512), 409, "active")
    assert (await member.get(f"{IMAGES}/{made['id']}/file")).content == b"a" * 512
    assert len(files()) == 1


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_over_the_limit(
    member: Client, settings: Settings, usage: Usage, files: Files, announced: bool
) -> None:
    settings.limits.image_bytes = 5 * MIB
    content = bytes(5 * MIB + 1)
    made = await make(member)
    refused(await put(member, made["id"], content if announced else in_chunks(content)), 413, str(5 * MIB))
    await is_queued_and_nothing_left(member, made["id"], usage, files)
    assert (await put(member, made["id"], content[1:])).status_code == 204


@pytest.mark.parametrize("announced", [True, False])
async def test_bytes_over_the_quota(
    member: Client, database: Database, usage: Usage, files: Files, announced: bool
) -> None:
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "image_bytes", 5 * MIB))
    content = bytes(5 * MIB + 1)
    made = await make(member)
    refused(await put(member, made["id"], content if announced else in_chunks(content)), 413, "image_bytes")
    await is_queued_and_nothing_left(member, made["id"], usage, files)
    assert (await put(member, made["id"], in_chunks(content[1:]))).status_code == 204
    assert await usage() == {"images": 1, "image_bytes": 5 * MIB}


async def test_racing_uploads_cannot_pass_the_quota(
    member: Client, database: Database, usage: Usage, files: Files
) -> None:
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "image_bytes", 10 * MIB))
    ids = [(await make(member))["id"] for _ in range(4)]
    answers = await asyncio.gather(*(put(member, image_id, in_chunks(bytes(6 * MIB))) for image_id in ids))
    codes = sorted(answer.status_code for answer in answers)
    # Each may have taken what another needed; two together cannot have it.
    assert codes in ([204, 413, 413, 413], [413, 413, 413, 413])
    active = codes.count(204)
    expected = {"images": 4} | ({"image_bytes": 6 * MIB} if active else {})
    assert await usage() == expected
    assert len(files()) == active


async def test_the_second_of_two_uploads_is_refused(member: Client, files: Files, usage: Usage) -> None:
    made = await make(member)
    body = Slow(b"a" * 3 * MIB, b"b" * 512)
    with slow_upload(member, made["id"], body) as first:
        await asyncio.wait_for(body.waits.wait(), LIMIT)
        saving = await show(member, made["id"])
        assert (saving["status"], saving["size"]) == ("saving", None)
        assert (await member.get(f"{IMAGES}/{made['id']}/file")).status_code == 204
        refused(await put(member, made["id"], b"c" * 512), 409, "another upload")
        body.go.set()
        assert (await first).status_code == 204
    content = (await member.get(f"{IMAGES}/{made['id']}/file")).content
    assert content == b"a" * 3 * MIB + b"b" * 512
    assert len(files()) == 1
    assert await usage() == {"images": 1, "image_bytes": 3 * MIB + 512}


async def test_an_image_deleted_during_its_upload(member: Client, files: Files, usage: Usage, settle: Settle) -> None:
    made = await make(member)
    body = Slow(b"a" * 3 * MIB, b"b" * 512)
    with slow_upload(member, made["id"], body) as upload:
        await asyncio.wait_for(body.waits.wait(), LIMIT)
        assert (await member.delete(f"{IMAGES}/{made['id']}")).status_code == 204
        assert await usage() == {}
        await settle()
        body.go.set()
        refused(await upload, 409, "deleted")
    refused(await member.get(f"{IMAGES}/{made['id']}"), 404)
    assert files() == []
    assert await usage() == {}


async def exchange(
    database: Database, settings: Settings, image_id: str, *messages: dict[str, Any], method: str = "PUT"
) -> list[dict[str, Any]]:
    """A request as the web server tells the application of it, message by message; returns what was sent back."""
    app = application([SERVICE], Shared(database, settings, Keys(settings.key_dir), PlainTokens()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": f"{IMAGES}/{image_id}/file", "raw_path": b"", "query_string": b"", "root_path": "",
        "headers": [(b"x-auth-token", token(PROJECT).encode()), (b"content-type", BYTES["Content-Type"].encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
    }  # fmt: skip
    to_come = iter(messages)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(to_come)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_a_client_that_goes_away_leaves_nothing(
    member: Client, database: Database, settings: Settings, usage: Usage, files: Files
) -> None:
    made = await make(member)
    part = {"type": "http.request", "body": b"a" * 3 * MIB, "more_body": True}
    sent = await exchange(database, settings, made["id"], part, part, {"type": "http.disconnect"})
    assert sent[0]["status"] == 400
    await is_queued_and_nothing_left(member, made["id"], usage, files)


async def test_an_image_is_not_read_for_a_client_that_went_away(
    member: Client, database: Database, settings: Settings
) -> None:
    made = await make(member)
    await put(member, made["id"], in_chunks(bytes(64 * MIB), MIB))
    whole = {"type": "http.request", "body": b"", "more_body": False}
    sent = await exchange(database, settings, made["id"], whole, {"type": "http.disconnect"}, method="GET")
    assert sent[0]["status"] == 200
    assert sum(len(message.get("body", b"")) for message in sent) < 8 * MIB


async def test_a_client_that_sends_nothing_any_more_leaves_nothing(
    member: Client, usage: Usage, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_upload, "_STALL_SECONDS", 0.1)
    made = await make(member)
    body = Slow(b"a" * 3 * MIB, b"b")
    refused(await put(member, made["id"], body), 400, "Nothing came")
    await is_queued_and_nothing_left(member, made["id"], usage, files)


async def test_a_cancelled_upload_leaves_nothing(member: Client, usage: Usage, files: Files) -> None:
    """As when the process is told to stop."""
    made = await make(member)
    body = Slow(b"a" * 3 * MIB, b"b")
    with slow_upload(member, made["id"], body) as upload:
        await asyncio.wait_for(body.waits.wait(), LIMIT)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
    await is_queued_and_nothing_left(member, made["id"], usage, files)


async def test_a_full_disk_leaves_nothing(member: Client, usage: Usage, files: Files) -> None:
    made = await make(member)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * MIB, before[1]))  # the database's files are smaller
    try:
        refused(await put(member, made["id"], in_chunks(b"a" * 17 * MIB, MIB)), 413, "space")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await is_queued_and_nothing_left(member, made["id"], usage, files)


async def test_after_a_crash_an_upload_is_given_up(
    member: Client, database: Database, settings: Settings, usage: Usage, files: Files
) -> None:
    made = await make(member)
    orphan = settings.image_dir / "what-a-crash-left"
    orphan.touch()
    body = Slow(b"a" * 3 * MIB, b"b" * 512)
    with slow_upload(member, made["id"], body) as zombie:
        await asyncio.wait_for(body.waits.wait(), LIMIT)
        await image_upload.recover(database, settings, alone=False)
        assert (await show(member, made["id"]))["status"] == "saving"  # somebody may carry it
        assert not orphan.exists()
        await image_upload.recover(database, settings, alone=True)
        await is_queued_and_nothing_left(member, made["id"], usage, files)
        # The image can be used again, and a process that only slept harms nothing when it goes on.
        assert (await put(member, made["id"], b"c" * 512)).status_code == 204
        body.go.set()
        refused(await zombie, 409, "given up")
    await image_upload.recover(database, settings, alone=True)
    assert (await member.get(f"{IMAGES}/{made['id']}/file")).content == b"c" * 512
    assert len(files()) == 1
    assert await usage() == {"images": 1, "image_bytes": 512}


async def test_an_upload_that_nobody_renews_gives_way(
    member: Client, database: Database, settings: Settings, usage: Usage, files: Files
) -> None:
    made = await make(member)
    body = Slow(b"a" * 3 * MIB, b"b" * 512)
    with slow_upload(member, made["id"], body) as zombie:
        await asyncio.wait_for(body.waits.wait(), LIMIT)
        await database.write(lambda tx: tx.execute(uploads.update().values(alive_until=0)))
        assert (await put(member, made["id"], b"c" * 512)).status_code == 204
        body.go.set()
        refused(await zombie, 409, "given up")
    assert (await member.get(f"{IMAGES}/{made['id']}/file")).content == b"c" * 512
    assert len(files()) == 1
    assert await usage() == {"images": 1, "image_bytes": 512}


async def until_renewed(database: Database) -> None:
    async with asyncio.timeout(LIMIT):
        while not await database.read(lambda tx: tx.execute(uploads.select()).one().alive_until):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_an_upload_under_way_is_renewed(
    member: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_upload, "_RENEW_SECONDS", 0.01)
    made = await make(member)
    body = Slow(b"a" * 3 * MIB, b"b" * 512)
    with slow_upload(member, made["id"], body) as upload:
        await asyncio.wait_for(body.waits.wait(), LIMIT)
        await database.write(lambda tx: tx.execute(uploads.update().values(alive_until=0)))
        await until_renewed(database)
        body.go.set()
        assert (await upload).status_code == 204


async def test_memory_does_not_grow_with_the_image(member: Client) -> None:
    made = await make(member)
    sizes: list[int] = []

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(512):
            sizes.append(resident())
            yield b"\0" * MIB

    assert (await put(member, made["id"], body())).status_code == 204
    assert (await show(member, made["id"]))["size"] == 512 * MIB
    assert max(sizes) - sizes[0] < 48 * MIB, json.dumps(sizes[::16])
    before = resident()
    grown = 0
    async with member.stream("GET", f"{IMAGES}/{made['id']}/file", headers={"Range": "bytes=0-16777215"}) as answer:
        async for _ in answer.aiter_raw(MIB):
            grown = max(grown, resident() - before)
    assert grown < 48 * MIB
