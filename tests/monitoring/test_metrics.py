"""What a process counts of its own work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from tests.api.client import URL, PlainTokens
from tests.api.whole import SERVICES
from tests.monitoring.figures import samples, value

from cyclades.api.app import application
from cyclades.api.http.service import Shared
from cyclades.config import load
from cyclades.monitoring.metrics import Metrics
from cyclades.security.keys import Keys
from cyclades.store.database import Database


async def test_requests_by_the_template_of_their_route(database: Database, tmp_path: Path) -> None:
    metrics = Metrics(database)
    settings = load(None, {}, data=str(tmp_path))
    shared = Shared(database, settings, Keys(settings.key_dir), PlainTokens(), metrics=metrics)
    transport = httpx.ASGITransport(application(SERVICES, shared))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as http:
        for _ in range(2):
            assert (await http.get("/volume/v3/volumes/4b7d")).status_code == 401
        assert (await http.get("/nowhere/4b7d")).status_code == 404
        assert (await http.request("BREW", "/healthz")).status_code == 405
        assert (await http.get("/healthz")).status_code == 200
    text = generate_latest(metrics.registry).decode()
    assert "4b7d" not in text
    assert "BREW" not in text
    found = samples(text)
    assert value(found, "requests_total", service="cyclades", method="GET", route="/healthz", status="200") == 1
    assert value(found, "requests_total", service="cyclades", method="GET", route="", status="404") == 1
    by_route = {"service": "block-storage", "method": "GET", "route": "/volumes/{volume_id}"}
    assert value(found, "requests_total", **by_route, status="401") == 2
    assert value(found, "requests_total", service="cyclades", method="other", route="", status="405") == 1
    by_route = {"service": "cyclades", "method": "GET", "route": "/healthz"}
    assert value(found, "request_seconds_count", **by_route) == 1


async def test_transactions(database: Database) -> None:
    metrics = Metrics(database)
    begun, may = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def change(_tx: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(may.wait(), loop).result()

    def refused(_tx: object) -> None:
        raise LookupError

    writing = asyncio.create_task(database.write(change))
    await begun.wait()
    assert value(samples(generate_latest(metrics.registry).decode()), "database_writes_waiting") == 1
    may.set()
    await writing
    with pytest.raises(LookupError):
        await database.write(refused)
    found = samples(generate_latest(metrics.registry).decode())
    assert value(found, "database_writes_waiting") == 0
    assert value(found, "database_write_seconds_count") == 1
