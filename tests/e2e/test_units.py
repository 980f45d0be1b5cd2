"""The units for systemd: it takes them, and what they start is a cloud whose guests outlive it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from tests.clouds import User
from tests.processes import LIMIT, PROGRAM, Process, command, end_guests, free_address, guests

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))
INSTALLED = "/opt/cyclades/.venv/bin/cyclades"
CONFIG, DATA = "/etc/cyclades/cyclades.toml", "/var/lib/cyclades"


def service(unit: Path) -> dict[str, str]:
    read = ConfigParser(interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read(unit)
    return dict(read["Service"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(INSTALLED, str(PROGRAM)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_guests_outlive_it(unit: Path) -> None:
    said = service(unit)
    assert said["ReadWritePaths"] == DATA
    if "@" not in unit.name:  # it has guests
        assert (said["KillMode"], said["OOMPolicy"], said["DeviceAllow"]) == ("process", "continue", "/dev/kvm rw")
        assert "PrivateTmp" not in said


@pytest.fixture
def data(reachable: Path) -> Iterator[Path]:
    path = reachable / "of-a-unit"
    yield path
    end_guests(path)


def started(unit: Path, config: Path, log: Path, *more: str, **settings: str) -> Process:
    """As systemd starts it: by its command line, with the capabilities that it leaves, and `more`."""
    words = service(unit)["ExecStart"].split()
    assert words[0] == INSTALLED
    capabilities = [*service(unit)["CapabilityBoundingSet"].lower().split(), *more]
    left = ",".join(["-all", *(f"+{name.removeprefix('cap_')}" for name in capabilities)])
    privileges = [f"--bounding-set={left}", f"--inh-caps={left}", "--no-new-privs"] if os.geteuid() == 0 else []
    words = [str(config) if word == CONFIG else word for word in words[1:]]
    process = Process(log, *words, privileges=privileges, **settings)
    process.ready()
    return process


def test_a_server_outlives_the_service(data: Path, tmp_path: Path) -> None:
    unit = next(unit for unit in UNITS if unit.name == "cyclades.service")
    config = tmp_path / "cyclades.toml"
    host, port = free_address()
    config.write_text(f'data = "{data}"\n[api]\nhost = "{host}"\nport = {port}\n')
    address = {"CYCLADES_API_HOST": host, "CYCLADES_API_PORT": str(port)}
    first = started(unit, config, tmp_path / "log", **address)
    user = User(data / "openrc-demo")
    try:
        server_id = user.new_server(user.new_image(bytes(1 << 20), "raw"))
        before = guests(data)
        assert set(before) == {server_id}
        assert first.stop() == 0  # systemd's signal to the main process, and to no other (KillMode)
        assert guests(data) == before
        second = started(unit, config, tmp_path / "log", **address)
        assert user.until_server(server_id, "ACTIVE")
        user.delete_server(server_id)
        assert guests(data) == {}
        assert second.stop() == 0
    finally:
        user.close()


def test_the_many_process_form(new_postgres: Callable[[str], str], data: Path, tmp_path: Path) -> None:
    config = tmp_path / "cyclades.toml"
    config.write_text(f'data = "{data}"\n[database]\nurl = "{new_postgres("units")}"\n')
    assert command("db", "upgrade", "--config", config).returncode == 0
    host, port = free_address()
    address = {"CYCLADES_API_HOST": host, "CYCLADES_API_PORT": str(port)}
    many = [unit for unit in UNITS if unit.name != "cyclades.service"]
    # The socket of the tests' PostgreSQL is in a directory of its own user's.
    processes = [started(unit, config, tmp_path / "log", "cap_dac_override", **address) for unit in many]
    user = User(data / "openrc-demo")
    try:
        user.new_volume()
    finally:
        user.close()
    assert [process.stop() for process in processes] == [0] * len(processes)
