"""Requests as bytes on a socket, to the web server as `cyclades up` runs it: lengths that lie, pieces, odd methods."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests import databases
from tests.api.client import token
from tests.api.whole import Whole, whole

from cyclades.cli.listening import serving
from cyclades.cli.protocol import LARGEST_HEAD
from cyclades.store.database import Database

LIMIT = 60.0
VOLUMES = "/volume/v3/volumes"
BODY = b'{"volume": {"size": 1}}'


# Status, headers, body.
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Wire:
    cloud: Whole
    port: int
    token: str

    def head(self, method: str, target: str, *lines: str, version: str = "1.1") -> bytes:
        sent = [f"{method} {target} HTTP/{version}", "Host: cloud.test", f"X-Auth-Token: {self.token}", *lines]
        return "\r\n".join([*sent, "", ""]).encode("latin-1")

    async def raw(self, *pieces: bytes, end: bool = False) -> bytes:
        """All that is answered to these bytes until the server ends the connection; `end` says that we do."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(LIMIT):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if end:
                    writer.write_eof()
                return await reader.read()
        finally:
            writer.close()

    async def send(self, *pieces: bytes, end: bool = False) -> list[Answer]:
        return _answers(await self.raw(*pieces, end=end))

    async def volumes(self) -> int:
        async with self.cloud.client(self.cloud.ids["project_id"]) as client:
            return len((await client.get(VOLUMES)).json()["volumes"])


def _answers(raw: bytes) -> list[Answer]:
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        code = int(first.split()[1])
        length = 0 if code < 200 else int(headers.get("content-length", len(rest)))
        found.append((code, headers, rest[:length]))
        raw = rest[length:]
    return found


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """SQLite: no database takes part in how bytes are read."""
    database = Database(f"sqlite:///{tmp_path}/cyclades.db")
    databases.make_tables(database.engine)
    yield database
    database.close()


@pytest.fixture
async def wire(database: Database, tmp_path: Path) -> AsyncIterator[Wire]:
    with whole(database, tmp_path) as cloud, socket.create_server(("127.0.0.1", 0)) as where:
        async with serving(cloud.app, where):
            yield Wire(cloud, where.getsockname()[1], token(cloud.ids["project_id"], user_id=cloud.ids["user_id"]))


def _codes(answers: list[Answer]) -> list[int]:
    return [code for code, _, _ in answers]


async def test_a_body_in_pieces(wire: Wire) -> None:
    before = await wire.volumes()
    head = wire.head("POST", VOLUMES, "Transfer-Encoding: chunked", "Connection: close")
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:1], BODY[1:9], BODY[9:])]
    assert _codes(await wire.send(head, *chunks, b"0\r\n\r\n")) == [202]
    assert await wire.volumes() == before + 1


@pytest.mark.parametrize("length", [len(BODY) + 1, 10**6, 10**18])
async def test_a_body_shorter_than_announced_makes_nothing(wire: Wire, length: int) -> None:
    before = await wire.volumes()
    answers = await wire.send(wire.head("POST", VOLUMES, f"Content-Length: {length}"), BODY, end=True)
    assert all(code in (400, 413) for code in _codes(answers))
    assert await wire.volumes() == before


async def test_a_body_longer_than_announced_is_cut_there(wire: Wire) -> None:
    """What comes after it is no request."""
    before = await wire.volumes()
    answers = await wire.send(wire.head("POST", VOLUMES, f"Content-Length: {len(BODY) - 1}"), BODY)
    assert set(_codes(answers)) == {400}
    assert await wire.volumes() == before


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: -1"], ["Content-Length: ten"], ["Content-Length: 23, 24"], ["Content-Length: 1e3"],
        ["Content-Length: 23", "Content-Length: 24"], ["Content-Length: 99999999999999999999999999"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"], ["Transfer-Encoding: gzip, chunked, identity"],
        ["X-Odd: a\0b"], ["X-Odd\0: a"], ["No colon in this"], [": no name"],
    ],
)  # fmt: skip
async def test_heads_that_lie_make_nothing(wire: Wire, lines: list[str]) -> None:
    before = await wire.volumes()
    answers = await wire.send(wire.head("POST", VOLUMES, *lines), BODY)
    assert _codes(answers) == [400]
    assert await wire.volumes() == before


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n", b"-1\r\n", b"5\r\nabc", b"ffffffffffffffffff\r\nx", b"5\r\nabcdefgh\r\n0\r\n\r\n"]
)
async def test_pieces_that_lie_make_nothing(wire: Wire, chunk: bytes) -> None:
    before = await wire.volumes()
    answers = await wire.send(wire.head("POST", VOLUMES, "Transfer-Encoding: chunked"), chunk, end=True)
    assert all(400 <= code < 500 for code in _codes(answers))
    assert await wire.volumes() == before


