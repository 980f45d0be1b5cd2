"""A configuration file for each kind of database, and clouds on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.stage import Cloud, write_config


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def blank_config(blank_database_url: str, data: Path, tmp_path: Path) -> Path:
    """The settings of a cloud whose database has no tables yet."""
    return write_config(tmp_path, data, blank_database_url)


@pytest.fixture
def config(database_url: str, data: Path, tmp_path: Path) -> Path:
    """The settings of a cloud whose database has all tables and no rows."""
    return write_config(tmp_path, data, database_url)


@pytest.fixture
def stopped(blank_config: Path, blank_database_url: str, data: Path) -> Iterator[Cloud]:
    """As a cloud is whose process has been stopped."""
    cloud = Cloud(blank_config, data, blank_database_url)
    yield cloud
    cloud.end()


@pytest.fixture
def cloud(stopped: Cloud) -> Cloud:
    stopped.start()
    return stopped
