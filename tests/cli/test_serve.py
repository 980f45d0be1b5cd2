"""How the parts of a process stop together."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.clouds import Cloud

from cyclades.cli.serve import _Stopping, _together


async def _ends() -> None:
    """As no part should."""


async def _breaks() -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize("part", [_ends, _breaks])
async def test_a_part_that_ends_by_itself_stops_the_rest_with_an_error(part: object) -> None:
    stopping = _Stopping()
    other = asyncio.Event()
    with capture_logs() as logs:
        async with _together([part(), other.wait()], stopping):  # type: ignore[operator]
            await stopping.wait()
    assert not stopping.in_order
    assert [entry["event"] for entry in logs] == ["task.ended"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_in_order(tmp_path: Path, number: int) -> None:
    cloud = Cloud(tmp_path / "cloud")
    try:
        cloud.start()
        assert cloud.process is not None
        cloud.user().make_volume()
        assert cloud.process.stop(number) == 0
        assert not os.path.exists(cloud.data / "engine.sock")
        assert cloud.process.log().count("Traceback") == 0
    finally:
        cloud.end()