@pytest.mark.parametrize("how", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
async def test_a_body_over_its_limit_is_answered_before_it_ends(wire: Wire, how: str) -> None:
    piece = b"x" * 300_000
    sent = piece if how.startswith("Content") else b"%x\r\n%b\r\n" % (len(piece), piece)
    (answer,) = await wire.send(wire.head("POST", VOLUMES, how, "Connection: close"), sent)
    assert answer[0] == 413
    assert "overLimit" in json.loads(answer[2])


async def test_whoever_waits_to_be_let_in_is(wire: Wire) -> None:
    head = wire.head("POST", VOLUMES, "Expect: 100-continue", f"Content-Length: {len(BODY)}", "Connection: close")
    answers = await wire.send(head, BODY)
    assert _codes(answers)[-1] == 202


async def test_head_is_get_without_its_body(wire: Wire) -> None:
    for path in (VOLUMES, f"{VOLUMES}/{wire.cloud.ids['volume_id']}", "/image/v2/images", "/nowhere", "/volume/v3/"):
        (get,) = await wire.send(wire.head("GET", path, "Connection: close"))
        raw = await wire.raw(wire.head("HEAD", path, "Connection: close"))
        assert raw.endswith(b"\r\n\r\n")
        (head,) = _answers(raw)
        assert head[0] == get[0], path
        assert head[1].get("content-length") == get[1].get("content-length"), path


async def test_a_body_of_a_get_is_passed_over(wire: Wire) -> None:
    """And is not taken for the next request."""
    hidden = wire.head("DELETE", f"{VOLUMES}/{wire.cloud.ids['volume_id']}")
    before = await wire.volumes()
    head = wire.head("GET", VOLUMES, f"Content-Length: {len(hidden)}")
    assert _codes(await wire.send(head, hidden, wire.head("GET", VOLUMES, "Connection: close"))) == [200, 200]
    assert await wire.volumes() == before


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "LOCK", "get", "G\0T", "", "X" * 300])
async def test_odd_methods(wire: Wire, method: str) -> None:
    (code,) = _codes(await wire.send(wire.head(method, VOLUMES, "Connection: close")))
    assert 400 <= code < 500


@pytest.mark.parametrize(
    "target",
    [
        "http://cloud.test/volume/v3/volumes", "*", "//volume/v3/volumes", "/volume/v3/../v3/volumes",
        "/volume/v3/volumes#x",
        "/volume/v3/volumes?x=\xff", "/volume/v3/volumes/\xff", "/%", "/%zz", "/volume/v3/%2e%2e/%2e%2e/etc/passwd",
        "/\0",
        "/" + "x" * 60_000, "/volume/v3/volumes?" + "x" * 60_000, "/volume/v3/volumes?limit=1%00", "/%F0%28%8C%28",
    ],
)  # fmt: skip
async def test_odd_targets(wire: Wire, target: str) -> None:
    (code,) = _codes(await wire.send(wire.head("GET", target, "Connection: close")))
    assert code < 500


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"hello\r\n\r\n", b"\0" * 1000]
)
async def test_what_is_no_http(wire: Wire, raw: bytes) -> None:
    assert _codes(await wire.send(raw, end=True)) in ([], [400])


async def test_odd_bytes_in_headers(wire: Wire) -> None:
    lines = ["X-Odd: \xff\xfe", "OpenStack-API-Version: volume \xb2", "Content-Type: \xff"]
    for line in lines:
        (answer,) = await wire.send(wire.head("GET", VOLUMES, line, "Connection: close"))
        assert answer[0] in (200, 406)
    old = await wire.send(wire.head("GET", VOLUMES, "Connection: close", version="1.0"))
    assert _codes(old) == [200]


async def test_many_requests_at_once_on_one_connection_are_answered_in_order(wire: Wire) -> None:
    paths = [VOLUMES, "/nowhere", f"{VOLUMES}/detail", f"{VOLUMES}/x"] * 20
    sent = [wire.head("GET", path) for path in paths] + [wire.head("GET", VOLUMES, "Connection: close")]
    assert _codes(await wire.send(b"".join(sent))) == [200, 404, 200, 404] * 20 + [200]


async def _is_too_long(wire: Wire, *pieces: bytes) -> bool:
    """The connection may be gone before the answer is read, since not all was read that was sent."""
    try:
        return _codes(await wire.send(*pieces)) in ([431], [])
    except ConnectionError:
        return True


@pytest.mark.parametrize("rest", ["", "\r\n"])
async def test_a_head_has_a_bound(wire: Wire, rest: str) -> None:
    """Whether it is one long line or many, and whether it ends or not."""
    fits = "a" * (LARGEST_HEAD // 2)
    assert _codes(await wire.send(wire.head("GET", VOLUMES, f"X-Long: {fits}", "Connection: close"))) == [200]
    whole = wire.head("GET", VOLUMES, "Connection: close").removesuffix(b"\r\n\r\n")
    for lines in ([f"X-Long: {fits}{fits}"], [f"X-Many-{number}: {'b' * 1000}" for number in range(70)]):
        assert await _is_too_long(wire, whole, "\r\n".join(["", *lines, "", rest]).encode())
    assert await _is_too_long(wire, wire.head("GET", f"{VOLUMES}?name={fits}{fits}"))


async def test_what_comes_after_a_body_has_a_bound(wire: Wire) -> None:
    before = await wire.volumes()
    head = wire.head("POST", VOLUMES, "Transfer-Encoding: chunked")
    endless = [b"c" * LARGEST_HEAD] * 16
    assert await _is_too_long(wire, head, b"%x\r\n%b\r\n0\r\nX-Trailer: " % (len(BODY), BODY), *endless)
    assert await wire.volumes() == before
    long = b"d" * (3 * LARGEST_HEAD)
    answers = await wire.send(wire.head("POST", VOLUMES, f"Content-Length: {len(long)}", "Connection: close"), long)
    assert _codes(answers) == [400]
