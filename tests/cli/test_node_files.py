"""`cyclades node-files`: what an operator unpacks on Ganeti's nodes."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.processes import environment

ROOT = Path(__file__).parents[2]
PLACE = Path("usr/local/lib/ganeti")


def cyclades(*words: str | Path, **settings: str) -> subprocess.CompletedProcess[bytes]:
    command = [Path(sys.executable).with_name("cyclades"), "node-files", *words]
    return subprocess.run(command, env=environment(**settings), capture_output=True)


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """As a node has it, through the pipe that the command's help shows."""
    done = cyclades("c1", "--data", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    node = tmp_path / "node"
    node.mkdir()
    subprocess.run(["tar", "-xC", node], input=done.stdout, check=True)
    return node


def test_a_node_gets_provider_os_definition_and_settings(unpacked: Path, tmp_path: Path) -> None:
    settings = json.loads((unpacked / "etc/cyclades/node.json").read_text())
    assert settings == {"backend": "c1", "pools": {"local": str(tmp_path / "data/pools/local")}}
    for kind, script in (("extstorage/cyclades", "provider.py"), ("os/cyclades-image", "image.py")):
        here, there = ROOT / "ganeti" / kind, unpacked / PLACE / kind
        assert {path.name for path in here.iterdir() if path.name != "__pycache__"} == {
            path.name for path in there.iterdir()
        }
        for path in there.iterdir():
            assert path.read_bytes() == (here / path.name).read_bytes()
            assert bool(path.stat().st_mode & 0o111) == (path.resolve().name == script)
    done = subprocess.run([unpacked / PLACE / "extstorage/cyclades/attach"], env={}, capture_output=True, text=True)
    assert "volume must be the id of a volume" in done.stderr


def test_each_action_of_the_provider_has_its_link(unpacked: Path) -> None:
    required = {"create", "attach", "detach", "remove", "grow", "setinfo", "verify", "open", "close"}
    links = {path.name for path in (unpacked / PLACE / "extstorage/cyclades").iterdir() if path.is_symlink()}
    assert links == required
    done = subprocess.run(
        [unpacked / PLACE / "extstorage/cyclades/provider.py"], env={}, capture_output=True, text=True
    )
    assert {word.strip(",") for word in done.stderr.split(": ")[-1].split()} == required


def test_pools_that_are_elsewhere_on_the_nodes(tmp_path: Path) -> None:
    pools = json.dumps([{"name": "fast", "directory": "/srv/fast"}, {"name": "slow", "directory": "/srv/slow"}])
    target = tmp_path / "archive"
    done = cyclades("c1", "--pool", "slow=/mnt/slow", "--output", target, CYCLADES_POOLS=pools)
    assert (done.returncode, done.stdout) == (0, b"")
    with tarfile.open(target) as archive:
        assert all((entry.uid, entry.gid) == (0, 0) for entry in archive)
        file = archive.extractfile("etc/cyclades/node.json")
        assert file is not None
        assert json.load(file)["pools"] == {"fast": "/srv/fast", "slow": "/mnt/slow"}


@pytest.mark.parametrize(
    "words", [["local"], ["a/b"], ["c1", "--pool", "other=/x"], ["c1", "--pool", "local=x"], ["c1", "--pool", "local"]]
)
def test_refusals(words: list[str], tmp_path: Path) -> None:
    done = cyclades(*words, "--data", tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"cyclades: ")
