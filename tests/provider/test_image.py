"""The OS definition `cyclades-image`, called as Ganeti calls it, with an image that is served on this machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.provider.image_server import TOKEN, ImageServer, serving

from cyclades.model.units import KIB, MIB

DEFINITION = Path(__file__).parents[2] / "ganeti" / "os" / "cyclades-image"
PIECE = 32 * MIB
RAW = os.urandom(2 * MIB) + bytes(40 * MIB) + os.urandom(MIB + KIB)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """As another had it before."""
    path = tmp_path / "disk"
    path.write_bytes(b"\7" * 64 * MIB)
    return path


@pytest.fixture
def served() -> Iterator[ImageServer]:
    with serving(RAW) as image:
        yield image


@contextmanager
def block_device(path: Path) -> Iterator[Path]:
    found = subprocess.run(["losetup", "--find", "--show", path], stdout=subprocess.PIPE, text=True, check=True)
    try:
        yield Path(found.stdout.strip())
    finally:
        subprocess.run(["losetup", "--detach", found.stdout.strip()], check=True)


def qcow2(path: Path, raw: bytes, *options: str | Path) -> bytes:
    path.write_bytes(raw)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", *options, path, f"{path}.qcow2"], check=True)
    return Path(f"{path}.qcow2").read_bytes()


def environment(image: ImageServer, disk: Path, **more: str) -> dict[str, str]:
    found = {"url": image.url, "token": TOKEN, "sha512": hashlib.sha512(image.body).hexdigest(), "format": "raw"}
    named = {f"OSP_{name.upper()}": value for name, value in found.items()}
    return {"INSTANCE_NAME": "vm1", "DISK_COUNT": "1", "DISK_0_PATH": str(disk), **named, **more}


def run(action: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEFINITION / action], env=env, capture_output=True, text=True)


def refused(action: str, env: dict[str, str]) -> str:
    done = run(action, env)
    assert done.returncode == 1
    assert TOKEN not in done.stdout + done.stderr
    assert done.stderr.startswith("cyclades-image: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_raw_image_is_written(served: ImageServer, disk: Path) -> None:
    """Zeros replace what was there, and take no space."""
    done = run("create", environment(served, disk))
    assert (done.returncode, done.stderr) == (0, "")
    assert served.pieces == [0, PIECE]
    assert done.stdout.splitlines() == ["32 of 43 MiB", "43 of 43 MiB", "The image is on the disk."]
    assert disk.read_bytes() == RAW + b"\7" * (64 * MIB - len(RAW))
    assert disk.stat().st_blocks * 512 <= 64 * MIB - 38 * MIB


def test_a_qcow2_image_is_written_to_a_block_device(disk: Path, tmp_path: Path) -> None:
    with serving(qcow2(tmp_path / "raw", RAW)) as image, block_device(disk) as device:
        done = run("create", environment(image, device, OSP_FORMAT="qcow2"))
        assert (done.returncode, done.stderr) == (0, "")
    assert disk.read_bytes()[: len(RAW)] == RAW


def test_a_raw_image_is_written_to_a_block_device(served: ImageServer, disk: Path) -> None:
    with block_device(disk) as device:
        assert run("create", environment(served, device)).returncode == 0
    assert disk.read_bytes()[: len(RAW)] == RAW


def test_what_breaks_off_is_asked_for_again(served: ImageServer, disk: Path) -> None:
    served.faults = ["cut", 503]
    assert run("create", environment(served, disk)).returncode == 0
    assert served.pieces == [0, 0, 0, PIECE]
    assert disk.read_bytes()[: len(RAW)] == RAW


def test_without_an_image_nothing_is_touched(disk: Path) -> None:
    before = disk.stat().st_mtime_ns
    assert run("create", {"DISK_COUNT": "1", "DISK_0_PATH": str(disk)}).returncode == 0
    assert disk.stat().st_mtime_ns == before


def test_what_is_refused_before_anything_is_touched(served: ImageServer, disk: Path, tmp_path: Path) -> None:
    before = disk.stat().st_mtime_ns
    for change, why in (
        ({"INSTANCE_REINSTALL": "1"}, "not reinstalled"),
        ({"OSP_URL": "file:///etc/shadow"}, "url must begin"),
        ({"OSP_SHA512": "x"}, "sha512 must be"),
        ({"OSP_FORMAT": "vmdk"}, "format must be"),
        ({"OSP_TOKEN": "another"}, "answers 401"),
        ({"DISK_0_PATH": ""}, "no device or file"),
        ({"DISK_0_PATH": str(tmp_path / "none")}, "No such file"),
    ):
        assert why in refused("create", environment(served, disk, **change))
    served.faults = [302]
    assert "answers 302" in refused("create", environment(served, disk))
    assert disk.stat().st_mtime_ns == before
    assert "url must begin" in refused("verify", environment(served, disk, OSP_URL="ftp://x/"))


def test_an_image_that_is_not_the_right_one(served: ImageServer, disk: Path, tmp_path: Path) -> None:
    assert "sha512" in refused("create", environment(served, disk, OSP_SHA512="0" * 128))
    os.truncate(disk, 42 * MIB)
    assert "does not fit" in refused("create", environment(served, disk))
    with serving(qcow2(tmp_path / "raw", RAW)) as image:
        assert "does not fit" in refused("create", environment(image, disk, OSP_FORMAT="qcow2"))
    with serving(b"no image") as image:
        assert "cannot be written" in refused("create", environment(image, disk, OSP_FORMAT="qcow2"))


def test_an_image_that_refers_to_a_file_of_the_node(disk: Path, tmp_path: Path) -> None:
    before = disk.stat().st_mtime_ns
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(MIB))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", tmp_path / "1"], check=True)
    options = ["-o", f"data_file={tmp_path / 'data'},data_file_raw=on"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, tmp_path / "2", "1M"], check=True)
    for name in ("1", "2"):
        with serving((tmp_path / name).read_bytes()) as image:
            assert "refers to another file" in refused("create", environment(image, disk, OSP_FORMAT="qcow2"))
    assert disk.stat().st_mtime_ns == before


def test_the_other_actions(served: ImageServer, disk: Path) -> None:
    assert run("rename", environment(served, disk)).returncode == 0
    assert run("verify", environment(served, disk)).returncode == 0
    for action in ("export", "import"):
        assert "neither exports nor imports" in refused(action, environment(served, disk))
