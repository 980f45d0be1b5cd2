"""What every backend must do, written against the interface alone; a guest boots only where a backend cannot do
without. A module of tests for one backend inherits `BackendContract` and gives it the fixtures `ground` (with the
backend opened), `twin`: the same backend in another process, `reopened`: what makes the backend anew, as after a
restart, and `crash`: what ends a server's machine by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.backends.ground import Ground, persistently

from cyclades.backends.base import Backend, ServerSpec
from cyclades.model.errors import Failed
from cyclades.model.names import volume_disk

NOBODY = "00000000-0000-4000-8000-000000000000"
Crash = Callable[[str], Awaitable[None]]
Reopened = Callable[[], Awaitable[Backend]]


def disks_of(spec: ServerSpec) -> dict[str, tuple[int | None, int]]:
    return {plug.volume_id: (plug.index, plug.generation) for plug in spec.plugs}


class BackendContract:
    # --- life -------------------------------------------------------------------------------------

    async def test_a_server_comes_up_with_all_its_disks(self, ground: Ground) -> None:
        spec = await ground.running(await ground.volume(), await ground.volume())
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
        assert await ground.backend.servers() == [await ground.backend.look(spec.server_id)]
        for plug in spec.plugs:
            assert not await ground.is_free(plug.volume_id)

    async def test_a_server_has_as_many_disks_as_it_may(self, ground: Ground) -> None:
        spec = await ground.running(*[await ground.volume() for _ in range(ground.backend.max_disks - 1)])
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))

    async def test_stop_and_start_again(self, ground: Ground) -> None:
        spec = await ground.running(await ground.volume())
        await ground.backend.stop(spec.server_id, patience=0)
        assert await ground.seen(spec.server_id) == ("stopped", disks_of(spec))
        for plug in spec.plugs:
            assert await ground.is_free(plug.volume_id)
        await ground.backend.start(spec)
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))

    async def test_a_guest_that_does_not_answer_is_switched_off(self, ground: Ground) -> None:
        spec = await ground.running()
        await ground.backend.stop(spec.server_id, patience=ground.hurry)
        assert (await ground.seen(spec.server_id))[0] == "stopped"

    async def test_deleting_leaves_the_disks(self, ground: Ground) -> None:
        running, stopped = await ground.running(await ground.volume()), await ground.running()
        await ground.backend.stop(stopped.server_id, patience=0)
        for spec in (running, stopped):
            await ground.backend.delete(spec.server_id)
            assert await ground.seen(spec.server_id) == ("missing", {})
            for plug in spec.plugs:
                assert await ground.pool.find(plug.disk) is not None
                assert await ground.is_free(plug.volume_id)
        assert await ground.backend.servers() == []

    async def test_reboots(self, ground: Ground) -> None:
        spec = await ground.running(await ground.volume())
        for hard in (True, False):
            await ground.backend.reboot(spec, hard=hard)
            assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
        await ground.backend.stop(spec.server_id, patience=0)
        await ground.backend.reboot(spec, hard=True)
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))

    async def test_a_server_that_cannot_run_says_why_and_holds_nothing(self, ground: Ground) -> None:
        spec = await ground.spec(await ground.volume(), memory=1 << 30)
        with pytest.raises(Failed) as failed:
            await ground.backend.start(spec)
        assert "memory" in str(failed.value)
        assert (await ground.backend.look(spec.server_id)).power in ("stopped", "missing")
        for plug in spec.plugs:
            assert await ground.is_free(plug.volume_id)
        await ground.backend.start(replace(spec, memory=ground.memory))
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))

    # --- disks ------------------------------------------------------------------------------------

    async def test_a_volume_is_plugged_and_unplugged(self, ground: Ground) -> None:
        spec, volume_id = await ground.running(), await ground.volume()
        await ground.backend.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 1))
        assert await ground.seen(spec.server_id) == ("running", {**disks_of(spec), volume_id: (1, 1)})
        assert not await ground.is_free(volume_id)
        assert await ground.backend.live_disk(spec.server_id, volume_id) is not None
        await ground.until_up(spec.server_id)
        await ground.backend.unplug(spec.server_id, volume_id, 1, patience=10)
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
        assert await ground.is_free(volume_id)
        assert await ground.backend.live_disk(spec.server_id, volume_id) is None

    async def test_a_stopped_server_is_plugged_into_and_has_it_when_it_starts(self, ground: Ground) -> None:
        kept, taken = await ground.volume(), await ground.volume()
        spec = await ground.running()
        await ground.backend.stop(spec.server_id, patience=0)
        plugs = [await ground.plug(spec.server_id, v, i) for i, v in ((1, kept), (2, taken))]
        for plug in plugs:
            await ground.backend.plug(spec.server_id, plug)
        assert (await ground.seen(spec.server_id))[1] == {**disks_of(spec), kept: (1, 1), taken: (2, 1)}
        await ground.backend.unplug(spec.server_id, taken, 1, patience=10)
        spec = replace(spec, plugs=(*spec.plugs, plugs[0]))
        await ground.backend.start(spec)
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
        assert await ground.is_free(taken)

    async def test_a_volume_moves_to_another_server(self, ground: Ground) -> None:
        first, second, volume_id = await ground.running(), await ground.running(), await ground.volume()
        for spec in (first, second):
            await ground.until_up(spec.server_id)
        for generation, spec in ((1, first), (2, second), (3, first)):
            plug = await ground.plug(spec.server_id, volume_id, 1, generation)
            await ground.backend.plug(spec.server_id, plug)
            assert (await ground.seen(spec.server_id))[1][volume_id] == (1, generation)
            await ground.backend.unplug(spec.server_id, volume_id, generation, patience=10)
            await ground.pool.release(plug.disk, f"{ground.backend.name}/{spec.server_id}", generation)

    async def test_a_volume_is_plugged_read_only(self, ground: Ground) -> None:
        spec, volume_id = await ground.running(), await ground.volume()
        plug = await ground.plug(spec.server_id, volume_id, 1, read_only=True)
        if not ground.backend.read_only_disks:
            with pytest.raises(Failed):
                await ground.backend.plug(spec.server_id, plug)
            assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
            return
        await ground.backend.plug(spec.server_id, plug)
        seen = {disk.volume_id: disk.read_only for disk in (await ground.backend.look(spec.server_id)).disks}
        assert seen == {spec.plugs[0].volume_id: False, volume_id: True}

    async def test_an_older_generation_is_dropped(self, ground: Ground) -> None:
        spec, volume_id = await ground.running(), await ground.volume()
        plug = await ground.plug(spec.server_id, volume_id, 1, 5)
        await ground.backend.plug(spec.server_id, plug)
        await ground.backend.plug(spec.server_id, replace(plug, generation=4, index=2))
        await ground.backend.unplug(spec.server_id, volume_id, 4, patience=10)
        assert (await ground.seen(spec.server_id))[1][volume_id] == (1, 5)
        await ground.backend.stop(spec.server_id, patience=0)
        await ground.backend.plug(spec.server_id, replace(plug, generation=4, index=2))
        await ground.backend.unplug(spec.server_id, volume_id, 4, patience=10)
        assert (await ground.seen(spec.server_id))[1][volume_id] == (1, 5)

    async def test_a_disk_that_is_not_there_is_not_plugged(self, ground: Ground) -> None:
        spec, volume_id = await ground.running(), await ground.volume()
        plug = await ground.plug(spec.server_id, volume_id, 1)
        with pytest.raises(Failed):
            await ground.backend.plug(spec.server_id, replace(plug, disk=volume_disk(NOBODY), volume_id=NOBODY))
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))

    # --- repeated, and at the same time -----------------------------------------------------------

    async def test_every_method_can_be_repeated(self, ground: Ground, twin: Backend) -> None:
        spec, volume_id = await ground.spec(), await ground.volume()
        server_id, plug = spec.server_id, await ground.plug(spec.server_id, volume_id, 1)
        for again in (ground.backend, ground.backend, twin):
            await again.start(spec)
        for again in (ground.backend, ground.backend, twin):
            await again.plug(server_id, plug)
            assert await ground.seen(server_id) == ("running", {**disks_of(spec), volume_id: (1, 1)})
            assert await again.look(server_id) == await ground.backend.look(server_id)
            assert await again.servers() == await ground.backend.servers()
        await ground.until_up(server_id)
        for again in (ground.backend, ground.backend, twin):
            await again.unplug(server_id, volume_id, 1, patience=10)
            assert await ground.seen(server_id) == ("running", disks_of(spec))
        for again in (ground.backend, ground.backend, twin):
            await again.reboot(spec, hard=True)
            assert await ground.seen(server_id) == ("running", disks_of(spec))
        for again in (ground.backend, ground.backend, twin):
            await again.stop(server_id, patience=ground.hurry)
            assert await ground.seen(server_id) == ("stopped", disks_of(spec))
            assert await again.live_disk(server_id, volume_id) is None
            if ground.backend.keeps_console:
                assert isinstance(await again.console(server_id, None), str)
        for again in (ground.backend, ground.backend, twin):
            await again.delete(server_id)
            assert await ground.seen(server_id) == ("missing", {})

    async def test_two_processes_may_do_the_same_at_once(self, ground: Ground, twin: Backend) -> None:
        async def both(method: str, *args: object, **named: object) -> None:
            async def once(backend: Backend) -> None:
                await persistently(lambda: getattr(backend, method)(*args, **named))

            await asyncio.gather(once(ground.backend), once(twin))

        spec, volume_id = await ground.spec(), await ground.volume()
        server_id, plug = spec.server_id, await ground.plug(spec.server_id, volume_id, 1)
        await both("start", spec)
        assert await ground.seen(server_id) == ("running", disks_of(spec))
        await both("plug", server_id, plug)
        assert await ground.seen(server_id) == ("running", {**disks_of(spec), volume_id: (1, 1)})
        for method in ("look", "servers"):
            await both(method, *([server_id] if method == "look" else []))
        await both("live_disk", server_id, volume_id)
        if ground.backend.keeps_console:
            await both("console", server_id, 10)
        for hard in (True, False):
            await both("reboot", replace(spec, plugs=(*spec.plugs, plug)), hard=hard)
            assert await ground.seen(server_id) == ("running", {**disks_of(spec), volume_id: (1, 1)})
        await ground.until_up(server_id)
        await both("unplug", server_id, volume_id, 1, patience=10)
        assert await ground.seen(server_id) == ("running", disks_of(spec))
        assert await ground.is_free(volume_id)
        await both("stop", server_id, patience=ground.hurry)
        assert await ground.seen(server_id) == ("stopped", disks_of(spec))
        await both("reboot", spec, hard=True)
        assert await ground.seen(server_id) == ("running", disks_of(spec))
        await both("delete", server_id)
        assert await ground.seen(server_id) == ("missing", {})

    async def test_a_start_and_a_delete_at_once_leave_a_whole_server_or_none(
        self, ground: Ground, twin: Backend
    ) -> None:
        spec = await ground.spec()
        await asyncio.gather(
            persistently(lambda: ground.backend.start(spec)), persistently(lambda: twin.delete(spec.server_id))
        )
        assert await ground.seen(spec.server_id) in (("running", disks_of(spec)), ("missing", {}))
        await ground.backend.delete(spec.server_id)
        assert await ground.is_free(spec.plugs[0].volume_id)

    async def test_a_server_that_is_not_there(self, ground: Ground) -> None:
        assert await ground.seen(NOBODY) == ("missing", {})
        if ground.backend.keeps_console:
            assert await ground.backend.console(NOBODY, None) == ""
        assert await ground.backend.live_disk(NOBODY, NOBODY) is None
        await ground.backend.stop(NOBODY, patience=ground.hurry)
        await ground.backend.unplug(NOBODY, NOBODY, 1, patience=ground.hurry)
        await ground.backend.delete(NOBODY)
        with pytest.raises(Failed):
            await ground.backend.plug(NOBODY, await ground.plug(NOBODY, await ground.volume(), 0))
        assert await ground.backend.servers() == []

    async def test_what_cannot_be_an_id(self, ground: Ground) -> None:
        for bad in ("", ".", "..", "../servers", "/etc", "a/b"):
            with pytest.raises(Failed):
                await ground.backend.look(bad)
            with pytest.raises(Failed):
                await ground.backend.delete(bad)

    # --- what happens by itself -------------------------------------------------------------------

    async def test_a_machine_that_dies(self, ground: Ground, crash: Crash) -> None:
        spec = await ground.running(await ground.volume())
        await crash(spec.server_id)
        assert (await ground.news("crashed")).server_id == spec.server_id
        assert await ground.seen(spec.server_id) == ("crashed", disks_of(spec))
        await ground.backend.start(spec)
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
        await crash(spec.server_id)
        await ground.backend.reboot(spec, hard=True)
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
        await crash(spec.server_id)
        await ground.backend.stop(spec.server_id, patience=0)
        assert (await ground.seen(spec.server_id))[0] == "stopped"

    async def test_a_volume_leaves_a_machine_that_died(self, ground: Ground, crash: Crash) -> None:
        volume_id = await ground.volume()
        spec = await ground.running(volume_id)
        await crash(spec.server_id)
        await ground.backend.unplug(spec.server_id, volume_id, 1, patience=10)
        assert volume_id not in (await ground.seen(spec.server_id))[1]
        assert await ground.is_free(volume_id)
        await ground.backend.delete(spec.server_id)

    async def test_servers_outlive_whoever_started_them(self, ground: Ground, reopened: Reopened, crash: Crash) -> None:
        spec, other = await ground.running(await ground.volume()), await ground.running()
        await ground.backend.close()
        ground.backend = await reopened()
        assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
        await crash(spec.server_id)
        assert (await ground.news("crashed")).server_id == spec.server_id
        assert {server.server_id for server in await ground.backend.servers()} == {spec.server_id, other.server_id}
