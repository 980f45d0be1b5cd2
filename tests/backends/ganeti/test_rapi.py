"""The connection to RAPI: what is trusted, and what its faults are called."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backends.ganeti.wire import PASSWORD, Asked, BreakOff, Explained, Wire, certify

from cyclades.backends.ganeti.options import Access
from cyclades.backends.ganeti.rapi import NotThere, Rapi, Unheard
from cyclades.model.errors import Away, Failed

Connect = Callable[..., Rapi]


async def test_its_own_certificate_is_enough_whatever_name_it_has(wire: Wire, rapi: Rapi) -> None:
    wire.answer = lambda asked: {"software_version": "3.1.0~rc2"}
    assert await rapi.get("/2/info") == {"software_version": "3.1.0~rc2"}


async def test_another_certificate_is_not_trusted(wire: Wire, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, _ = certify(tmp_path / "other")
    with pytest.raises(Unheard, match="certificate"):
        await connect(msgspec.structs.replace(wire.access, certificate=other)).get("/2/info")
    assert wire.asked == []


def test_what_is_no_certificate_is_refused(wire: Wire) -> None:
    with pytest.raises(ValueError, match="certificate"):
        Rapi("north", msgspec.structs.replace(wire.access, certificate="-----BEGIN CERTIFICATE-----\nno\n"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:5080", "https://u:p@127.0.0.1", "127.0.0.1:5080", "https://a b"])
def test_what_is_no_url_of_a_rapi_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="RAPI"):
        Access(url=url, user="a", password="b", certificate="c")


def test_the_password_is_not_shown(wire: Wire) -> None:
    assert PASSWORD not in repr(wire.access)


async def test_nothing_listens(wire: Wire, connect: Connect) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unheard, match="Ganeti cluster north cannot be reached") as away:
            await connect(msgspec.structs.replace(wire.access, url=url)).get("/2/info")
    assert "127.0.0.1" not in str(away.value)


async def test_who_waits_for_others_of_ours_has_all_its_time_left(wire: Wire, connect: Connect) -> None:
    never = asyncio.Event()
    wire.answer = lambda asked: never.wait() if asked.path == "/2/slow" else "at once"
    rapi = connect(wire.access, answer_seconds=3.0)
    slow = [asyncio.create_task(rapi.get("/2/slow")) for _ in range(6)]
    await asyncio.sleep(0)  # they have begun, and take all the room that there is
    assert await rapi.get("/2/quick") == "at once"
    for one in await asyncio.gather(*slow, return_exceptions=True):
        assert isinstance(one, Away)
    never.set()


async def test_it_does_not_answer_in_time(wire: Wire, connect: Connect) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    rapi = connect(msgspec.structs.replace(wire.access, url=url), answer_seconds=0.2)
    with pytest.raises(Away):
        await rapi.get("/2/info")
    server.close()


async def test_the_connection_breaks_off_after_the_request(wire: Wire, rapi: Rapi) -> None:
    def break_off(asked: Asked) -> Any:
        raise BreakOff

    wire.answer = break_off
    with pytest.raises(Away) as away:
        await rapi.submit("PUT", "/2/instances/x/startup", {})
    assert not isinstance(away.value, Unheard)


ANSWERS = [
    (400, "Invalid body parameters: no", Failed, "Invalid body parameters: no"),
    (401, "No permission", Unheard, "does not let Cyclades in"),
    (404, "Not found", NotThere, "does not know"),
    (500, "(&#x27;Instance name x not found&#x27;, &#x27;unknown_entity&#x27;)", NotThere, "does not know"),
    (500, "Queue drained", Unheard, "takes no work just now: Queue drained"),
    (500, "list index out of range", Away, "cannot work just now: list index out of range"),
    (502, "Can&#x27;t connect to master daemon", Away, "Can't connect to master daemon"),
    (503, "Job queue is full, needs archiving", Unheard, "Job queue is full"),
    (504, "Timeout while talking to the master daemon", Away, "Timeout while talking"),
]


@pytest.mark.parametrize(("status", "message", "fault", "words"), ANSWERS)
async def test_errors_are_told_in_ganetis_words(
    wire: Wire, rapi: Rapi, status: int, message: str, fault: type[Exception], words: str
) -> None:
    def explain(asked: Asked) -> Any:
        raise Explained(status, message)

    wire.answer = explain
    with pytest.raises(fault) as raised:
        await rapi.submit("PUT", "/2/instances/x/modify", {"disks": []})
    assert type(raised.value) is fault
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]", "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "broke off"),
        (b"SSH-2.0-OpenSSH\r\n", "broke off"),
    ],
)
async def test_answers_that_make_no_sense(wire: Wire, rapi: Rapi, raw: bytes, words: str) -> None:
    wire.raw = raw
    with pytest.raises(Away, match=words):
        await rapi.get("/2/info")


async def test_an_answer_without_end_is_not_taken_in(wire: Wire, rapi: Rapi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclades.backends.ganeti.rapi._MOST_BYTES", 1 << 20)
    wire.answer = lambda asked: "x" * (1 << 20)
    with pytest.raises(Away, match="more than"):
        await rapi.get("/2/jobs")


async def test_a_query_gives_rows_and_filters(wire: Wire, rapi: Rapi) -> None:
    wire.answer = lambda asked: {"data": [[[0, "a"], [2, None]]], "fields": []}
    assert await rapi.query("instance", ["name", "status"], ["=", "name", "a"]) == [["a", None]]
    (asked,) = wire.asked
    assert (asked.method, asked.path) == ("PUT", "/2/query/instance")
    assert asked.body == {"fields": ["name", "status"], "qfilter": ["=", "name", "a"]}


async def test_what_is_asked_is_sent_as_it_is(wire: Wire, rapi: Rapi) -> None:
    wire.answer = lambda asked: 7
    assert await rapi.submit("PUT", "/2/instances/x/modify", {"a": [1]}, reason="cyclades:1:plug:do add&x") == 7
    (asked,) = wire.asked
    assert asked.path == "/2/instances/x/modify?reason=cyclades%3A1%3Aplug%3Ado+add%26x"
    assert json.dumps(asked.body) == '{"a": [1]}'
