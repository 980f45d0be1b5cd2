"""`pip install .` on a fresh machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest
from tests.processes import environment

from cyclades import __version__
from cyclades.store import revisions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The directory of the programs of a new environment into which Cyclades was installed. What it depends on is lent
    by this one, so that it is quick and needs no network."""
    source, made = tmp_path / "source", tmp_path / "venv"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("src", "ganeti"):
        ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    venv.create(made)
    lent = Path(sysconfig.get_path("purelib", vars={"base": str(made)})) / "lent.pth"
    lent.write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(made / "bin" / "python"), "install", "--quiet", "--no-deps"]
    options = ["--no-index", "--no-build-isolation", "--ignore-installed", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, source], check=True)
    return made / "bin"


def test_the_command_runs_and_finds_its_migrations_and_node_files(installed: Path, tmp_path: Path) -> None:
    def output(*words: str | Path) -> str:
        alone = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
        done = subprocess.run(words, env=alone, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    where = output(installed / "python", "-c", "import cyclades; print(cyclades.__file__)")
    assert Path(where).is_relative_to(installed.parent)
    assert output(installed / "cyclades", "version") == __version__
    done = output(installed / "cyclades", "db", "upgrade", "--data", tmp_path / "data")
    assert done == f"Database is at {revisions.newest()} (was empty)."
    output(installed / "cyclades", "node-files", "c1", "--output", tmp_path / "archive")
    with tarfile.open(tmp_path / "archive") as archive:
        provider = archive.getmember("usr/local/lib/ganeti/extstorage/cyclades/attach")
        assert provider.mode & 0o111
