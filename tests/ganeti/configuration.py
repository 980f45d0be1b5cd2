"""Ganeti's own configuration, changed as no command of Ganeti's would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.ganeti.cell import Cell

_PATH = "var/lib/ganeti/config.data"


def read(cell: Cell) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((cell.master.root / _PATH).read_text())
    return config


@contextmanager
def changing(cell: Cell) -> Iterator[dict[str, Any]]:
    """What is done to it inside holds afterwards. Those who keep it stand still meanwhile."""
    with cell.master.without("wconfd"), cell.master.without("luxid"):
        config = read(cell)
        yield config
        config["serial_no"] += 1
        (cell.master.root / _PATH).write_text(json.dumps(config))
