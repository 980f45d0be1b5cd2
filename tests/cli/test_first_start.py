"""What the first start makes, when two processes are the first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.processes import LIMIT

from cyclades.cli import first_start
from cyclades.config import Settings, load
from cyclades.security import bootstrap
from cyclades.security.passwords import Passwords
from cyclades.store.database import Database
from cyclades.store.schema import user


def settings_in(directory: Path) -> Settings:
    directory.mkdir()
    return load(None, {}, data=str(directory), identity__hash_memory=64)


async def test_only_the_process_whose_rows_are_kept_writes_passwords(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = settings_in(tmp_path / "first"), settings_in(tmp_path / "second")
    about_to_commit, both_have_looked = threading.Event(), threading.Event()
    looked: list[str] = []
    new_password, write = bootstrap.new_password, first_start._write_credentials

    def new_password_and_tell() -> str:
        looked.append(threading.current_thread().name)
        if len(set(looked)) == 2:
            both_have_looked.set()
        return new_password()

    def wait_and_write(settings: Settings, passwords: dict[str, str]) -> None:
        write(settings, passwords)
        about_to_commit.set()
        assert both_have_looked.wait(LIMIT)

    monkeypatch.setattr(bootstrap, "new_password", new_password_and_tell)
    monkeypatch.setattr(first_start, "_write_credentials", wait_and_write)
    other = Database(database_url)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(first_start.prepare, database, first)
        assert about_to_commit.wait(LIMIT)
        two = threads.submit(first_start.prepare, other, second)
        for each in (one, two):
            each.result(LIMIT)
    other.close()

    assert not list(second.data.iterdir())
    wanted = sa.select(user.c.password_hash).where(user.c.name == "demo")
    kept = database.read_now(lambda tx: str(tx.execute(wanted).scalar_one()))
    lines = (first.data / "openrc-demo").read_text().splitlines()
    password = next(line.partition("=")[2] for line in lines if "OS_PASSWORD" in line)
    passwords = Passwords(first.identity)
    assert await passwords.verify(kept, password)
    passwords.close()
