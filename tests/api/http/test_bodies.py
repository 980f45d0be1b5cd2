"""JSON bodies: what is read, and what is refused before anybody looks at it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cyclades.api.http import bodies
from cyclades.api.http.versions import Version
from cyclades.model.errors import Invalid, TooLarge

NESTED = 64


@pytest.mark.parametrize(
    "raw",
    [
        b"{", b"nul", b"{'a': 1}", b'{"a": 1,}', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 01}', b'{"a": 1e400}',
        b'{"a": "\n"}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b'"\xed\xa0\x80"', b'"\xff"', b"{} {}",
    ],
)  # fmt: skip
def test_what_is_no_json(raw: bytes) -> None:
    with pytest.raises(Invalid, match="not valid JSON"):
        bodies.decode(raw)


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udfffb"', '"\\ud800\\u0041"', '{"\\udc00": 1}', '"\\uD800'])
def test_half_a_character_is_no_text(text: str) -> None:
    """No database keeps one, and no answer can say it."""
    with pytest.raises(Invalid):
        bodies.decode(text.encode())


@pytest.mark.parametrize("text", ['"\\u0000"', '{"a": ["x\\u0000"]}', '{"\\u0000": 1}', '{"a": {"b\\u0000c": 1}}'])
def test_nul_is_refused_wherever_it_is(text: str) -> None:
    with pytest.raises(Invalid, match="NUL"):
        bodies.decode(text.encode())


def test_what_only_looks_like_nul_is_text() -> None:
    assert bodies.decode(b'"\\\\u0000 \\ud83d\\ude00"') == "\\u0000 \U0001f600"


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("depth", [NESTED * 2, 300, 900, 5_000, 100_000])
def test_what_is_nested_deeper_than_anything_that_we_take(opened: str, closed: str, depth: int) -> None:
    with pytest.raises(Invalid):
        bodies.decode((opened * depth + "1" + closed * depth).encode())


def test_what_is_wide_is_not_deep() -> None:
    assert len(bodies.decode(b"[" + b",".join([b"{}"] * 1000) + b"]")) == 1000
    assert bodies.decode(b'"' + b"[{" * 1000 + b'"') == "[{" * 1000
    assert bodies.decode(b"[" * NESTED + b"]" * NESTED)


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert bodies.decode(b'{"size": 1, "size": 2}') == {"size": 2}


def test_a_refusal_names_the_field_and_is_short() -> None:
    schema: dict[str, Any] = {"properties": {"volume": {"properties": {"size": {"type": "integer"}}}}}
    for value in ("x" * 10_000, [1] * 10_000, {"a": "b" * 10_000}):
        with pytest.raises(Invalid) as refused:
            bodies.validate(schema, Version(3, 0), {"volume": {"size": value}})
        assert refused.value.field == "volume.size"
        assert "'volume.size'" in refused.value.message
        assert len(refused.value.message) < 600


def test_a_secret_is_not_repeated() -> None:
    schema: dict[str, Any] = {"properties": {"password": {"type": "string", "maxLength": 4}}, "writeOnly": True}
    with pytest.raises(Invalid) as refused:
        bodies.validate(schema, Version(0, 0), {"password": "open sesame"})
    assert "sesame" not in refused.value.message


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 6, b"x" * 6], [b"x"] * 11])
async def test_a_body_over_its_limit_is_not_read_to_its_end(chunks: list[bytes]) -> None:
    coming = asyncio.Queue[dict[str, Any]]()
    for chunk in chunks:
        coming.put_nowait({"type": "http.request", "body": chunk, "more_body": True})
    with pytest.raises(TooLarge):
        await bodies.read(coming.get, 10)  # it would wait for ever for the rest


async def test_a_body_whose_sender_went_away() -> None:
    coming = asyncio.Queue[dict[str, Any]]()
    coming.put_nowait({"type": "http.request", "body": b"{", "more_body": True})
    coming.put_nowait({"type": "http.disconnect"})
    with pytest.raises(Invalid, match="ended before"):
        await bodies.read(coming.get, 10)
