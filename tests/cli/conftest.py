"""A configuration file for each kind of database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# Rows of text values are TOML in JSON's form, too.
_TEXT = """
data = {data}

[database]
url = {url}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def blank_config(blank_database_url: str, data: Path, tmp_path: Path) -> Path:
    """The settings of a cloud whose database has no tables yet."""
    return _written(tmp_path, data, blank_database_url)


@pytest.fixture
def config(database_url: str, data: Path, tmp_path: Path) -> Path:
    """The settings of a cloud whose database has all tables and no rows."""
    return _written(tmp_path, data, database_url)


def _written(directory: Path, data: Path, url: str) -> Path:
    file = directory / "cyclades.toml"
    file.write_text(_TEXT.format(data=json.dumps(str(data)), url=json.dumps(url)))
    return file
