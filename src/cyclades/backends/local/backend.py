"""The verbs of the local backend.

Each takes the server's lock (a flock, so that another process on this machine waits, too). Where a volume's disk
is held as well, the disk comes first: pools hold a disk while they ask for its `LiveDisk`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cyclades import flocks
from cyclades.backends.base import Capacity, News, Plug, SeenDisk, SeenServer, ServerSpec, Trail
from cyclades.backends.local import accelerator, capacity, disks, drive, machine, process
from cyclades.backends.local.home import Home, Plugged, Wanted
from cyclades.backends.local.listener import Listener
from cyclades.backends.local.live import LocalLiveDisk
from cyclades.backends.local.mirror import LocalMirror
from cyclades.backends.local.qmp import Monitor, Refused, connected
from cyclades.model.errors import Failed, Fault, Passing
from cyclades.model.servers import MAX_DISKS
from cyclades.pools.base import Blockdev, Pool
from cyclades.threads import in_thread

_LOOK = 0.05, 0.5  # seconds between looks at a guest that was asked to power off: at first, and at most
_PRESS_AGAIN = 10.0  # seconds after which a guest's power button is pressed again
_RESET_SECONDS = 10.0  # that QEMU may take to reset a machine


class LocalBackend:
    """Servers in `directory`, which is there. `reboot_patience` is how many seconds a guest has to begin a reboot that
    it was asked for. `user` is the number that guests' QEMUs run under where we are root."""

    kind = "local"
    max_disks = MAX_DISKS
    cards = False
    read_only_disks = True
    keeps_console = True

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        accelerator: str = "auto",
        qemu: str = "qemu-system-x86_64",
        user: int = 64321,
        reboot_patience: float = 20.0,
    ) -> None:
        self.name = name
        self._directory = directory.absolute()
        self._wanted_accelerator, self._program = accelerator, qemu
        self._reboot_patience = reboot_patience
        self._locks = self._directory / ".locks"
        self._locks.mkdir(mode=0o700, exist_ok=True)
        self._guard = process.Guard(user, self._directory)
        self._listener = Listener(self._homes, self._unplugged_late, self._powered_off)

    # --- servers ----------------------------------------------------------------------------------

    async def open(self) -> None:
        self._listener.open()

    async def close(self) -> None:
        await self._listener.close()

    def news(self) -> AsyncIterator[News]:
        return self._listener.news()

    async def start(self, spec: ServerSpec, *, trail: Trail | None = None) -> None:
        home = self._home(spec.server_id)
        async with AsyncExitStack() as held:
            opened = [
                (plug, await held.enter_async_context(plug.pool.opening(plug.disk)))
                for plug in sorted(spec.plugs, key=lambda plug: plug.disk)
            ]
            async with self._alone(home):
                if home.pid() is not None:
                    if await self._is_up(home):
                        await in_thread(self._want, home, spec)
                        return
                    await process.kill(home)
                await self._make(home, spec, sorted(opened, key=lambda pair: pair[0].index))
        self._listener.follow(home)

    async def _is_up(self, home: Home) -> bool:
        """False for a QEMU whose guest has powered off."""
        async with connected(home.qmp) as monitor:
            return await _status(monitor) != "shutdown"

    async def _make(self, home: Home, spec: ServerSpec, opened: list[tuple[Plug, Blockdev]]) -> None:
        await in_thread(self._furnish, home, spec)
        try:
            await self._start(home, spec, opened)
        except Fault:
            await in_thread(self._want, home, spec, power="off")
            raise

    def _furnish(self, home: Home, spec: ServerSpec) -> None:
        home.directory.mkdir(mode=0o700, exist_ok=True)
        self._guard.own(home.directory)
        for label, files in spec.config.items():
            drive.make(home.drive(label), label, files)
            self._guard.own(home.drive(label))
        self._want(home, spec)

    async def _start(self, home: Home, spec: ServerSpec, opened: list[tuple[Plug, Blockdev]]) -> None:
        """By the accelerator that works: where KVM did and a machine does not start, it is tried anew."""

        async def chosen() -> machine.Qemu:
            found = await accelerator.choose(self._wanted_accelerator, self._program, memory, self._guard)
            return machine.Qemu(self._program, found)

        memory = self._directory / ".accelerator"
        qemu = await chosen()
        try:
            await process.start(machine.command(qemu, home, spec, opened), home, self._guard)
        except Fault:
            if qemu.accelerator == "tcg":
                raise
            accelerator.forget(memory)
            other = await chosen()
            if other == qemu:
                raise
            await process.start(machine.command(other, home, spec, opened), home, self._guard)

    def _want(self, home: Home, spec: ServerSpec, *, power: str = "on") -> None:
        plugged = {p.volume_id: Plugged(p.volume_id, p.index, p.generation, p.read_only) for p in spec.plugs}
        home.want(Wanted("on" if power == "on" else "off", plugged))

    async def stop(self, server_id: str, *, patience: float, trail: Trail | None = None) -> None:
        home = self._home(server_id)
        if patience > 0 and home.pid() is not None:
            await self._ask_to_power_off(home, patience)
        async with self._alone(home):
            await self._off(home)

    async def _ask_to_power_off(self, home: Home, patience: float) -> None:
        """Returns when the guest is down, or has had its time. One that has only begun to boot hears nothing of the
        power button yet, so it is pressed again."""
        pause, longest = _LOOK
        press = 0.0
        # A QEMU that does not answer is simply switched off.
        with contextlib.suppress(TimeoutError, Passing):
            async with asyncio.timeout(patience):
                while True:
                    async with self._monitor(home) as monitor:
                        if await _status(monitor) == "shutdown":
                            return
                        if time.monotonic() >= press:
                            await monitor.command("system_powerdown")
                            press = time.monotonic() + _PRESS_AGAIN
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, longest)

    async def _off(self, home: Home) -> None:
        """Switched off, and wanted so. The server's lock is held."""
        wanted = home.wanted()
        if wanted is not None and wanted.power != "off":
            wanted.power = "off"
            await in_thread(home.want, wanted)
        if home.pid() is None:
            return
        with contextlib.suppress(Passing, Refused):
            async with connected(home.qmp) as monitor:
                await monitor.command("quit")
        if not await process.ended(home, seconds=process.END_SECONDS):
            await process.kill(home)

    async def reboot(self, spec: ServerSpec, *, hard: bool, trail: Trail | None = None) -> None:
        home = self._home(spec.server_id)
        async with self._alone(home):
            if await self._rebooted(home, hard=hard):
                return
        await self.start(spec)

    async def _rebooted(self, home: Home, *, hard: bool) -> bool:
        """False if there is no machine that could go on. The server's lock is held."""
        if home.pid() is None:
            return False
        try:
            async with connected(home.qmp) as monitor:
                if await _status(monitor) == "shutdown":
                    return False
                await self._reset(monitor, hard=hard)
        except Passing:
            if not hard:
                raise
            await process.kill(home)  # a QEMU that does not answer has nothing better to come
            return False
        return True

    async def _reset(self, monitor: Monitor, *, hard: bool) -> None:
        with monitor.listening("RESET") as events:
            if not hard:
                keys = [{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")]
                with contextlib.suppress(TimeoutError, Refused):
                    await monitor.command("send-key", {"keys": keys})
                    async with asyncio.timeout(self._reboot_patience):
                        await events.get()
                    return
            await monitor.command("system_reset")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESET_SECONDS):
                    await events.get()
            # Not only one that an operator paused: a guest whose pool was full stands still as well.
            if await _status(monitor) != "running":
                await monitor.command("cont")

    async def delete(self, server_id: str, *, trail: Trail | None = None) -> None:
        home = self._home(server_id)
        async with self._alone(home) as lock_file:
            await self._off(home)
            self._listener.leave(home)
            await in_thread(home.remove)
            flocks.forget(lock_file)

    # --- disks ------------------------------------------------------------------------------------

    async def plug(self, server_id: str, plug: Plug, *, trail: Trail | None = None) -> None:
        home = self._home(server_id)
        async with plug.pool.opening(plug.disk) as blockdev, self._alone(home):
            wanted = self._known(home)
            there = wanted.disks.get(plug.volume_id)
            if there is not None and there.generation > plug.generation:
                return
            if home.pid() is not None:
                async with connected(home.qmp) as monitor:
                    await disks.plug(monitor, plug, blockdev)
            wanted.disks[plug.volume_id] = Plugged(plug.volume_id, plug.index, plug.generation, plug.read_only)
            await in_thread(home.want, wanted)

    async def unplug(
        self, server_id: str, volume_id: str, generation: int, *, patience: float, trail: Trail | None = None
    ) -> None:
        home = self._home(server_id)
        async with self._alone(home):
            wanted = home.wanted()
            if wanted is None:
                return
            known = wanted.disks.get(volume_id)
            if known is not None and known.generation > generation:
                return
            if home.pid() is not None:
                async with connected(home.qmp) as monitor:
                    there = (await disks.present(monitor)).get(volume_id)
                    if there is None:
                        await disks.drop_nodes(monitor, volume_id)
                    elif there.disk.generation > generation:
                        return
                    else:
                        await disks.unplug(monitor, there, patience=patience)
            if known is not None:
                del wanted.disks[volume_id]
                await in_thread(home.want, wanted)

    async def live_disk(self, server_id: str, volume_id: str, *, trail: Trail | None = None) -> LocalLiveDisk | None:
        home = self._home(server_id)
        if home.pid() is None:
            return None
        async with self._monitor(home) as monitor:
            if volume_id not in await disks.present(monitor):
                return None
        return LocalLiveDisk(lambda: self._monitor(home), volume_id)

    async def mirror(self, server_id: str, volume_id: str) -> LocalMirror | None:
        home = self._home(server_id)
        if home.pid() is None:
            return None
        mirror = LocalMirror(lambda: self._monitor(home), volume_id)
        return mirror if await mirror.is_needed() else None

    async def moved(
        self, server_id: str, volume_id: str, generation: int, pool: Pool, *, trail: Trail | None = None
    ) -> None:
        """A machine is told where its disks are when it is started."""

    async def grown(self, server_id: str, volume_id: str, size: int, *, trail: Trail | None = None) -> None:
        """A machine reads the size of a disk when it opens it."""

    async def name_disk(self, server_id: str, volume_id: str, *, trail: Trail | None = None) -> None:
        """Disks have no names here."""

    async def delete_disk(self, volume_id: str, uuid: str) -> None:
        raise Failed("All disks of this backend lie in pools.")

    # --- looking ----------------------------------------------------------------------------------

    async def look(self, server_id: str) -> SeenServer:
        home = self._home(server_id)
        wanted = home.wanted()
        if wanted is None:
            return SeenServer(server_id, "missing", ())
        if home.pid() is None:
            power = "crashed" if wanted.power == "on" else "stopped"
            return SeenServer(server_id, power, tuple(disk.seen() for disk in wanted.disks.values()))  # type: ignore[arg-type]
        async with self._monitor(home) as monitor:
            status = await _status(monitor)
            found = await disks.present(monitor)
        seen = [_with_index(there.disk, wanted) for there in found.values()]
        power = {"shutdown": "stopped", "running": "running"}.get(status, "paused")
        return SeenServer(server_id, power, tuple(seen))  # type: ignore[arg-type]

    async def servers(self) -> list[SeenServer]:
        return [await self._seen(home) for home in self._homes() if home.wanted() is not None]

    async def _seen(self, home: Home) -> SeenServer:
        """One that cannot be looked at in this moment hides none of the others."""
        try:
            return await self.look(home.server_id)
        except Passing:
            return SeenServer(home.server_id, "unknown", ())

    async def capacity(self) -> Capacity:
        return await capacity.of_this_machine(self._program)

    async def console(self, server_id: str, lines: int | None) -> str:
        return await asyncio.to_thread(self._home(server_id).console_tail, lines)

    # --- what happens by itself -------------------------------------------------------------------

    async def _unplugged_late(self, home: Home, disk: SeenDisk) -> bool:
        """A guest let go of a volume. True if nobody waited for that: then its files are closed here."""
        async with self._alone(home):
            wanted = home.wanted()
            known = wanted.disks.get(disk.volume_id) if wanted is not None else None
            if wanted is None or known is None or known.generation != disk.generation or home.pid() is None:
                return False
            async with connected(home.qmp) as monitor:
                if disk.volume_id in await disks.present(monitor):
                    return False
                await disks.drop_nodes(monitor, disk.volume_id)
            del wanted.disks[disk.volume_id]
            await in_thread(home.want, wanted)
        return True

    async def _powered_off(self, home: Home) -> None:
        """A guest powered itself off: its QEMU has nothing left to do."""
        async with self._alone(home):
            if home.pid() is not None and not await self._is_up(home):
                await self._off(home)

    # --- ways in ----------------------------------------------------------------------------------

    def _home(self, server_id: str) -> Home:
        if not server_id or "/" in server_id or server_id.startswith("."):
            raise Failed(f"{server_id!r} cannot be the id of a server.")
        return Home(self._directory / server_id)

    def _homes(self) -> list[Home]:
        return [Home(path) for path in sorted(self._directory.iterdir()) if not path.name.startswith(".")]

    def _known(self, home: Home) -> Wanted:
        wanted = home.wanted()
        if wanted is None:
            raise Failed("The backend does not have the server.")
        return wanted

    @asynccontextmanager
    async def _alone(self, home: Home) -> AsyncIterator[Path]:
        """Hold the server's lock."""
        lock_file = self._locks / home.server_id
        async with flocks.hold(lock_file, what="server"):
            yield lock_file

    @asynccontextmanager
    async def _monitor(self, home: Home) -> AsyncIterator[Monitor]:
        """The server's monitor, alone."""
        async with self._alone(home), connected(home.qmp) as monitor:
            yield monitor


async def _status(monitor: Monitor) -> str:
    answer = await monitor.command("query-status")
    status: str = answer["status"]
    return status


def _with_index(disk: SeenDisk, wanted: Wanted) -> SeenDisk:
    known = wanted.disks.get(disk.volume_id)
    return SeenDisk(disk.volume_id, known.index if known else None, disk.generation, disk.read_only)
