"""The small guest, started by a plain QEMU: what the other tests rely on when they use it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERIAL = str(uuid.uuid4())
PATIENCE = 120  # seconds, for a busy machine


class Guest:
    """One QEMU with the small guest, its console, its control port and its sshd."""

    def __init__(self, directory: Path, image: Path, *arguments: str, key: Path | None) -> None:
        self.directory = directory
        self.key = key
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", "128", "-display", "none", "-no-reboot"]
        command += ["-drive", f"file={image},if=none,id=root,snapshot=on", "-device", "virtio-scsi-pci,id=scsi"]
        command += ["-device", "scsi-hd,bus=scsi.0,lun=0,drive=root,bootindex=0,serial=root-disk"]
        command += ["-serial", f"file:{directory / 'console'}", "-device", "virtio-serial-pci"]
        command += ["-chardev", f"socket,id=ctl,path={directory / 'ctl'},server=on,wait=off"]
        command += ["-device", "virtserialport,chardev=ctl,name=cyclades.ctl"]
        command += [
            "-netdev",
            f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22",
            "-device",
            "virtio-net-pci,netdev=net",
        ]
        command += ["-qmp", f"unix:{directory / 'qmp'},server=on,wait=off"]
        self.process = subprocess.Popen([*command, *arguments], stdin=subprocess.DEVNULL)
        self._control: socket.socket | None = None

    def console(self) -> str:
        path = self.directory / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, what: str, met: Callable[[], Any]) -> Any:
        give_up = time.monotonic() + PATIENCE
        while not (found := met()):
            assert time.monotonic() < give_up, f"no {what}; the console says: {self.console()}"
            time.sleep(0.05)
        return found

    def wait_console(self, pattern: str) -> re.Match[str]:
        match = self.wait(pattern, lambda: re.search(pattern, self.console(), re.MULTILINE))
        assert isinstance(match, re.Match)
        return match

    def control(self, line: str) -> str:
        if self._control is None:
            self.wait_console("^CTL up")
            self._control = socket.socket(socket.AF_UNIX)
            self._control.settimeout(PATIENCE)
            self._control.connect(str(self.directory / "ctl"))
        self._control.sendall(f"{line}\n".encode())
        with self._control.makefile("rb") as answers:
            return next(text for raw in answers if (text := raw.decode().strip()) != "CTL up")

    def ssh(self, *command: str) -> str:
        self.wait_console("^SSH [0-9]")
        self.wait_console("^NET eth0")
        assert self.key is not None
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        ssh = ["ssh", "-F", "none", "-i", str(self.key), "-p", str(self.port)]
        ssh += [word for option in options for word in ("-o", option)]
        done = subprocess.run(
            [*ssh, "root@127.0.0.1", *command], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def qmp(self, command: str, **arguments: Any) -> None:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(PATIENCE)
            link.connect(str(self.directory / "qmp"))
            answers = link.makefile("rw")
            answers.readline()
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                answers.write(json.dumps(request) + "\n")
                answers.flush()
                while "event" in (answer := json.loads(answers.readline())):
                    pass
                assert "return" in answer, answer

    def close(self) -> None:
        if self._control:
            self._control.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def _config_drive(directory: Path, public_key: str) -> Path:
    meta = directory / "openstack" / "latest"
    meta.mkdir(parents=True)
    content = {"uuid": str(uuid.uuid4()), "hostname": "first.example", "public_keys": {"mine": public_key}}
    (meta / "meta_data.json").write_text(json.dumps(content))
    drive = directory / "config.img"
    subprocess.run(["mkfs.fat", "-n", "config-2", "-C", drive, "1024"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mcopy", "-s", "-i", drive, directory / "openstack", "::"], check=True)
    return drive


@pytest.fixture(scope="module")
def guest(guest_image: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    directory = tmp_path_factory.mktemp("guest")
    drive = _config_drive(directory, key.with_suffix(".pub").read_text())
    volume = directory / "volume.raw"
    with volume.open("wb") as file:
        file.truncate(1 << 30)
    guest = Guest(
        directory,
        guest_image,
        *("-drive", f"file={drive},format=raw,if=none,id=config,readonly=on"),
        *("-device", "scsi-hd,bus=scsi.0,lun=1,drive=config,serial=config"),
        *("-drive", f"file={volume},format=raw,if=none,id=volume"),
        *("-device", f"scsi-hd,bus=scsi.0,lun=2,drive=volume,serial={SERIAL}"),
        key=key,
    )
    yield guest
    guest.close()


def test_the_console_names_each_disk_by_serial(guest: Guest) -> None:
    guest.wait_console("^GUEST up [0-9.]+")
    guest.wait_console(rf"^DISKS [0-9.]+ .*=root-disk:[0-9]+ .*={SERIAL}:{1 << 30}\b")


def test_the_control_port_writes_and_reads_by_serial(guest: Guest) -> None:
    assert guest.control("ping") == "ok pong"
    assert guest.control(f"size {SERIAL}") == f"ok {1 << 30}"
    assert guest.control(f"ro {SERIAL}") == "ok 0"
    assert guest.control(f"write {SERIAL} what the port wrote") == "ok"
    assert guest.control(f"read {SERIAL}") == "ok what the port wrote"
    assert (guest.directory / "volume.raw").open("rb").read(19) == b"what the port wrote"
    assert f":{SERIAL}:{1 << 30}" in guest.control("disks")
    assert guest.control("read nowhere") == "err no disk nowhere"


def test_a_sum_tells_what_fill_wrote(guest: Guest) -> None:
    empty = guest.control(f"sum {SERIAL} 2 8")
    assert guest.control(f"fill {SERIAL} 2 8") == "ok"
    assert guest.control(f"sum {SERIAL} 2 8") != empty
    assert guest.control(f"sum {SERIAL} 2 10") == empty


def test_ssh_with_the_key_of_the_config_drive(guest: Guest) -> None:
    assert guest.ssh("hostname") == "first.example"
    assert guest.ssh(f"guest write {SERIAL} over ssh; guest read {SERIAL}") == "ok\nok over ssh"
    assert guest.ssh(f"dd if=$(disk {SERIAL}) bs=8 count=1 2>/dev/null") == "over ssh"
    assert guest.ssh(f"readlink -f /dev/disk/by-id/*{SERIAL}") == guest.ssh(f"disk {SERIAL}")


def test_disks_come_and_go(guest: Guest, tmp_path: Path) -> None:
    extra, path = str(uuid.uuid4()), tmp_path / "extra.raw"
    path.write_bytes(bytes(1 << 20))
    guest.wait_console("^GUEST up")
    guest.qmp("blockdev-add", **{"driver": "file", "filename": str(path), "node-name": "extra"})
    guest.qmp("device_add", driver="scsi-hd", id="extra", bus="scsi.0", lun=5, drive="extra", serial=extra)
    guest.wait_console(rf"^DISKS .*={extra}:{1 << 20}")
    guest.qmp("block_resize", **{"node-name": "extra", "size": 2 << 20})
    guest.wait_console(rf"^DISKS .*={extra}:{2 << 20}")
    guest.qmp("device_del", id="extra")
    guest.wait("disk gone", lambda: extra not in guest.console().rstrip().rsplit("\nDISKS", 1)[-1])


def test_the_power_button_switches_it_off(guest: Guest) -> None:
    guest.wait_console("^SSH [0-9]")
    guest.qmp("system_powerdown")
    assert guest.process.wait(PATIENCE) == 0
    guest.wait_console("^GUEST power button")


def test_two_builds_at_once_make_one_image(guest_image: Path, tmp_path: Path) -> None:
    build = Path(__file__).parents[2] / "guest" / "build"
    shutil.copytree(guest_image.parents[1] / "packages", tmp_path / "guest" / "packages")
    environment = {"CYCLADES_CACHE": str(tmp_path), "PATH": "/usr/bin:/bin"}
    builds = [subprocess.Popen([build], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate(timeout=PATIENCE)[0].strip() for process in builds}
    assert [process.returncode for process in builds] == [0, 0]
    assert len(paths) == 1
    assert Path(paths.pop()).stat().st_size > 1 << 20
