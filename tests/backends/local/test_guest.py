"""A real guest in a server of the local backend: what it sees, and what it is asked for. One boots for all tests here;
they go in order, and each leaves it running."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import pytest_asyncio
from tests import databases
from tests.backends.conftest import USER
from tests.backends.ground import LIMIT, Ground, until
from tests.backends.other_process import Place

from cyclades.backends.base import Nic, ServerSpec
from cyclades.backends.local import machine
from cyclades.backends.local.home import Home
from cyclades.model import config_drive
from cyclades.model.names import image_disk, volume_disk
from cyclades.model.units import MIB
from cyclades.store.database import Database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Guest:
    """The guest of `spec`. `plugged` are the volumes beside its root."""

    ground: Ground
    home: Home
    spec: ServerSpec
    key: Path
    boots: int = 1
    plugged: dict[str, int] = field(default_factory=dict)

    def console(self) -> list[str]:
        return self.home.console.read_text(errors="replace").splitlines()

    def said(self, pattern: str) -> list[str]:
        return [line for line in self.console() if re.search(pattern, line)]

    async def is_up(self) -> None:
        await until(lambda: len(self.said("^SSH [0-9]")) >= self.boots)

    async def sees(self, volume_id: str, size: int | None) -> None:
        """Wait until its disks have the volume with this many bytes; None: not at all."""

        def met() -> bool:
            disks = self.said("^DISKS ")[-1]
            return volume_id not in disks if size is None else f"={volume_id}:{size}" in disks

        await until(met)

    async def run(self, command: str) -> str:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        words = ["ssh", "-F", "none", "-i", str(self.key), "-p", str(machine.SSH_PORT)]
        words += [word for option in options for word in ("-o", option)]
        process = await asyncio.create_subprocess_exec(
            *words, f"root@{self.spec.nics[0].forward}", command, stdout=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LIMIT):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return output.decode().strip()


@pytest.fixture(scope="module")
def small_pool() -> bool:
    """Whether the pool is on a file system of its own, that a guest can fill."""
    return os.geteuid() == 0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guest(guest_image: Path, small_pool: bool) -> AsyncIterator[Guest]:
    directory = Path(tempfile.mkdtemp(prefix="cyclades-"))
    directory.chmod(0o711)
    for name in ("servers", "pool"):
        (directory / name).mkdir(mode=0o711)
    if small_pool:
        _mount(directory / "pool", "size=32m,mode=711")
    key = directory / "key"
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    place = Place(directory, f"sqlite:///{directory}/cyclades.db", USER if os.geteuid() == 0 else None)
    database = Database(place.database_url)
    databases.make_tables(database.engine)
    ground = Ground(place.backend(reboot_patience=LIMIT), place.pool(database))
    await ground.backend.open()
    spec = await _spec(ground, guest_image, key.with_suffix(".pub").read_text())
    try:
        await ground.backend.start(spec)
        found = Guest(ground, Home(directory / "servers" / spec.server_id), spec, key)
        await found.is_up()
        yield found
    finally:
        await ground.backend.delete(spec.server_id)
        await ground.backend.close()
        database.close()
        if small_pool:
            _run("umount", directory / "pool")
        shutil.rmtree(directory)


async def _spec(ground: Ground, image: Path, public_key: str) -> ServerSpec:
    spec = await ground.spec()
    root = spec.plugs[0]
    await ground.pool.release(root.disk, f"{ground.backend.name}/{spec.server_id}", 1)
    await ground.pool.delete(root.disk)
    await ground.pool.import_image(image_disk("small"), image, "qcow2")
    await ground.pool.clone(root.disk, image_disk("small"), 64 * MIB)
    await ground.plug(spec.server_id, root.volume_id, 0)
    nic = Nic("52:54:00:00:00:09", "10.64.0.76", str(IPv4Address("127.96.0.0") + os.getpid()))
    told = config_drive.Guest(spec.server_id, "p", "The First", "the-first", "nova", "mine", public_key)
    return replace(spec, memory=128, nics=(nic,), config=config_drive.files(told))


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def _mount(path: Path, options: str) -> None:
    _run("mount", "-t", "tmpfs", "-o", options, "cyclades-test", path)


async def test_it_learns_who_it_is(guest: Guest) -> None:
    assert guest.said("^CONFIG [a-z]+ the-first$")
    assert guest.said(rf"^NET eth0 {re.escape(str(guest.spec.nics[0].address))}/29$")
    assert await guest.run("hostname") == "the-first"


async def test_a_volume_comes_grows_and_goes_under_it(guest: Guest) -> None:
    ground, server_id = guest.ground, guest.spec.server_id
    volume_id = await ground.volume(8 * MIB)
    await ground.backend.plug(server_id, await ground.plug(server_id, volume_id, 1))
    await guest.sees(volume_id, 8 * MIB)
    assert await guest.run(f"guest write {volume_id} kept; guest read {volume_id}") == "ok\nok kept"
    await ground.pool.extend(volume_disk(volume_id), 16 * MIB, lambda: ground.backend.live_disk(server_id, volume_id))
    await guest.sees(volume_id, 16 * MIB)
    assert await guest.run(f"guest read {volume_id}") == "ok kept"
    await ground.backend.unplug(server_id, volume_id, 1, patience=LIMIT)
    await guest.sees(volume_id, None)
    await ground.backend.plug(server_id, await ground.plug(server_id, volume_id, 7, 2, read_only=True))
    await guest.sees(volume_id, 16 * MIB)
    assert await guest.run(f"guest read {volume_id}; guest ro {volume_id}") == "ok kept\nok 1"
    await ground.backend.unplug(server_id, volume_id, 2, patience=LIMIT)
    assert await ground.is_free(volume_id)


async def test_a_guest_that_fills_the_pool_stands_still_until_there_is_room(guest: Guest, small_pool: bool) -> None:
    if not small_pool:
        pytest.skip("only root can mount a small file system")
    ground, server_id = guest.ground, guest.spec.server_id
    volume_id = await ground.volume(64 * MIB)
    await ground.backend.plug(server_id, await ground.plug(server_id, volume_id, 1))
    await guest.sees(volume_id, 64 * MIB)
    assert await guest.run(f"guest write {volume_id} kept") == "ok"
    filling = asyncio.create_task(guest.run(f"guest fill {volume_id} 24 1"))
    await ground.news("paused")
    assert (await ground.seen(server_id))[0] == "paused"
    _mount(Path(ground.pool._files.layers).parent, "remount,size=128m")  # type: ignore[attr-defined]
    plugs = (*guest.spec.plugs, await ground.plug(server_id, volume_id, 1))
    await ground.backend.reboot(replace(guest.spec, plugs=plugs), hard=True)
    filling.cancel()
    guest.boots += 1
    await guest.is_up()
    assert (await ground.seen(server_id))[0] == "running"
    assert await guest.run(f"guest read {volume_id}; guest fill {volume_id} 24 1") == "ok kept\nok"
    await ground.backend.unplug(server_id, volume_id, 1, patience=LIMIT)


async def test_it_is_asked_to_reboot_and_does(guest: Guest) -> None:
    number = guest.home.pid()
    await guest.ground.forget_news()
    await guest.ground.backend.reboot(guest.spec, hard=False)
    guest.boots += 1
    await guest.is_up()
    assert (await guest.ground.news("running")).server_id == guest.spec.server_id
    assert guest.home.pid() == number


async def test_it_is_asked_to_power_off_and_does(guest: Guest) -> None:
    await guest.ground.backend.stop(guest.spec.server_id, patience=LIMIT)
    assert guest.said("^GUEST power button")
    assert (await guest.ground.news("stopped")).server_id == guest.spec.server_id
    assert (await guest.ground.seen(guest.spec.server_id))[0] == "stopped"
    assert guest.home.pid() is None
    await guest.ground.backend.start(guest.spec)
    assert (await guest.ground.seen(guest.spec.server_id))[0] == "running"


async def test_a_power_button_that_it_cannot_hear_yet_is_pressed_again(guest: Guest) -> None:
    """It has only begun to boot."""
    pressed = len(guest.said("^GUEST power button"))
    await guest.ground.backend.stop(guest.spec.server_id, patience=0)
    await guest.ground.backend.start(guest.spec)
    await guest.ground.backend.stop(guest.spec.server_id, patience=LIMIT)
    assert len(guest.said("^GUEST power button")) == pressed + 1
    await guest.ground.backend.start(guest.spec)
