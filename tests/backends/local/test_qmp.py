"""QEMUs that died, hang, or speak to somebody else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from qemu.qmp import QMPClient
from tests.backends.contract import disks_of
from tests.backends.ground import LIMIT, Ground, persistently

from cyclades.backends.base import Backend, News
from cyclades.backends.local import listener, machine, process, qmp
from cyclades.backends.local.home import Home
from cyclades.backends.local.qmp import Refused, connected
from cyclades.model.errors import Passing

HomeOf = Callable[[str], Home]


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers in these tests, so nothing is gained by waiting."""
    monkeypatch.setattr(qmp, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(qmp, "COMMAND_SECONDS", 0.2)
    monkeypatch.setattr(process, "END_SECONDS", 0.2)


async def test_a_refusal_is_qemus_own_words(ground: Ground, home: HomeOf) -> None:
    spec = await ground.running()
    async with connected(home(spec.server_id).qmp) as monitor:
        with pytest.raises(Refused, match="not found"):
            await monitor.command("device_del", {"id": "nobody"})
        assert (await monitor.command("query-status"))["status"] == "running"


async def test_a_qemu_that_dies_in_the_middle(ground: Ground, home: HomeOf, pid: Callable[[str], int]) -> None:
    spec = await ground.running()
    async with connected(home(spec.server_id).qmp) as monitor:
        os.kill(pid(spec.server_id), signal.SIGKILL)
        async with asyncio.timeout(LIMIT):
            await monitor.gone()
        with pytest.raises(Passing):
            await monitor.command("query-status")
    with pytest.raises(Passing, match="cannot be reached"):
        async with connected(home(spec.server_id).qmp):
            pass


async def test_who_waits_for_an_event_learns_that_qemu_died(
    ground: Ground, home: HomeOf, pid: Callable[[str], int]
) -> None:
    spec = await ground.running()
    async with connected(home(spec.server_id).qmp) as monitor:
        with monitor.listening("RESET") as events:
            waiting = asyncio.create_task(events.get())
            await asyncio.sleep(0)
            os.kill(pid(spec.server_id), signal.SIGKILL)
            async with asyncio.timeout(LIMIT):
                with pytest.raises(Passing, match="was lost"):
                    await waiting


async def test_an_event_in_the_middle_of_a_greeting(tmp_path: Path) -> None:
    """A real QEMU sends one there now and then, when it is reset in this very moment: so here one that always does, the
    first time."""
    greeting = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}
    event = {"event": "RESET", "data": {}, "timestamp": {"seconds": 1, "microseconds": 0}}
    clients = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal clients
        clients += 1
        first = clients == 1
        writer.write(json.dumps(greeting).encode() + b"\n")
        while request := await reader.read(4096):  # one at a time, without an end of line
            if first:
                writer.write(json.dumps(event).encode() + b"\n")
            answer = {"return": {"status": "running"}, "id": json.loads(request).get("id")}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "qmp.sock")
    async with server, connected(tmp_path / "qmp.sock") as monitor:
        assert await monitor.command("query-status") == {"status": "running"}
    assert clients == 2


async def test_waiting_can_be_cancelled(ground: Ground, home: HomeOf, pid: Callable[[str], int]) -> None:
    """A cancelled engine is not told that QEMU is gone."""
    spec = await ground.running()
    async with connected(home(spec.server_id).qmp) as monitor:
        with hanging(pid(spec.server_id)):
            task = asyncio.create_task(monitor.command("query-status"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.mark.usefixtures("impatient")
async def test_a_qemu_that_hangs_is_waited_for_but_not_for_ever(
    ground: Ground, home: HomeOf, pid: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = await ground.volume()
    spec = await ground.running(volume_id)
    server_id, plug = spec.server_id, await ground.plug(spec.server_id, await ground.volume(), 2)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: ground.backend.start(spec),
        lambda: ground.backend.look(server_id),
        lambda: ground.backend.plug(server_id, plug),
        lambda: ground.backend.unplug(server_id, volume_id, 1, patience=1),
        lambda: ground.backend.live_disk(server_id, volume_id),
        lambda: ground.backend.reboot(spec, hard=False),
    ]
    async with connected(home(server_id).operator) as monitor:
        with hanging(pid(server_id)):
            with pytest.raises(Passing, match="does not answer"):
                await monitor.command("query-status")
            for call in calls:
                with pytest.raises(Passing):
                    await call()
            assert await ground.backend.console(server_id, None) == ""
    monkeypatch.undo()
    # It meets those first who have gone away meanwhile.
    assert await persistently(lambda: ground.seen(server_id)) == ("running", disks_of(spec))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("way", ["stop", "stop patiently", "reboot", "delete"])
async def test_a_qemu_that_hangs_is_ended_by_whoever_insists(
    ground: Ground, pid: Callable[[str], int], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = await ground.running()
    number = pid(spec.server_id)
    with hanging(number):
        if way == "delete":
            await ground.backend.delete(spec.server_id)
        elif way == "reboot":
            monkeypatch.setattr(process, "END_SECONDS", LIMIT)
            await ground.backend.reboot(spec, hard=True)
        else:
            await ground.backend.stop(spec.server_id, patience=0.3 if way == "stop patiently" else 0)
    monkeypatch.undo()
    power = {"delete": "missing", "reboot": "running"}.get(way, "stopped")
    assert (await ground.seen(spec.server_id))[0] == power
    if way == "reboot":
        assert pid(spec.server_id) != number


async def test_a_second_client_waits_and_an_operator_is_in_nobodys_way(
    ground: Ground, home: HomeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = await ground.running()
    async with connected(home(spec.server_id).operator) as operator:
        assert (await ground.seen(spec.server_id))[0] == "running"
        assert (await operator.command("query-status"))["status"] == "running"
    stranger = QMPClient("stranger")
    await stranger.connect(str(home(spec.server_id).qmp))
    monkeypatch.setattr(qmp, "CONNECT_SECONDS", 0.2)
    with pytest.raises(Passing, match="cannot be reached"):
        await ground.backend.look(spec.server_id)
    await stranger.disconnect()
    monkeypatch.undo()
    assert (await ground.seen(spec.server_id))[0] == "running"


async def test_what_stands_still_goes_on_after_a_hard_reboot(ground: Ground, home: HomeOf) -> None:
    spec = await ground.running()
    async with connected(home(spec.server_id).operator) as operator:
        await operator.command("stop")
    assert (await ground.seen(spec.server_id))[0] == "paused"
    await ground.backend.reboot(spec, hard=True)
    assert (await ground.seen(spec.server_id))[0] == "running"


async def test_who_listens_changes_hands(
    ground: Ground, twin: Backend, home: HomeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process at a time hears a server's events; when that one goes, the next does."""
    monkeypatch.setattr(listener, "AGAIN", 0.01)
    spec, volume_id = await ground.spec(), await ground.volume()
    await twin.start(spec)
    await ground.backend.open()
    await twin.close()
    news = asyncio.create_task(ground.news("unplugged"))
    generation = 0
    async with asyncio.timeout(LIMIT):
        while not news.done():  # what happens before the next one listens, nobody hears
            generation += 1
            await ground.backend.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 1, generation))
            async with connected(home(spec.server_id).operator) as operator:
                await operator.command("device_del", {"id": machine.device_id(volume_id, generation)})
            await asyncio.wait([news], timeout=0.5)
            await ground.backend.unplug(spec.server_id, volume_id, generation, patience=10)
    assert (await news) == News(spec.server_id, "unplugged", volume_id, generation)
