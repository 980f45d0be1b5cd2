"""A server's directory: what is wanted of it, and its console."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.backends.ground import Ground, until
from tests.backends.other_process import Place

from cyclades.backends.local import LocalBackend, listener
from cyclades.backends.local.home import Home, Plugged, Wanted

MOST, KEPT = 1 << 20, 1 << 18


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_what_was_wanted_is_read_back_and_replaced_as_a_whole(home: Home) -> None:
    assert home.wanted() is None
    wanted = Wanted("on", {"v": Plugged("v", 3, 7, True)})
    home.want(wanted)
    assert home.wanted() == wanted
    home.want(Wanted("off", {}))
    assert home.wanted() == Wanted("off", {})
    assert [path.name for path in home.directory.iterdir()] == ["server.json"]


def test_without_a_qemu_there_is_no_pid(home: Home) -> None:
    assert home.pid() is None
    for left in ("", "12\n", "no number", f"{os.getpid()}\n"):
        home.pid_file.write_text(left)
        assert home.pid() is None


def test_the_tail_of_the_console(home: Home) -> None:
    assert home.console_tail(None) == home.console_tail(5) == ""
    home.console.write_bytes(b"one\ntwo\r\nthree\xff\xfe\nfour")
    assert home.console_tail(None) == "one\ntwo\r\nthree\ufffd\ufffd\nfour"
    assert home.console_tail(0) == ""
    assert home.console_tail(1) == "four"
    assert home.console_tail(2) == "three\ufffd\ufffd\nfour"
    assert home.console_tail(99) == home.console_tail(None)
    home.console.write_bytes(b"one\ntwo\n")
    assert home.console_tail(2) == "two\n"


def test_a_long_console_is_cut_at_its_beginning(home: Home) -> None:
    home.trim_console()  # none yet
    home.console.write_bytes(b"x" * MOST)
    home.trim_console()
    assert home.console.stat().st_size == MOST
    with home.console.open("ab") as file:
        file.write(b"the end\n")
    home.trim_console()
    assert home.console.stat().st_size == KEPT
    assert home.console.read_bytes().endswith(b"xxxthe end\n")
    home.console.write_bytes(b"x" * (3 * MOST) + b"\nlast\n")
    assert home.console_tail(1) == ""
    assert home.console_tail(2) == "last\n"
    assert len(home.console_tail(None)) == MOST


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LOOK", 0.02)


async def test_qemu_writes_on_behind_what_was_kept(
    looking_often: None, place: Place, ground: Ground, local: LocalBackend
) -> None:
    """The trimmer runs beside a QEMU that has the console open; the boot loader says something at each reset."""
    spec = await ground.running()
    home = Home(place.directory / "servers" / spec.server_id)
    with home.console.open("ab") as file:
        file.write(b"old\n" * (MOST // 4 + 1))
    await until(lambda: home.console.stat().st_size <= MOST)
    text = await local.console(spec.server_id, None)
    assert text.startswith("old\n")
    assert len(text) >= KEPT
    with home.console.open("ab") as file:  # as QEMU does
        file.write(b"new\n")
    assert (await local.console(spec.server_id, 2)) == "new\n"
    assert "\0" not in await local.console(spec.server_id, None)
