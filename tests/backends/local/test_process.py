"""QEMU's processes: who they run as, what their errors tell, and that they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.backends.conftest import USER
from tests.backends.contract import disks_of
from tests.backends.ground import Ground, until
from tests.backends.other_process import Place
from tests.pools.disk_io import open_elsewhere

from cyclades.backends.base import Nic
from cyclades.backends.local import LocalBackend, machine, process, qmp
from cyclades.backends.local.home import Home
from cyclades.backends.local.process import Guard
from cyclades.model.errors import Failed, Passing

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run QEMU as somebody else")
Pid = Callable[[str], int]
HomeOf = Callable[[str], Home]


def status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


async def test_the_sandbox_is_on_and_guests_stand_back(ground: Ground, pid: Pid) -> None:
    number = pid((await ground.running()).server_id)
    assert status(number)["Seccomp"] == ["2"]
    assert os.getpriority(os.PRIO_PROCESS, number) == os.getpriority(os.PRIO_PROCESS, 0) + 5
    with contextlib.suppress(FileNotFoundError):  # of kernels that do not group by session
        assert Path(f"/proc/{number}/autogroup").read_text().split()[-1] == "5"


@as_root
async def test_qemu_has_no_rights(ground: Ground, pid: Pid, home: HomeOf) -> None:
    server_id = (await ground.running(config={"cidata": {"meta-data": b"x"}})).server_id
    found = status(pid(server_id))
    assert set(found["Uid"]) == set(found["Gid"]) == {str(USER)}
    assert found["NoNewPrivs"] == ["1"]
    assert {found[name][0] for name in ("CapEff", "CapPrm", "CapAmb")} == {"0" * 16}
    kvm = {str(os.stat("/dev/kvm").st_gid)} if os.path.exists("/dev/kvm") else set()
    assert set(found["Groups"]) <= kvm
    # What it wrote is its own; what tells us about it is not.
    assert home(server_id).console.stat().st_uid == USER
    assert home(server_id).directory.stat().st_mode & 0o077 == 0


@as_root
async def test_where_its_user_cannot_go_it_runs_as_we_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert Guard(USER, tmp_path).user is None
    assert Guard(USER, tmp_path).prefix() == []


async def test_it_outlives_us_and_is_reaped(ground: Ground, pid: Pid) -> None:
    spec = await ground.running()
    number = pid(spec.server_id)
    assert os.getsid(number) == number  # no signal to our group reaches it
    await ground.backend.stop(spec.server_id, patience=0)

    def gone() -> bool:
        process.reap()
        return not Path(f"/proc/{number}").exists()

    await until(gone)


async def test_one_that_hangs_hides_no_other(ground: Ground, pid: Pid, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, runs = await ground.running(), await ground.running()
    number = pid(hangs.server_id)
    os.kill(number, signal.SIGSTOP)
    try:
        monkeypatch.setattr(qmp, "CONNECT_SECONDS", 0.5)
        assert await ground.seen(runs.server_id) == ("running", disks_of(runs))
        seen = {one.server_id: one.power for one in await ground.backend.servers()}
    finally:
        os.kill(number, signal.SIGCONT)
    assert seen == {hangs.server_id: "unknown", runs.server_id: "running"}


async def test_a_forward_that_is_taken(ground: Ground, home: HomeOf) -> None:
    forward = str(IPv4Address("127.80.0.0") + os.getpid())
    spec = await ground.spec(nics=(Nic("52:54:00:00:00:01", "10.64.0.12", forward),))
    taken = pytest.raises(Failed, match="Could not set up host forwarding rule")
    with socket.create_server((forward, machine.SSH_PORT)), taken:
        await ground.backend.start(spec)
    assert home(spec.server_id).pid() is None
    assert (await ground.seen(spec.server_id))[0] == "stopped"


async def test_a_disk_that_somebody_else_has_open_may_be_free_in_a_moment(ground: Ground) -> None:
    spec, volume_id = await ground.spec(), await ground.volume()
    root = spec.plugs[0]
    async with ground.pool.opening(root.disk) as blockdev:
        pass
    async with open_elsewhere(blockdev):
        with pytest.raises(Passing, match="in use"):
            await ground.backend.start(spec)
    await ground.backend.start(spec)
    plug = await ground.plug(spec.server_id, volume_id, 1)
    async with ground.pool.opening(plug.disk) as blockdev:
        pass
    async with open_elsewhere(blockdev):
        with pytest.raises(Passing, match="in use"):
            await ground.backend.plug(spec.server_id, plug)
    await ground.backend.plug(spec.server_id, plug)


async def test_a_file_that_qemu_cannot_open_will_not_do_however_often(ground: Ground, place: Place) -> None:
    spec, volume_id = await ground.spec(), await ground.volume()
    plug = await ground.plug(spec.server_id, volume_id, 1)
    for layer in (place.directory / "pool" / "layers").iterdir():
        layer.write_bytes(b"no qcow2" * 64)
    with pytest.raises(Failed, match="not in qcow2 format") as failed:
        await ground.backend.start(spec)
    assert str(place.directory) not in str(failed.value)
    whole = await ground.running()
    with pytest.raises(Failed, match="not in qcow2 format"):
        await ground.backend.plug(whole.server_id, plug)
    assert volume_id not in (await ground.seen(whole.server_id))[1]


@pytest.mark.parametrize("script", ["#!/bin/sh\necho it is broken >&2; exit 3\n", "#!/bin/sh\nexit 3\n", None])
async def test_a_qemu_that_does_not_run(ground: Ground, place: Place, script: str | None) -> None:
    program = place.directory / "qemu"
    if script is not None:
        program.write_text(script)
        program.chmod(0o755)
    backend = place.backend(qemu=str(program))
    spec = await ground.spec()
    with pytest.raises(Failed) as failed:
        await backend.start(spec)
    text = str(failed.value)
    assert any(word in text for word in ("it is broken", "exit code 3", "No such file"))
    await ground.backend.start(spec)


async def test_a_program_that_is_not_there(directory: Path) -> None:
    home = Home(directory / "x")
    home.directory.mkdir()
    guard = Guard(USER, home.directory)
    guard.user = None  # nobody else starts it for us, and tells of it
    with pytest.raises(Failed, match="did not start"):
        await process.start(["/nowhere/qemu"], home, guard)


async def test_a_number_in_a_dead_ones_file_is_nobody(ground: Ground, local: LocalBackend, home: HomeOf) -> None:
    """Its process may be anyone's by now."""
    spec = await ground.running()
    await local.stop(spec.server_id, patience=0)
    innocent = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220
    try:
        home(spec.server_id).pid_file.write_text(f"{innocent.pid}\n")
        assert home(spec.server_id).pid() is None
        await process.kill(home(spec.server_id))
        await local.delete(spec.server_id)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()
