"""A RAPI whose answers a test gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.backends.ganeti.wire import Wire, certify

from cyclades.backends.ganeti.rapi import Rapi


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    certificate, context = certify(tmp_path)
    wire = Wire(certificate, lambda asked: None)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=context)
    wire.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield wire
    server.close()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Rapi]]:
    """A client of a RAPI, by its access."""
    clients: list[Rapi] = []

    def make(*args: Any, **options: Any) -> Rapi:
        clients.append(Rapi("north", *args, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def rapi(wire: Wire, connect: Callable[..., Rapi]) -> Rapi:
    return connect(wire.access)
