"""A cloud for tests of the commands, whose process runs or does not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.processes import Process, command, environment

from cyclades.cli import first_start
from cyclades.config import load
from cyclades.store import migrate
from cyclades.store.database import Database
from cyclades.store.schema import volume

# An engine that nobody wakes looks for work long after a test has given up.
SLEEPY = {"CYCLADES_ENGINE_IDLE_SECONDS": "100000"}
# No guest is there to power off when it is asked to.
_HASTY = {"CYCLADES_COMPUTE_STOP_SECONDS": "0.5"}

# What a configuration file begins with. Text values are TOML in JSON's form, too.
_TEXT = """
data = {data}

[database]
url = {url}
"""


def write_config(directory: Path, data: Path, url: str, *, more: str = "") -> Path:
    file = directory / "cyclades.toml"
    file.write_text(_TEXT.format(data=json.dumps(str(data)), url=json.dumps(url)) + more)
    return file


class Cloud:
    """A cloud on a configuration file, as one is that was stopped."""

    def __init__(self, config: Path, data: Path, url: str) -> None:
        """The database at `url` is blank."""
        self.config, self.data = config, data
        self.environment = environment(**SLEEPY, **_HASTY)
        self.database = Database(url)
        self.process: Process | None = None
        data.mkdir()
        migrate.upgrade(self.database.engine)
        first_start.prepare(self.database, load(config, self.environment, identity__hash_memory=64))

    def start(self) -> None:
        self.process = Process(self.config.with_suffix(".log"), "up", "--config", self.config, **self.environment)
        self.process.ready()

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
        self.database.close()

    def command(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return command(*words, "--config", str(self.config), typed=typed)

    def done(self, *words: str) -> Any:
        """What a command prints that does what it was asked for, without asking, and waits for the end."""
        done = self.command(*words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def refused(self, *words: str, code: int = 1, typed: str = "") -> str:
        """Why a command does nothing."""
        done = self.command(*words, typed=typed)
        assert (done.returncode, done.stdout) == (code, ""), (words, done.stderr)
        return done.stderr

    def make(self, *words: str) -> Any:
        """What `volume-create` prints."""
        return self.done("volume-create", "--size", "1", "--wait", *words)

    def statuses(self) -> dict[str, str]:
        query = sa.select(volume.c.id, volume.c.status)
        return {row.id: row.status for row in self.database.read_now(lambda tx: tx.execute(query).all())}
